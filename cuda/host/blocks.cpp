#include "blocks.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <span>
#include <vector>

#include "fiber.hpp"
#include "include/device_code.hpp"

// All variables that sources call __shared__, one after another: the linker's names for the
// section.
extern "C" {
extern char __start_fedselect_shared[] __attribute__((weak));
extern char __stop_fedselect_shared[] __attribute__((weak));
}

namespace fedselect::cuda::host {

Position position;

namespace {

namespace ctx = boost::context::detail;

constexpr int kWarp = 32;
constexpr int kPoison = 0xFF;  // as float and double: not a number

enum class State { fresh, ready, at_block, at_warp, done };

struct Thread {
  State state = State::fresh;
  Fiber* fiber = nullptr;
  int line = 0;       ///< of the meeting point
  unsigned mask = 0;  ///< lanes expected there
  std::uint64_t brought = 0;
};

/// The block that runs now.
class Block {
 public:
  void run(dim3 size, uint3 index, dim3 grid, const std::function<void()>& thread) {
    body_ = &thread;
    position.block_size = size;
    position.grid_size = grid;
    position.block = index;
    threads_.assign(static_cast<std::size_t>(size.x) * size.y * size.z, {});
    order_threads();
    met_ = false;
    fault_.clear();
    for (const Warp& warp : warps_) {
      for (next_ = warp.begin, end_ = warp.end; next_ < end_;) resume(free_fiber());
      go_on(warp);
    }
    while (fault_.empty() && release_block())
      for (const Warp& warp : warps_) go_on(warp);
    if (fault_.empty()) check_all_done();
    if (!fault_.empty()) {
      abandon();
      throw KernelFault(fault_);
    }
  }

  bool met() const { return met_; }

  void meet(State state, unsigned mask, std::uint64_t value, int line) {
    Thread& me = threads_[current_];
    if (state == State::at_warp && ((mask >> lane_of(current_)) & 1U) == 0) {
      fail(fmt::format("line {}: the mask {:#x} does not name the calling lane {}", line, mask,
                       lane_of(current_)));
    } else {
      me.state = state;
      me.mask = mask;
      me.brought = value;
      me.line = line;
    }
    met_ = true;
    leave();
  }
  std::uint64_t brought(int lane) const {
    const std::size_t t = current_ / kWarp * kWarp + static_cast<std::size_t>(lane);
    return t < threads_.size() ? brought_[t] : 0;
  }
  int lane() const { return lane_of(current_); }
  void set_order(Order order, unsigned seed) {
    policy_ = order;
    random_.seed(seed);
  }

 private:
  struct Warp {
    std::size_t begin, end;  ///< its threads
  };

  static int lane_of(std::size_t thread) { return static_cast<int>(thread % kWarp); }

  void order_threads() {
    brought_.resize(threads_.size());
    order_.resize(threads_.size());
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    warps_.clear();
    for (std::size_t begin = 0; begin < order_.size(); begin += kWarp) {
      warps_.push_back({begin, std::min(begin + kWarp, order_.size())});
      arrange(std::span(order_).subspan(begin, warps_.back().end - begin));
    }
    arrange(std::span(warps_));
  }

  template <class T>
  void arrange(std::span<T> ascending) {
    if (policy_ == Order::reversed) std::reverse(ascending.begin(), ascending.end());
    if (policy_ == Order::shuffled) std::shuffle(ascending.begin(), ascending.end(), random_);
  }

  /// Runs a warp until its threads have returned or wait for others, ahead of all other warps.
  void go_on(const Warp& warp) {
    do {
      for (std::size_t i = warp.begin; i < warp.end; ++i)
        if (const std::size_t t = order_[i]; fault_.empty() && threads_[t].state == State::ready) {
          enter(t);
          resume(threads_[t].fiber);
        }
    } while (fault_.empty() && release_warp(warp));
  }

  void enter(std::size_t thread) {
    current_ = thread;
    const auto t = static_cast<unsigned>(thread);
    const dim3 size = position.block_size;
    position.thread = {t % size.x, t / size.x % size.y, t / (size.x * size.y)};
  }

