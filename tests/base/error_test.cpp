#include "base/error.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace fedselect {
namespace {

TEST(Require, ThrowsWhatTheUserReads) {
  EXPECT_NO_THROW(require(true, "unused"));
  EXPECT_THROW(require(false, "no clients: set data.clients"), InputError);
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
