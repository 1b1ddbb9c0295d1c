#include "mpi_main.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>

namespace fedselect::testing {

namespace {

Communicator* g_world = nullptr;

/// All that a rank other than the root prints: its failures, one message each, with its number.
class FailurePrinter final : public ::testing::EmptyTestEventListener {
 public:
  explicit FailurePrinter(int rank) : rank_(rank) {}

  void OnTestStart(const ::testing::TestInfo& test) override { test_ = &test; }
  void OnTestPartResult(const ::testing::TestPartResult& result) override {
    if (!result.failed()) return;
    std::fprintf(stderr, "[rank %d] %s.%s: %s:%d: %s\n", rank_,
                 test_ != nullptr ? test_->test_suite_name() : "?",
                 test_ != nullptr ? test_->name() : "?",
                 result.file_name() != nullptr ? result.file_name() : "?", result.line_number(),
                 result.message());
  }

 private:
  int rank_;
  const ::testing::TestInfo* test_ = nullptr;
};

}  // namespace

Communicator& world() { return *g_world; }

}  // namespace fedselect::testing

/// A failed expectation on any rank makes that rank, and so mpirun, exit with 1.
int main(int argc, char** argv) {
  fedselect::MpiSession mpi(argc, argv);
  fedselect::testing::g_world = &mpi.world();
  mpi.watch({}, [&mpi](const std::string& what) {
    std::fprintf(stderr, "[rank %d] %s\n", mpi.world().rank(), what.c_str());
    mpi.world().abort(1);
  });
  ::testing::InitGoogleTest(&argc, argv);
  if (!mpi.world().is_root()) {
    auto& listeners = ::testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new fedselect::testing::FailurePrinter(mpi.world().rank()));
  }
  return RUN_ALL_TESTS();
}
