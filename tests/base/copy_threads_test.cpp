// Arrays that several threads copy together.

#include "base/copy_threads.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace fedselect {
namespace {

/// Of a byte and its neighbours: what comes next is another one.
std::byte pattern(std::size_t i, std::size_t turn) {
  return static_cast<std::byte>((i * 7 + i / 251 + turn) % 256);
}

TEST(CopyThreads, CopyEveryByteAndNoOther) {
  constexpr std::size_t kMost = 3 << 20;
  std::vector<std::byte> from(kMost), to(kMost + 1);
  for (const int threads : {1, 2, 3, 4, 7}) {
    CopyThreads copier(threads);
    std::size_t turn = 0;
    for (const std::size_t bytes :
         {0UL, 1UL, 4097UL, (256UL << 10) - 1, 256UL << 10, kMost - 1, kMost}) {
      ++turn;
      for (std::size_t i = 0; i < kMost; ++i) from[i] = pattern(i, turn);
      std::fill(to.begin(), to.end(), std::byte{0xa5});
      copier.copy(to.data(), from.data(), bytes);
      ASSERT_TRUE(
          std::equal(to.begin(), to.begin() + static_cast<std::ptrdiff_t>(bytes), from.begin()));
      ASSERT_TRUE(std::all_of(to.begin() + static_cast<std::ptrdiff_t>(bytes), to.end(),
                              [](std::byte b) { return b == std::byte{0xa5}; }));
    }
  }
}

TEST(CopyThreads, ManyCopiesInARowDontMix) {
  constexpr std::size_t kBytes = 300 << 10;
  CopyThreads copier(4);
  std::vector<std::byte> from(kBytes), to(kBytes);
  for (std::size_t turn = 0; turn < 300; ++turn) {
    std::fill(from.begin(), from.end(), static_cast<std::byte>(turn % 256));
    copier.copy(to.data(), from.data(), kBytes);
    ASSERT_EQ(to, from);
  }
}

TEST(CopyThreads, AreAsManyAsHelp) {
  EXPECT_GE(CopyThreads::useful(), 1);
  EXPECT_LE(CopyThreads::useful(), 4);
}

}  // namespace
}  // namespace fedselect
