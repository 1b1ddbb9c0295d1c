#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "comm/communicator.hpp"

namespace fedselect {

/// The present time, UTC: "2026-01-31T23:59:59.999Z" (ISO 8601).
std::string time_now();

/// manifest.json as of now, the start of a run (collective; hosts on the root only): program,
/// compiler and library versions, git revision, command line, hosts with their ranks, device, start
/// time. `device`: Ops::device().
std::string make_manifest(Communicator& comm, const std::string& device,
                          const std::vector<std::string>& command);

/// What a manifest says of where numbers come from. Of a text that is no manifest: nothing.
struct Provenance {
  std::string program;  ///< version, revision, compiler, flags, libraries
  std::string device;
  std::vector<std::string> command;
};
Provenance read_provenance(const std::string& manifest);

/// The manifest of a run that goes on after `rounds` rounds: the one in the file `path`, with
/// `now`, as make_manifest() wrote it for this program, at the end of its list "resumed". Without a
/// file that can be read: `now` alone.
std::string resume_manifest(const std::filesystem::path& path, const std::string& now, int rounds);

/// The same with the end time, which is now, the seconds that the run took, and those of them that
/// passed after the last round, writing the results.
std::string complete_manifest(const std::string& manifest, double seconds, double finish_seconds);

}  // namespace fedselect
