#pragma once

#include <span>
#include <string>
#include <string_view>

namespace fedselect {

/// A library that this program was built with.
struct LibraryVersion {
  std::string_view name;
  std::string_view version;
};

/// Where this program comes from. The one source for `fedselect --version` and manifest.json.
struct BuildInfo {
  std::string_view version;     ///< of the program, "0.1.0"
  std::string_view revision;    ///< git commit, 40 hex digits; "unknown" outside a checkout
  bool modified = false;        ///< tracked files differed from that commit
  std::string_view compiler;    ///< "GNU 12.2.0"
  std::string_view flags;       ///< of the C++ compiler, as configured
  std::string_view build_type;  ///< "Release"
  std::span<const LibraryVersion> libraries;
};

/// Facts of this build. The revision is looked up at each build, everything else when CMake
/// configures.
const BuildInfo& build_info();

/// The same in a few lines for people: "fedselect 0.1.0 (git 1a2b3c4d, modified)", compiler,
/// libraries.
std::string describe_build();

}  // namespace fedselect
