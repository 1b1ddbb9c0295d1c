#pragma once

#include <string>

#include "comm/communicator.hpp"

namespace fedselect {

/// What the launcher's environment says of this process.
struct Launch {
  bool is_first = true;  ///< the first rank of a job, or alone
  int ranks = 1;
  std::string says_ranks;  ///< the variable that says how many; empty: none
};

/// As it was when this was called first: before MPI starts, which writes into the environment.
const Launch& launch();

/// What is wrong if the launcher started several ranks that MPI doesn't know of, so that each would
/// do everything by itself; empty if nothing is.
std::string find_apart(const Communicator& world);

}  // namespace fedselect