  Fiber* free_fiber() {
    if (free_.empty()) {
      fibers_.push_back(std::make_unique<Fiber>());
      free_.push_back(fibers_.back().get());
    }
    Fiber* fiber = free_.back();
    free_.pop_back();
    if (fiber->context == nullptr)
      fiber->context = ctx::make_fcontext(fiber->stack.top(), Stack::kSize, &Block::fiber_main);
    return fiber;
  }

  /// From the scheduler into a fiber, until its thread waits or its warp has no fresh thread left.
  void resume(Fiber* fiber) {
    running_ = fiber;
    StackSwitch outside;
    outside.begin(fiber->stack.bottom(), Stack::kSize);
    const ctx::transfer_t back = ctx::jump_fcontext(fiber->context, this);
    outside.end();
    fiber->context = back.fctx;
  }

  /// From the running fiber back to the scheduler.
  void leave() {
    Fiber* fiber = running_;
    threads_[current_].fiber = fiber;
    fiber->inside.begin(scheduler_bottom_, scheduler_size_);
    const ctx::transfer_t back = ctx::jump_fcontext(scheduler_, nullptr);
    fiber->inside.end(&scheduler_bottom_, &scheduler_size_);
    scheduler_ = back.fctx;
  }

  static void fiber_main(ctx::transfer_t from) {
    auto* block = static_cast<Block*>(from.data);
    StackSwitch().end(&block->scheduler_bottom_, &block->scheduler_size_);
    block->scheduler_ = from.fctx;
    for (;;) {
      Fiber* fiber = block->running_;
      while (block->next_ < block->end_ && block->fault_.empty()) {
        block->enter(block->order_[block->next_++]);
        const std::size_t thread = block->current_;
        try {
          (*block->body_)();
        } catch (const std::exception& error) {
          block->fail(error.what());
        }
        fiber = block->running_;  // the thread may have waited here and there
        block->threads_[thread].state = State::done;
      }
      block->next_ = block->fault_.empty() ? block->next_ : block->end_;
      block->free_.push_back(fiber);
      fiber->inside.begin(block->scheduler_bottom_, block->scheduler_size_);
      const ctx::transfer_t back = ctx::jump_fcontext(block->scheduler_, nullptr);
      fiber->inside.end(&block->scheduler_bottom_, &block->scheduler_size_);
      block->scheduler_ = back.fctx;
    }
  }

  /// Lets those lanes go on whose meeting is complete. False: none can.
  bool release_warp(const Warp& warp) {
    bool any = false;
    for (std::size_t t = warp.begin; t < warp.end; ++t) {
      const Thread& first = threads_[t];
      if (first.state != State::at_warp) continue;
      bool complete = true;
      for (int l = 0; l < kWarp && complete; ++l) {
        if (((first.mask >> l) & 1U) == 0) continue;
        const std::size_t other = warp.begin + static_cast<std::size_t>(l);
        complete = other < warp.end && threads_[other].state == State::at_warp &&
                   threads_[other].mask == first.mask && threads_[other].line == first.line;
      }
      if (!complete) continue;
      const unsigned mask = first.mask;
      for (int l = 0; l < kWarp; ++l) {
        if (((mask >> l) & 1U) == 0) continue;
        const std::size_t lane = warp.begin + static_cast<std::size_t>(l);
        threads_[lane].state = State::ready;
        brought_[lane] = threads_[lane].brought;
      }
      any = true;
    }
    return any;
  }

  /// Lets the block go on if all that have not returned wait at its barrier.
  bool release_block() {
    int line = -1;
    for (const Thread& thread : threads_) {
      if (thread.state == State::done) continue;
      if (thread.state != State::at_block || (line >= 0 && thread.line != line)) return false;
      line = thread.line;
    }
    if (line < 0) return false;
    for (Thread& thread : threads_)
      if (thread.state == State::at_block) thread.state = State::ready;
    return true;
  }

