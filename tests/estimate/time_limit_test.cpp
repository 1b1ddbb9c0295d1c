#include "estimate/time_limit.hpp"

#include <gtest/gtest.h>

namespace fedselect {
namespace {

TEST(TimeLimit, IsReadAsSlurmDoes) {
  EXPECT_EQ(parse_time_limit("120"), 7200);
  EXPECT_EQ(parse_time_limit("90:04"), 5404);
  EXPECT_EQ(parse_time_limit("2:00:00"), 7200);
  EXPECT_EQ(parse_time_limit("26:03:05"), 93785);
  EXPECT_EQ(parse_time_limit("1-0"), 86400);
  EXPECT_EQ(parse_time_limit("1-2"), 93600);
  EXPECT_EQ(parse_time_limit("1-2:03"), 93780);
  EXPECT_EQ(parse_time_limit("1-2:03:05"), 93785);
}

TEST(TimeLimit, AnythingElseIsNone) {
  for (const char* text :
       {"", "2 hours", "1-", "-1", "1:", ":1", "1:2:3:4", "1-2-3", "1:60", "1.5"})
    EXPECT_EQ(parse_time_limit(text), std::nullopt) << text;
}

}  // namespace
}  // namespace fedselect
