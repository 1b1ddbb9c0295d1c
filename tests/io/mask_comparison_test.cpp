#include "io/mask_comparison.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace fedselect {
namespace {

constexpr int kSizes[] = {1, 31, 64, 65, 130, 3};  // tensors that begin and end within words

ParameterLayout make_layout() {
  ParameterLayout layout;
  for (const int size : kSizes)
    layout.add("t" + std::to_string(size), {size}, TensorKind::weight, 0);
  return layout;
}

/// Parameters in their order; of each client.
using Bits = std::vector<bool>;

std::vector<std::byte> pack(const Bits& bits) {
  std::vector<std::byte> row((bits.size() + 7) / 8);
  for (std::size_t j = 0; j < bits.size(); ++j)
    if (bits[j]) row[j / 8] |= std::byte{1} << (j % 8);
  return row;
}

/// Of every second, third, ... parameter, of none, and of the same ones again.
std::vector<Bits> some_masks(std::size_t size) {
  std::vector<Bits> masks;
  for (const std::size_t step : {2U, 3U, 0U, 5U, 2U, 0U, 1U, 3U, 2U}) {
    Bits bits(size, false);
    if (step > 0)
      for (std::size_t j = 0; j < size; j += step) bits[j] = true;
    masks.push_back(bits);
  }
  return masks;
}

TEST(MaskComparison, EqualsWhatCountingBitByBitSays) {
  const ParameterLayout layout = make_layout();
  const auto masks = some_masks(layout.size());
  const std::size_t n = masks.size();
  MaskComparison comparison(layout, n);
  for (const Bits& mask : masks) {
    EXPECT_FALSE(comparison.is_complete());
    comparison.add(pack(mask));
  }
  EXPECT_TRUE(comparison.is_complete());
  for (std::size_t a = 0; a < n; ++a)
    for (std::size_t b = 0; b < n; ++b) {
      std::int64_t differ = 0;
      std::size_t begin = 0;
      for (std::size_t t = 0; t < layout.tensors().size(); ++t) {
        const auto size = static_cast<double>(kSizes[t]);
        double both = 0;
        double any = 0;
        double of_a = 0;
        double of_b = 0;
        for (std::size_t j = begin; j < begin + layout.tensors()[t].size(); ++j) {
          both += masks[a][j] && masks[b][j] ? 1 : 0;
          any += masks[a][j] || masks[b][j] ? 1 : 0;
          of_a += masks[a][j] ? 1 / size : 0;
          of_b += masks[b][j] ? 1 / size : 0;
          differ += masks[a][j] != masks[b][j] ? 1 : 0;
        }
        begin += layout.tensors()[t].size();
        const std::size_t at = (t * n + a) * n + b;
        if (any > 0)
          EXPECT_FLOAT_EQ(comparison.iou()[at], static_cast<float>(both / any));
        else
          EXPECT_TRUE(std::isnan(comparison.iou()[at]));
        if (any > 0)
          EXPECT_FLOAT_EQ(comparison.chance_iou()[at],
                          static_cast<float>(of_a * of_b / (of_a + of_b - of_a * of_b)));
        else
          EXPECT_TRUE(std::isnan(comparison.chance_iou()[at]));
      }
      EXPECT_EQ(comparison.hamming()[a * n + b], differ) << a << ' ' << b;
    }
}

TEST(MaskComparison, MemoryByHand) {
  // 294 parameters: 5 words a mask; 2 floats a tensor of 6, and one long, a pair.
  EXPECT_EQ(MaskComparison::bytes(make_layout(), 9, 5), 5U * 40 + 81U * (48 + 8));
}

}  // namespace
}  // namespace fedselect
