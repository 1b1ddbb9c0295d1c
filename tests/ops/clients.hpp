#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "ops/cpu/cpu_ops.hpp"

/// What the tests of the ops on parameter vectors share: data of a group of clients, and a suite
/// per instruction set.
namespace fedselect::ops {

using cpu::CpuOps;
using cpu::Isa;

inline constexpr float kInfinity = std::numeric_limits<float>::infinity();
inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
inline constexpr float kDenormal = std::numeric_limits<float>::denorm_min();

inline constexpr std::size_t kSizes[] = {0, 1, 31, 32, 33, 64, 257, 1000};

inline std::vector<Isa> isas() {
  std::vector<Isa> all;
  for (Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512}) {
    if (isa <= cpu::best_isa()) all.push_back(isa);
  }
  return all;
}

struct IsaNames {
  std::string operator()(const testing::TestParamInfo<Isa>& info) const {
    std::string name(cpu::to_string(info.param));
    std::erase(name, '-');
    return name;
  }
};

/// Tensors one after another, each beginning a word, as a parameter layout has them.
inline std::vector<Range> make_ranges(const std::vector<std::size_t>& sizes) {
  std::vector<Range> ranges;
  std::size_t begin = 0;
  for (std::size_t size : sizes) {
    ranges.push_back({begin, size});
    begin += round_up(size, kWordBits);
  }
  return ranges;
}

inline std::size_t padded_size(const std::vector<Range>& ranges) {
  return ranges.empty() ? 0 : ranges.back().begin + round_up(ranges.back().size, kWordBits);
}

/// The arrays of a group, with a gap between clients that nobody may touch.
template <class T>
class Clients {
 public:
  Clients(std::size_t clients, std::size_t size, T fill = {})
      : size_(size), values_(clients * (size + kGap), fill) {}

  Grouped<T> view() { return {values_.data(), static_cast<std::ptrdiff_t>(size_ + kGap)}; }
  T* operator[](std::size_t g) { return values_.data() + g * (size_ + kGap); }
  const AlignedVector<T>& all() const { return values_; }

 private:
  static constexpr std::size_t kGap = 64;
  std::size_t size_;
  AlignedVector<T> values_;
};

inline bool same_bits(const AlignedVector<float>& a, const AlignedVector<float>& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](float x, float y) {
           return std::bit_cast<std::uint32_t>(x) == std::bit_cast<std::uint32_t>(y);
         });
}

/// Calls visit(index) for the indices of the ranges.
template <class Visit>
void for_each_index(const std::vector<Range>& ranges, const Visit& visit) {
  for (const Range& range : ranges) {
    for (std::size_t j = range.begin; j < range.begin + range.size; ++j) visit(j);
  }
}

/// Random values in the ranges, zeros in the padding.
inline void fill_normal(RandomStream& random, const std::vector<Range>& ranges, float* values) {
  for_each_index(ranges, [&](std::size_t j) { values[j] = static_cast<float>(random.normal()); });
}

/// Random bits of the given density; density 0.5 also makes some words of all zeros and all ones.
inline void fill_bits(RandomStream& random, const std::vector<Range>& ranges, double density,
                      Word* bits) {
  std::size_t word = std::numeric_limits<std::size_t>::max();
  double here = density;
  for_each_index(ranges, [&](std::size_t j) {
    if (j / kWordBits != word) {
      word = j / kWordBits;
      const std::uint64_t kind = random.below(4);
      here = density == 0.5 && kind < 2 ? static_cast<double>(kind) : density;
    }
    if (random.uniform() < here) set_bit(bits, j);
  });
}

inline std::vector<int> make_samples(std::size_t clients) {
  std::vector<int> samples(clients);
  for (std::size_t g = 0; g < clients; ++g) samples[g] = static_cast<int>((g * 3 + 1) % 5);
  if (clients > 1) samples[1] = 0;  // sits out
  return samples;
}

class Parameters : public testing::TestWithParam<Isa> {
 protected:
  CpuOps ops_{GetParam()};
};

}  // namespace fedselect::ops
