#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "comm/communicator.hpp"
#include "fed/client_store.hpp"

namespace fedselect {

/// What the command line says about the memory of clients' states.
struct StoreOptions {
  std::optional<double> gibibytes;  ///< of a rank; none: by the node's memory
  std::string scratch;              ///< empty: the system's folder of temporary files
};

/// Declares --client-memory and --scratch.
void add_store_options(CLI::App& command, StoreOptions& options);

/// Bytes that a rank gives to its clients' states if so many ranks share this node.
std::size_t client_memory(const StoreOptions& options, int ranks_on_node);
/// Collective: how many ranks share this rank's node.
int count_ranks_on_node(Communicator& comm);

/// Collective over the job, before parts of it choose limits of their own: sets the memory of a
/// rank where the command line doesn't, by all ranks of its node.
void settle_memory(StoreOptions& options, Communicator& job);

/// Collective: what this rank gives to its clients' states; unless told, its part of half of the
/// node's memory. All ranks throw AgreedError if a scratch folder can't be written to.
StoreLimits choose_store_limits(const StoreOptions& options, Communicator& comm);

}  // namespace fedselect
