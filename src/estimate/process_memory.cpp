#include "estimate/process_memory.hpp"

#include <algorithm>
#include <fstream>
#include <string>
#include <string_view>

#include "base/job_memory.hpp"

namespace fedselect {

namespace {

/// A line "NAME:  123 kB" of a file in /proc, in bytes.
std::size_t read_line(const char* path, std::string_view name) {
  constexpr std::size_t kKibibyte = 1024;
  std::ifstream file(path);
  std::string word;
  for (std::string line; std::getline(file, line);)
    if (line.size() > name.size() && line.starts_with(name) && line[name.size()] == ':')
      return std::stoull(line.substr(name.size() + 1)) * kKibibyte;
  return 0;
}

}  // namespace

ProcessMemory measure_memory() {
  constexpr const char* kStatus = "/proc/self/status";
  return {.resident = read_line(kStatus, "VmRSS"),
          .peak = read_line(kStatus, "VmHWM"),
          .shared = read_line(kStatus, "RssFile") + read_line(kStatus, "RssShmem")};
}

void reset_peak() {
  std::ofstream file("/proc/self/clear_refs");
  file << "5";
}

NodeMemory measure_node() {
  constexpr const char* kMemory = "/proc/meminfo";
  const std::size_t total = std::min(read_line(kMemory, "MemTotal"), job_memory());
  return {.total = total, .available = std::min(total, read_line(kMemory, "MemAvailable"))};
}

}  // namespace fedselect
