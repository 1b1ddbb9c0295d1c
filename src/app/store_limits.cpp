#include "app/store_limits.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "app/failure.hpp"
#include "app/option_checks.hpp"
#include "base/error.hpp"
#include "base/job_memory.hpp"

namespace fedselect {

namespace {

constexpr double kGibibyte = 1024.0 * 1024 * 1024;

}  // namespace

void add_store_options(CLI::App& command, StoreOptions& options) {
  command
      .add_option("--client-memory", options.gibibytes,
                  "GiB of memory that a rank gives to its clients' states; those beyond wait in a "
                  "file (default: the rank's part of half of the node's memory)")
      ->type_name("GIB")
      ->check(number_between(0, 1e6));
  command
      .add_option("--scratch", options.scratch,
                  "folder of that file, on a disk of the node (default: $TMPDIR, else /tmp)")
      ->type_name("DIR");
}

std::size_t client_memory(const StoreOptions& options, int ranks_on_node) {
  if (options.gibibytes) return static_cast<std::size_t>(*options.gibibytes * kGibibyte);
  return job_memory() / 2 / static_cast<std::size_t>(ranks_on_node);
}

int count_ranks_on_node(Communicator& comm) {
  const auto hosts = comm.host_names();  // the root's to know
  std::vector<std::size_t> node_of;
  for (const auto& host : hosts)
    node_of.push_back(
        static_cast<std::size_t>(std::find(hosts.begin(), hosts.end(), host) - hosts.begin()));
  node_of = gather_on_all(comm, node_of);
  const auto mine = node_of[static_cast<std::size_t>(comm.rank())];
  return static_cast<int>(std::count(node_of.begin(), node_of.end(), mine));
}

void settle_memory(StoreOptions& options, Communicator& job) {
  const std::size_t bytes = client_memory(options, count_ranks_on_node(job));
  options.gibibytes = static_cast<double>(bytes) / kGibibyte;
}

StoreLimits choose_store_limits(const StoreOptions& options, Communicator& comm) {
  StoreLimits limits{.memory = client_memory(options, count_ranks_on_node(comm)),
                     .scratch = options.scratch};
  together(comm, [&] {
    if (!options.scratch.empty() && access(options.scratch.c_str(), W_OK | X_OK) != 0)
      throw InputError(
          fmt::format("--scratch {}: can't write there: name a folder that exists on "
                      "every node",
                      options.scratch));
  });
  return limits;
}

}  // namespace fedselect
