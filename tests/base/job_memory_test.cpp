#include "base/job_memory.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>

#include "files/scratch_folder.hpp"

namespace fedselect {
namespace {

namespace fs = std::filesystem;
using testing::ScratchFolder;

constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

void write(const fs::path& path, const char* text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

TEST(JobMemory, LeastOfAGroupAndThoseAboveIt) {
  const ScratchFolder folder;
  const fs::path mount = folder / "v2", membership = folder / "cgroup";
  write(membership, "0::/slurm/job_7/step_0\n");
  EXPECT_EQ(control_group_memory(membership, mount), kNoLimit);  // there is nothing
  write(mount / "slurm/job_7/step_0/memory.max", "max\n");
  write(mount / "slurm/job_7/memory.max", "5000000000\n");
  write(mount / "slurm/memory.max", "9000000000\n");
  EXPECT_EQ(control_group_memory(membership, mount), 5000000000U);
  write(mount / "memory.max", "4096\n");
  EXPECT_EQ(control_group_memory(membership, mount), 4096U);
}

TEST(JobMemory, FirstVersionHasAHierarchyForMemory) {
  const ScratchFolder folder;
  const fs::path mount = folder / "v1", membership = folder / "cgroup";
  write(membership, "5:cpu,cpuacct:/a\n3:memory:/a/b\nnonsense\n");
  write(mount / "memory/a/memory.limit_in_bytes", "7000\n");
  write(mount / "memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
  write(mount / "cpu/a/memory.limit_in_bytes", "1\n");
  EXPECT_EQ(control_group_memory(membership, mount), 7000U);
  EXPECT_EQ(control_group_memory(folder / "none", mount), kNoLimit);
}

TEST(JobMemory, SlurmsLimitsCount) {
  const std::size_t all = job_memory();
  EXPECT_GT(all, std::size_t{1} << 27);
  setenv("SLURM_MEM_PER_NODE", "50", 1);
  EXPECT_EQ(job_memory(), std::size_t{50} << 20);
  setenv("SLURM_MEM_PER_NODE", "0", 1);  // all of the node
  EXPECT_EQ(job_memory(), all);
  unsetenv("SLURM_MEM_PER_NODE");
  setenv("SLURM_MEM_PER_CPU", "10", 1);
  setenv("SLURM_CPUS_ON_NODE", "3", 1);
  EXPECT_EQ(job_memory(), std::size_t{30} << 20);
  unsetenv("SLURM_MEM_PER_CPU");
  unsetenv("SLURM_CPUS_ON_NODE");
}

}  // namespace
}  // namespace fedselect
