#include "estimate/blank_ops.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <numeric>

#include "base/aligned.hpp"
#include "base/bits.hpp"

namespace fedselect {

namespace {

/// Calls act(g) for the clients that take part.
template <class Act>
void for_each_client(const ops::Group& group, const Act& act) {
  for (int g = 0; g < group.size(); ++g)
    if (group.samples[static_cast<std::size_t>(g)] > 0) act(g);
}

std::int64_t total(const ops::Group& group) {
  return std::accumulate(group.samples.begin(), group.samples.end(), std::int64_t{0});
}

const Word* words_of(const ops::Range& range, const Word* bits) {
  return bits + range.begin / kWordBits;
}

/// chosen <- `take` of the set bits of `eligible`, n bits, from number `first` of them on and
/// around.
void choose(const Word* eligible, std::size_t n, std::size_t first, std::size_t take,
            std::size_t all, Word* chosen) {
  const std::size_t end = first + take;  // beyond `all`: the beginning is chosen too
  std::size_t number = 0;
  for (std::size_t w = 0; w < words_for(n); ++w) {
    const Word here = eligible[w];
    const auto count = static_cast<std::size_t>(std::popcount(here));
    const bool is_in = number >= first && number + count <= end;
    const bool is_around = number + all >= first && number + count + all <= end;
    const bool is_out = (number + count <= first || number >= end) && number + all >= end;
    if (is_in || is_around) {
      chosen[w] = here;
    } else if (is_out) {
      chosen[w] = 0;
    } else {
      Word some = 0;
      std::size_t i = number;
      for (Word left = here; left != 0; left &= left - 1, ++i)
        if ((i >= first && i < end) || i + all < end) some |= left & (~left + 1);
      chosen[w] = some;
    }
    number += count;
  }
}

}  // namespace

void BlankOps::enter_phase(std::string_view name) {
  const auto* const found = std::find(kPhaseNames.begin(), kPhaseNames.end(), name);
  phase_ = static_cast<std::size_t>(found - kPhaseNames.begin());
}

std::shared_ptr<void> BlankOps::allocate(std::size_t bytes) {
  const std::size_t whole = round_up(std::max<std::size_t>(bytes, 1), kAlignment);
  void* memory = mmap(nullptr, whole, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  *now_ += whole;
  *peak_ = std::max(*peak_, *now_);
  return {memory, [whole, now = now_](void* address) {
            *now -= whole;
            munmap(address, whole);
          }};
}

void BlankOps::upload(void* device, const void* host, std::size_t bytes) {
  copy(device, host, bytes);
}

void BlankOps::download(void* host, const void* device, std::size_t bytes) {
  copy(host, device, bytes);
}

void BlankOps::copy(void* to, const void* from, std::size_t bytes) {
  if (bytes > 0 && bytes <= largest_real_) std::memcpy(to, from, bytes);
}

void BlankOps::zero(void* device, std::size_t bytes) {
  if (bytes <= largest_real_) std::memset(device, 0, bytes);
}

std::shared_ptr<const void> BlankOps::place(const void* host, std::size_t /*bytes*/) {
  return {std::shared_ptr<void>(), host};
}

void BlankOps::replay(std::span<const std::uint64_t> /*key*/, const ops::Group& /*group*/,
                      const std::function<void()>& work) {
  work();
}

void BlankOps::gather_batch(const ops::Group& group, const ops::SampleSource& /*source*/,
                            ops::Grouped<const std::int32_t> /*indices*/,
                            ops::Grouped<const ops::Placement> /*placements*/, ops::Values /*x*/,
                            ops::Grouped<std::int32_t> /*y*/) {
  work_[phase_].forward += total(group);
}

void BlankOps::cross_entropy(const ops::Group& group, int /*classes*/, ops::ConstValues /*logits*/,
                             ops::Grouped<const std::int32_t> /*labels*/, ops::Values dlogits,
                             const ops::LossSums& sums) {
  if (dlogits) {  // what was gathered goes backward too
    work_[phase_].forward -= total(group);
    work_[phase_].backward += total(group);
  }
  for_each_client(group, [&](int g) {
    if (sums.correct) *sums.correct[g] += group.samples[static_cast<std::size_t>(g)];
  });
}

void BlankOps::add_class_sums(const ops::Group& group, std::size_t size, ops::ConstValues /*x*/,
                              ops::Grouped<const std::int32_t> /*labels*/,
                              ops::Grouped<double> sums) {
  for_each_client(group, [&](int g) {  // all are of class 0
    sums[g][size] += group.samples[static_cast<std::size_t>(g)];
  });
}

void BlankOps::dot(const ops::Group& /*group*/, std::span<const ops::Range> /*ranges*/,
                   ops::ConstValues /*x*/, ops::ConstValues /*y*/, std::span<double> out) {
  std::fill(out.begin(), out.end(), 0.0);
}

void BlankOps::largest_magnitude(const ops::Group& /*group*/, std::size_t /*size*/,
                                 ops::ConstValues /*values*/, std::span<double> out) {
  std::fill(out.begin(), out.end(), 0.0);
}

void BlankOps::bits_and_not(const ops::Group& group, std::size_t words, ops::ConstBits a,
                            ops::ConstBits b, ops::Bits out) {
  for_each_client(group, [&](int g) {
    std::transform(a[g], a[g] + words, b[g], out[g], [](Word x, Word y) { return x & ~y; });
  });
}

void BlankOps::bits_or(const ops::Group& group, std::size_t words, ops::ConstBits a,
                       ops::ConstBits b, ops::Bits out) {
  for_each_client(group, [&](int g) {
    std::transform(a[g], a[g] + words, b[g], out[g], [](Word x, Word y) { return x | y; });
  });
}

void BlankOps::count_bits(const ops::Group& group, std::span<const ops::Range> ranges,
                          ops::ConstBits bits, std::span<std::int64_t> counts) {
  for_each_client(group, [&](int g) {
    for (std::size_t r = 0; r < ranges.size(); ++r)
      counts[static_cast<std::size_t>(g) * ranges.size() + r] = static_cast<std::int64_t>(
          fedselect::count_bits(words_of(ranges[r], bits[g]), ranges[r].size));
  });
}

void BlankOps::select_top(const ops::Group& group, std::span<const ops::Range> ranges,
                          std::span<const std::int64_t> counts, ops::Ties /*ties*/, bool skip_zero,
                          ops::ConstValues /*score*/, ops::ConstBits eligible, ops::Bits chosen) {
  may_take_fewer_ = may_take_fewer_ || skip_zero;
  for_each_client(group, [&](int g) {
    ++selections_;
    for (std::size_t r = 0; r < ranges.size(); ++r) {
      const ops::Range& range = ranges[r];
      const Word* from = words_of(range, eligible[g]);
      Word* to = chosen[g] + range.begin / kWordBits;
      const std::size_t all = fedselect::count_bits(from, range.size);
      const auto wanted = counts[static_cast<std::size_t>(g) * ranges.size() + r];
      const std::size_t take =
          std::min(all, static_cast<std::size_t>(std::max<std::int64_t>(wanted, 0)));
      // Steps by the golden section fall everywhere, so that no two selections in a row are alike.
      constexpr double kGolden = 0.6180339887498949;
      const double turn = kGolden * static_cast<double>(selections_);
      const auto first =
          static_cast<std::size_t>((turn - static_cast<double>(static_cast<std::uint64_t>(turn))) *
                                   static_cast<double>(all));
      choose(from, range.size, first, take, all, to);
    }
  });
}

void BlankOps::pack(const ops::Group& group, std::size_t size, ops::ConstValues /*theta*/,
                    ops::ConstBits mask, ops::Values /*packed*/, std::span<std::size_t> counts) {
  for_each_client(group, [&](int g) {
    counts[static_cast<std::size_t>(g)] = fedselect::count_bits(mask[g], size);
  });
}

}  // namespace fedselect
