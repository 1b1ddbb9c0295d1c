#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "comm/watchdog.hpp"

namespace fedselect {

/// The ranks of a job and what they say to each other.
///
/// Verbs marked collective must be called by all ranks in the same order. A failing MPI call throws
/// SystemError with the call's name, the code's text and the rank. One process without MPI behaves
/// like one rank.
class Communicator {
 public:
  virtual ~Communicator() = default;
  Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// Number of this rank among all ranks of the job on its node, from 0; a part of the job keeps
  /// it, so that ranks of several parts choose different devices.
  virtual int node_rank() const = 0;
  bool is_root() const { return rank() == 0; }

  /// Collective: the ranks that name the same part (>= 0), in the order of their ranks here.
  virtual std::unique_ptr<Communicator> split(int part) = 0;

  /// Collective: waits for all ranks.
  virtual void barrier() = 0;
  /// Collective, in place: element-wise sum over ranks.
  virtual void all_reduce_sum(std::span<std::int64_t> values) = 0;
  virtual void all_reduce_sum(std::span<std::uint32_t> values) = 0;
  /// Collective: the smallest of all ranks' values.
  virtual std::int64_t all_reduce_min(std::int64_t value) = 0;
  /// Collective: the root's bytes arrive on all ranks. `bytes` is resized on the others.
  virtual void broadcast(std::vector<std::byte>& bytes, int root) = 0;
  /// Collective: on the root, one entry a rank in rank order; empty elsewhere.
  virtual std::vector<std::vector<std::byte>> gather(std::span<const std::byte> bytes) = 0;
  /// Collective: to[r] arrives on rank r. Returns what all ranks sent here, in rank order.
  virtual std::vector<std::vector<std::byte>> exchange(
      const std::vector<std::vector<std::byte>>& to) = 0;
  /// One rank to another; both name the other. Blocks until the bytes can be reused / have arrived.
  virtual void send(std::span<const std::byte> bytes, int to) = 0;
  virtual std::vector<std::byte> receive(int from) = 0;
  /// A rank whose message to this one has arrived and is to be received; does not wait.
  virtual std::optional<int> find_sender() = 0;

  /// Collective: `bytes` of memory that all ranks of a node read, aligned to kAlignment. `fill`
  /// runs on one rank a node, before any rank returns; if it throws, all ranks throw with its
  /// message. Letting go of the memory is collective too, except while an exception is on its way:
  /// then the next call frees it, and so must come only if all ranks had that exception.
  virtual std::shared_ptr<const std::byte> share_on_node(
      std::size_t bytes, const std::function<void(std::span<std::byte>)>& fill) = 0;

  /// Host names of all ranks, in rank order (collective).
  virtual std::vector<std::string> host_names() = 0;

  /// Ends all ranks at once with this exit code. Does not return.
  [[noreturn]] virtual void abort(int exit_code) = 0;
};

/// A failure of some rank that all ranks throw; its text begins with "rank R: ".
class AgreedFailure : public SystemError {
 public:
  using SystemError::SystemError;
};

/// Runs `action` on every rank (collective). If it throws on some ranks, all ranks throw the error
/// of the lowest of them: InputError (KeyError too) as it is, anything else as AgreedFailure. For
/// phases in which ranks can fail apart, such as reading files: afterwards either all go on or all
/// have the same error.
void agree(Communicator& comm, const std::function<void()>& action);

/// A struct without pointers as bytes, and back.
template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span<const T>(values));
}

/// Collective: the ranks' values one after another in rank order, on every rank.
template <class T>
std::vector<T> gather_on_all(Communicator& comm, const std::vector<T>& mine) {
  std::vector<std::byte> all;
  for (const auto& bytes : comm.gather(bytes_of(mine)))
    all.insert(all.end(), bytes.begin(), bytes.end());
  comm.broadcast(all, 0);
  std::vector<T> values(all.size() / sizeof(T));
  if (!all.empty()) std::memcpy(values.data(), all.data(), all.size());
  return values;
}

/// One process that talks to nobody.
std::unique_ptr<Communicator> make_self_communicator();

/// MPI for the life of this object: initialised by the constructor, finalised by the destructor.
/// Make one, in main.
class MpiSession {
 public:
  MpiSession(int& argc, char**& argv);
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

  /// All ranks of the job.
  Communicator& world() { return *world_; }

  /// Collective: from now on a watchdog calls `alarm` when a rank can't go on. False: this MPI
  /// library has no threads, so that each rank can watch nothing but its own work.
  bool watch(const WatchLimits& limits, Watchdog::Alarm alarm);

 private:
  std::unique_ptr<Communicator> world_;
  std::unique_ptr<Watchdog> watchdog_;
};

/// Whether several threads of a process may speak to other ranks at once.
bool mpi_has_threads();

/// Whether MPI says that it reads and writes the memory of CUDA devices.
bool mpi_is_cuda_aware();

/// Name and version of the MPI library, for the manifest.
std::string mpi_library();

}  // namespace fedselect
