#include "base/error.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace fedselect {
namespace {

TEST(Require, ThrowsWhatTheUserReads) {
  EXPECT_NO_THROW(require(true, "unused"));
  EXPECT_THROW(require(false, "no clients: set data.clients"), InputError);
}

TEST(InputError, QuotesAFileWithoutWhatSteersTerminals) {
  EXPECT_STREQ(InputError("a\nb").what(), "a\nb");
  EXPECT_STREQ(InputError("\x1b[2J\t\r\x7f\xc2\x9b").what(), "?[2J???\xc2?");
  EXPECT_STREQ(InputError("\xc3\xa9 \xe2\x82\xac").what(), "\xc3\xa9 \xe2\x82\xac");
}

/// The presets debug and asan must not skip this one.
TEST(Expect, FiresInBuildsWithoutNdebug) {
#ifdef NDEBUG
  GTEST_SKIP() << "built with NDEBUG: claims are not checked";
#else
  EXPECT_NO_THROW(expect(true, "nothing"));
  EXPECT_THROW(expect(false, "the impossible"), std::logic_error);
#endif
}

}  // namespace
}  // namespace fedselect
