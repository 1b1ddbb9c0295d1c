#pragma once

#include <string>
#include <vector>

#include "comm/communicator.hpp"

namespace fedselect {

/// Where one rank runs.
struct RankPlace {
  std::string node;
  std::vector<int> cores;  ///< that the system lets it use, ascending
  std::string device;      ///< on which it computes
};

/// "0-3,8"
std::string describe_cores(const std::vector<int>& cores);

/// A table for the log: a line for each row of ranks on one node with equally many cores and the
/// same device; it tells where cores have to serve more ranks than one.
std::vector<std::string> binding_table(const std::vector<RankPlace>& ranks);

/// Collective: the table of all ranks on the root; empty elsewhere. `device`: this rank's.
std::vector<std::string> describe_binding(Communicator& comm, const std::string& device);

}  // namespace fedselect
