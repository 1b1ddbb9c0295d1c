#include "app/binding.hpp"

#include <gtest/gtest.h>

namespace fedselect {
namespace {

TEST(Binding, CoresAreRanges) {
  EXPECT_EQ(describe_cores({0, 1, 2, 5, 7, 8}), "0-2,5,7-8");
  EXPECT_EQ(describe_cores({3}), "3");
  EXPECT_EQ(describe_cores({}), "?");
}

TEST(Binding, RanksThatSitAlikeShareALine) {
  const auto lines = binding_table({{"n1", {0}, "cpu"},
                                    {"n1", {1}, "cpu"},
                                    {"node2", {0, 1}, "cpu"},
                                    {"node2", {0, 1}, "cpu"},
                                    {"node2", {0, 1}, "cpu"},
                                    {"node3", {4}, "gpu at 01"},
                                    {"node3", {5}, "gpu at 02"}});
  EXPECT_EQ(lines, (std::vector<std::string>{
                       "      ranks  node   cores  a rank  device",
                       "        0-1  n1     0-1         1  cpu",
                       "        2-4  node2  0-1         2  cpu  3 ranks take turns on 2 cores",
                       "          5  node3  4           1  gpu at 01",
                       "          6  node3  5           1  gpu at 02"}));
  EXPECT_EQ(binding_table({{"n", {0, 1}, "cpu"}, {"n", {0, 1}, "cpu"}})[1],
            "        0-1  n     0-1         2  cpu  shared");
}

}  // namespace
}  // namespace fedselect
