#pragma once

#include <string>
#include <vector>

#include "comm/communicator.hpp"

namespace fedselect {

/// manifest.json as of now, the start of a run (collective; hosts on the root only): program,
/// compiler and library versions, git revision, command line, hosts with their ranks, device, start
/// time. `device`: Ops::device().
std::string make_manifest(Communicator& comm, const std::string& device,
                          const std::vector<std::string>& command);

/// The same with the end time, which is now, the seconds that the run took, and those of them that
/// passed after the last round, writing the results.
std::string complete_manifest(const std::string& manifest, double seconds, double finish_seconds);

}  // namespace fedselect
