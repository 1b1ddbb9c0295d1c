#pragma once

#include <cstddef>
#include <filesystem>

namespace fedselect {

/// Bytes of this node's memory that the job may take: all, or less where a control group or Slurm
/// (SLURM_MEM_PER_NODE, SLURM_MEM_PER_CPU) says so.
std::size_t job_memory();

/// The least that the control groups of a process allow, of version 1 or 2; without limit: the
/// largest number. `membership`: as /proc/self/cgroup; `mount`: as /sys/fs/cgroup. Source:
/// cgroups(7).
std::size_t control_group_memory(const std::filesystem::path& membership,
                                 const std::filesystem::path& mount);

}  // namespace fedselect
