#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "machine.hpp"
#include "ops/cpu/cpu_ops.hpp"

// The ops on parameter vectors: select_top beside std::nth_element, and the share of the machine's
// bandwidth that each op gets. "cache": one client again and again, its arrays in the last-level
// cache. "memory": clients in turn, more than the caches hold. Both programs of a comparison run
// alternately; figures are medians. The sums of accumulate stay in the cache: it may beat the
// memory.
//
//     selection_bench [repeats]

namespace fedselect::bench {
namespace {

using namespace ops;
using cpu::CpuOps;
using cpu::Isa;

constexpr std::size_t kTensors[] = {800, 32, 51200, 64, 1605632, 512, 5120, 10};
constexpr int kManyClients = 16;  // 16 x 6.6 MB an array

struct Model {
  std::vector<Range> ranges;
  std::size_t size = 0;

  Model() {
    for (std::size_t n : kTensors) {
      ranges.push_back({size, n});
      size += round_up(n, kWordBits);
    }
  }
};

/// The arrays of `clients` clients, all random: theta and reference normal, mask bits of the given
/// density.
struct Clients {
  std::size_t size;
  AlignedVector<float> theta, reference, gradient, velocity;
  AlignedVector<Word> mask, chosen;

  Clients(const Model& model, int clients, double density)
      : size(model.size),
        theta(size * static_cast<std::size_t>(clients)),
        reference(theta.size()),
        gradient(theta.size()),
        velocity(theta.size()),
        mask(theta.size() / kWordBits),
        chosen(mask.size()) {
    RandomStream random(1, Purpose::test);
    for (int g = 0; g < clients; ++g) {
      for (const Range& range : model.ranges) {
        for (std::size_t j = 0; j < range.size; ++j) {
          const std::size_t i = static_cast<std::size_t>(g) * size + range.begin + j;
          theta[i] = static_cast<float>(random.normal());
          reference[i] = static_cast<float>(random.normal());
          gradient[i] = std::fabs(static_cast<float>(random.normal()));  // serves as score
          if (random.uniform() < density) set_bit(mask.data(), i);
        }
      }
    }
  }
};

Values of_client(AlignedVector<float>& array, std::size_t size, int g) {
  return {array.data() + static_cast<std::size_t>(g) * size, 0};
}
Bits of_client(AlignedVector<Word>& array, std::size_t size, int g) {
  return {array.data() + static_cast<std::size_t>(g) * words_for(size), 0};
}

double seconds_of(const std::function<void()>& work) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

const int kOne[] = {1};
const Group kGroup{kOne};

/// Selection on one tensor of 1.6 million scores, beside nth_element on a copy of the eligible ones
/// alone, which finds the cutoff only: neither the copy nor a mask is on its clock.
void compare_selection(const Model& model, Isa isa, double density, double share, int repeats) {
  CpuOps ops(isa);
  Clients data(model, 1, density);
  const Range range = model.ranges[4];
  std::vector<float> eligible;
  for (std::size_t j = range.begin; j < range.begin + range.size; ++j) {
    if (test_bit(data.mask.data(), j)) eligible.push_back(data.gradient[j]);
  }
  const auto count = static_cast<std::int64_t>(share * static_cast<double>(eligible.size()));
  std::vector<float> work;
  std::vector<double> ours, theirs;
  for (int r = 0; r < repeats + 1; ++r) {
    work = eligible;
    const double theirs_now = seconds_of([&] {
      std::nth_element(work.begin(), work.begin() + (count - 1), work.end(), std::greater<>());
    });
    // What a training step leaves in the caches is neither the scores nor nothing; here they are in
    // the cache.
    const double ours_now = seconds_of([&] {
      ops.select_top(kGroup, {&range, 1}, {&count, 1}, Ties::exact, true,
                     of_client(data.gradient, data.size, 0), of_client(data.mask, data.size, 0),
                     of_client(data.chosen, data.size, 0));
    });
    if (r == 0) continue;  // the first grows scratch
    ours.push_back(ours_now);
    theirs.push_back(theirs_now);
  }
  const double bytes = static_cast<double>(range.size) * (4 + 2.0 / 8);
  fmt::print("{:<10} {:>9.0f} % {:>9.0f} % {:>12.3f} ms {:>12.3f} ms {:>8.1f} {:>10.1f}\n",
             cpu::to_string(isa), 100 * density, 100 * share, 1e3 * median(ours),
             1e3 * median(theirs), median(theirs) / median(ours), bytes / median(ours) * 1e-9);
}

struct Case {
  std::string name;
  double bytes;  ///< that the op must move for one client
  bool writes;   ///< much of them: y += x is its limit, else reading
  std::function<void(CpuOps&, Clients&, int)> run;
};

std::vector<Case> cases(const Model& model, AlignedVector<std::int64_t>& low,
                        AlignedVector<std::uint32_t>& weight, AlignedVector<float>& packed) {
  const auto d = static_cast<double>(model.size);
  const auto sgd = [&model](SgdRule rule) {
    return [&model, rule](CpuOps& ops, Clients& c, int g) {
      const float scale = 1;
      ops.sgd_step(kGroup, model.ranges, rule, {&scale, 1}, of_client(c.theta, c.size, g),
                   of_client(c.gradient, c.size, g),
                   rule.momentum != 0 ? of_client(c.velocity, c.size, g) : Values{},
                   rule.scope == Scope::all ? Bits{} : of_client(c.mask, c.size, g));
    };
  };
  const auto select = [&model](double share) {
    std::vector<std::int64_t> counts;
    for (const Range& range : model.ranges) {
      counts.push_back(static_cast<std::int64_t>(share * static_cast<double>(range.size)));
    }
    return [&model, counts](CpuOps& ops, Clients& c, int g) {
      ops.select_top(kGroup, model.ranges, counts, Ties::exact, true,
                     of_client(c.gradient, c.size, g), of_client(c.mask, c.size, g),
                     of_client(c.chosen, c.size, g));
    };
  };
  const auto accumulate = [&low, &weight](bool masked) {
    return [&low, &weight, masked](CpuOps& ops, Clients& c, int g) {
      const std::uint32_t one = 1;
      ops.accumulate(kGroup, c.size, {.fraction_bits = 30}, {&one, 1},
                     of_client(c.theta, c.size, g), masked ? of_client(c.mask, c.size, g) : Bits{},
                     {low.data(), nullptr, weight.data()});
    };
  };
  return {
      {"select_top, 25 %", d * (4 + 2.0 / 8), false, select(0.125)},
      {"change_magnitude", d * 12, true,
       [](CpuOps& ops, Clients& c, int g) {
         ops.change_magnitude(kGroup, c.size, of_client(c.theta, c.size, g),
                              of_client(c.reference, c.size, g), of_client(c.gradient, c.size, g));
       }},
      {"sgd_step", d * 12, true, sgd({.rate = 1e-9F})},
      {"sgd_step, momentum", d * 20, true, sgd({.rate = 1e-9F, .momentum = 0.9F})},
      {"sgd_step, shared", d * (12 + 1.0 / 8), true, sgd({.rate = 1e-9F, .scope = Scope::shared})},
      {"clip_scale", d * 4, false,
       [&model](CpuOps& ops, Clients& c, int g) {
         float scale = 0;
         ops.clip_scale(kGroup, model.ranges, 1, of_client(c.theta, c.size, g), {&scale, 1});
       }},
      {"accumulate, all", d * 28, true, accumulate(false)},
      {"accumulate, masked", d * (28 + 1.0 / 8), true, accumulate(true)},
      {"pack", d * (4 + 2 + 1.0 / 8), true,
       [&packed](CpuOps& ops, Clients& c, int g) {
         std::size_t count = 0;
         ops.pack(kGroup, c.size, of_client(c.theta, c.size, g), of_client(c.mask, c.size, g),
                  {packed.data(), 0}, {&count, 1});
       }},
      {"unpack", d * (8 + 2 + 1.0 / 8), true,
       [&packed](CpuOps& ops, Clients& c, int g) {
         ops.unpack(kGroup, c.size, {packed.data(), 0}, of_client(c.mask, c.size, g),
                    of_client(c.theta, c.size, g));
       }},
  };
}

void print_ops(const Model& model, int repeats) {
  const double read = read_bandwidth_gbs();
  const double update = update_bandwidth_gbs();
  fmt::print(
      "\nMemory, one core: read {:.1f}, copy {:.1f}, y += x {:.1f} GB/s; cache (8 MB): read "
      "{:.1f}\n\n",
      read, copy_bandwidth_gbs(), update, read_bandwidth_gbs(std::size_t{8} << 20));
  fmt::print("{:<20} {:>12} {:>10} {:>14} {:>10} {:>12}\n", "op, 50 % personal", "cache, ms",
             "GB/s", "memory, ms", "GB/s", "of limit");
  CpuOps ops;
  AlignedVector<std::int64_t> low(model.size);
  AlignedVector<std::uint32_t> weight(model.size);
  AlignedVector<float> packed(model.size);
  Clients data(model, kManyClients, 0.5);
  for (const Case& c : cases(model, low, weight, packed)) {
    const double limit = c.writes ? update : read;
    c.run(ops, data, 0);
    std::vector<double> cached, streamed;
    for (int r = 0; r < repeats; ++r) {
      cached.push_back(seconds_of([&] { c.run(ops, data, 0); }));
    }
    for (int r = 0; r < std::max(repeats, 2 * kManyClients); ++r) {
      streamed.push_back(seconds_of([&] { c.run(ops, data, r % kManyClients); }));
    }
    fmt::print("{:<20} {:>12.3f} {:>10.1f} {:>14.3f} {:>10.1f} {:>10.0f} %\n", c.name,
               1e3 * median(cached), c.bytes / median(cached) * 1e-9, 1e3 * median(streamed),
               c.bytes / median(streamed) * 1e-9, 100 * c.bytes / median(streamed) * 1e-9 / limit);
  }
}

}  // namespace
}  // namespace fedselect::bench

int main(int argc, char** argv) {
  using namespace fedselect;
  const int repeats = argc > 1 ? std::max(1, std::atoi(argv[1])) : 21;
  const bench::Model model;
  fmt::print("select_top on {} scores against std::nth_element on the eligible ones\n\n",
             model.ranges[4].size);
  fmt::print("{:<10} {:>11} {:>11} {:>15} {:>15} {:>8} {:>10}\n", "kernels", "eligible", "taken",
             "select_top", "nth_element", "ratio", "GB/s");
  for (auto isa : {ops::cpu::Isa::avx512, ops::cpu::Isa::avx2, ops::cpu::Isa::baseline}) {
    if (isa > ops::cpu::best_isa()) continue;
    for (double density : {1.0, 0.5}) {
      for (double share : {0.25, 0.5}) {
        bench::compare_selection(model, isa, density, share, repeats);
      }
    }
  }
  bench::print_ops(model, repeats);
}
