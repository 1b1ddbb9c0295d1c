#include "app/launcher.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdlib>

namespace fedselect {

namespace {

/// Variables of launchers, the most specific first: a mpirun inside a step of srun's counts.
constexpr std::array kRankVariables{"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK",
                                    "SLURM_PROCID"};
constexpr std::array kSizeVariables{"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"};

/// The first that is set; empty: none is.
template <class Names>
std::string find_variable(const Names& names) {
  for (const char* name : names)
    if (std::getenv(name) != nullptr) return name;
  return "";
}

Launch read_launch() {
  Launch launch;
  if (const auto name = find_variable(kRankVariables); !name.empty())
    launch.is_first = std::string(std::getenv(name.c_str())) == "0";
  launch.says_ranks = find_variable(kSizeVariables);
  if (!launch.says_ranks.empty()) launch.ranks = std::atoi(std::getenv(launch.says_ranks.c_str()));
  return launch;
}

}  // namespace

const Launch& launch() {
  static const Launch launch = read_launch();
  return launch;
}

std::string find_apart(const Communicator& world) {
  if (world.size() > 1 || launch().ranks <= 1) return "";
  return fmt::format(
      "this program was started {0} times ({1}), but its MPI library, {2}, doesn't understand the "
      "launcher, so that each would run everything by itself: use srun --mpi=pmix, or the mpirun "
      "of this library (launcher=mpirun in the machine file of jobs/submit); if each is to run by "
      "itself, unset {1}",
      launch().ranks, launch().says_ranks, mpi_library());
}

}  // namespace fedselect
