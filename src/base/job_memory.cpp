#include "base/job_memory.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>

namespace fedselect {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

/// A number above 0, or kNoLimit ("max", nothing).
std::size_t read_limit(std::string_view text) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && value > 0 ? value : kNoLimit;
}

std::size_t read_limit_file(const fs::path& file) {
  std::string word;
  std::ifstream(file) >> word;
  return read_limit(std::string_view(word));
}

/// Mebibytes, as Slurm's variables have them.
std::size_t read_variable(const char* name) {
  const char* text = std::getenv(name);
  const std::size_t value = text == nullptr ? kNoLimit : read_limit(std::string_view(text));
  constexpr std::size_t kMebibyte = std::size_t{1} << 20;
  return value < kNoLimit / kMebibyte ? value * kMebibyte : kNoLimit;
}

std::size_t slurm_memory() {
  const std::size_t of_cpu = read_variable("SLURM_MEM_PER_CPU");
  const char* cpus = std::getenv("SLURM_CPUS_ON_NODE");
  const std::size_t count = cpus == nullptr ? kNoLimit : read_limit(std::string_view(cpus));
  const std::size_t of_cpus = of_cpu < kNoLimit / count ? of_cpu * count : kNoLimit;
  return std::min(read_variable("SLURM_MEM_PER_NODE"), of_cpus);
}

}  // namespace

std::size_t control_group_memory(const fs::path& membership, const fs::path& mount) {
  std::size_t least = kNoLimit;
  std::ifstream file(membership);
  for (std::string line; std::getline(file, line);) {  // NUMBER:CONTROLLERS:PATH
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = fmt::format(",{},", line.substr(first + 1, second - first - 1));
    const bool is_unified = controllers == ",,";
    if (!is_unified && controllers.find(",memory,") == std::string::npos) continue;
    const fs::path root = is_unified ? mount : mount / "memory";
    const char* name = is_unified ? "memory.max" : "memory.limit_in_bytes";
    fs::path group = fs::path(line.substr(second + 1)).relative_path();
    for (; !group.empty(); group = group.parent_path())
      least = std::min(least, read_limit_file(root / group / name));
    least = std::min(least, read_limit_file(root / name));
  }
  return least;
}

std::size_t job_memory() {
  const std::size_t all = static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) *
                          static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return std::min(
      {all, control_group_memory("/proc/self/cgroup", "/sys/fs/cgroup"), slurm_memory()});
}

}  // namespace fedselect