  void check_all_done() {
    std::size_t done = 0, at_block = 0, at_warp = 0;
    std::string where;
    for (std::size_t t = 0; t < threads_.size(); ++t) {
      const Thread& thread = threads_[t];
      done += thread.state == State::done ? 1 : 0;
      at_block += thread.state == State::at_block ? 1 : 0;
      at_warp += thread.state == State::at_warp ? 1 : 0;
      if (thread.state != State::done && where.empty())
        where = fmt::format("thread {} waits in line {}{}", t, thread.line,
                            thread.state == State::at_warp
                                ? fmt::format(" for the lanes {:#x}", thread.mask)
                                : " for the block");
    }
    if (done == threads_.size()) return;
    fail(fmt::format(
        "divergent threads: of {} threads of block ({}, {}, {}) {} wait for the block, {} for "
        "lanes of their warp, {} have returned, and none can go on; {}",
        threads_.size(), position.block.x, position.block.y, position.block.z, at_block, at_warp,
        done, where));
  }

  void fail(const std::string& what) {
    if (fault_.empty()) fault_ = what;
  }

  /// Fibers whose threads will never go on begin anew.
  void abandon() {
    free_.clear();
    for (auto& fiber : fibers_) {
      fiber->context = nullptr;
      free_.push_back(fiber.get());
    }
  }

  const std::function<void()>* body_ = nullptr;
  std::vector<Thread> threads_;
  std::vector<std::uint64_t> brought_;
  std::vector<std::size_t> order_;  ///< of the threads in each warp
  std::vector<Warp> warps_;         ///< in their order
  std::size_t next_ = 0, end_ = 0;  ///< fresh threads of the warp that begins, in order_
  std::size_t current_ = 0;
  bool met_ = false;
  std::string fault_;
  Fiber* running_ = nullptr;
  ctx::fcontext_t scheduler_ = nullptr;
  const void* scheduler_bottom_ = nullptr;
  std::size_t scheduler_size_ = 0;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> free_;
  Order policy_ = Order::forward;
  std::mt19937 random_;
};

Block& block() {
  static Block the_block;
  static const bool ready = [] {
    const char* order = std::getenv("FEDSELECT_HOST_ORDER");
    const std::string text = order == nullptr ? "forward" : order;
    if (text == "reversed") the_block.set_order(Order::reversed, 0);
    if (text.starts_with("shuffled"))
      the_block.set_order(Order::shuffled,
                          static_cast<unsigned>(
                              std::strtoul(text.size() > 9 ? text.c_str() + 9 : "0", nullptr, 10)));
    return true;
  }();
  static_cast<void>(ready);
  return the_block;
}

std::vector<double>& dynamic_memory() {
  static std::vector<double> memory;
  return memory;
}

void poison_shared() {
  if (__start_fedselect_shared != nullptr)
    std::memset(__start_fedselect_shared, kPoison,
                static_cast<std::size_t>(__stop_fedselect_shared - __start_fedselect_shared));
  if (!dynamic_memory().empty())
    std::memset(dynamic_memory().data(), kPoison, dynamic_memory().size() * sizeof(double));
}

}  // namespace

void set_order(Order order, unsigned seed) { block().set_order(order, seed); }

void* dynamic_shared_memory() { return dynamic_memory().data(); }

int lane() { return block().lane(); }

void meet_block(int line) { block().meet(State::at_block, 0, 0, line); }

std::uint64_t meet_warp(unsigned mask, std::uint64_t value, int from, int line) {
  block().meet(State::at_warp, mask, value, line);
  return block().brought(from);
}

void meet_warp_all(unsigned mask, std::uint64_t value, int line, std::uint64_t (&values)[32]) {
  block().meet(State::at_warp, mask, value, line);
  for (int l = 0; l < kWarp; ++l) values[l] = block().brought(l);
}

void run_grid(dim3 grid, dim3 size, std::size_t shared_bytes, const std::function<void()>& thread) {
  dynamic_memory() = std::vector<double>((shared_bytes + sizeof(double) - 1) / sizeof(double));
  bool used = true;  // shared memory since it was poisoned
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x; ++x) {
        if (used) poison_shared();
        block().run(size, {x, y, z}, grid, thread);
        used = block().met() || shared_bytes > 0;
      }
}

}  // namespace fedselect::cuda::host
