#include "mpi_main.hpp"

#include <gtest/gtest.h>

#include <exception>

namespace fedselect::testing {

namespace {
Communicator* g_world = nullptr;
}

Communicator& world() { return *g_world; }

}  // namespace fedselect::testing

/// A failed expectation on any rank makes that rank, and so mpirun, exit with 1.
int main(int argc, char** argv) {
  fedselect::MpiSession mpi(argc, argv);
  fedselect::testing::g_world = &mpi.world();
  ::testing::InitGoogleTest(&argc, argv);
  if (!mpi.world().is_root())
    delete ::testing::UnitTest::GetInstance()->listeners().Release(
        ::testing::UnitTest::GetInstance()->listeners().default_result_printer());
  return RUN_ALL_TESTS();
}
