#include <fmt/format.h>
#include <mpi.h>
#if defined(OPEN_MPI)
#include <mpi-ext.h>
#endif

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <limits>
#include <utility>

#include "base/aligned.hpp"
#include "base/error.hpp"
#include "base/pulse.hpp"
#include "comm/communicator.hpp"
#include "comm/mpi_check.hpp"
#include "comm/mpi_ring.hpp"

namespace fedselect {

void check_mpi(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  int rank = -1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  throw SystemError(fmt::format("{} failed on rank {}: {}", call, rank, text.data()));
}

namespace {

/// MPI counts are int: longer messages go in pieces of this many elements.
constexpr std::size_t kPiece = std::size_t{1} << 28;
constexpr int kTag = 1;

template <class Action>
void in_pieces(std::size_t n, const Action& action) {
  for (std::size_t begin = 0; begin < n; begin += kPiece) {
    action(begin, static_cast<int>(std::min(kPiece, n - begin)));
    pulse::beat();
  }
}

/// Windows that are to be freed.
using Windows = std::vector<MPI_Win>;

/// A window of node-shared memory; freed collectively when the last user on each rank lets go.
class SharedWindow {
 public:
  /// `left`: where it goes if an exception makes its last user let go.
  SharedWindow(MPI_Comm node, std::size_t bytes, std::shared_ptr<Windows> left)
      : left_(std::move(left)) {
    int node_rank = 0;
    FEDSELECT_CHECK_MPI(MPI_Comm_rank(node, &node_rank));
    const auto mine = static_cast<MPI_Aint>(node_rank == 0 ? bytes + kAlignment : 0);
    void* base = nullptr;
    FEDSELECT_CHECK_MPI(
        MPI_Win_allocate_shared(mine, 1, MPI_INFO_NULL, node, static_cast<void*>(&base), &window_));
    MPI_Aint size = 0;
    int unit = 0;
    FEDSELECT_CHECK_MPI(MPI_Win_shared_query(window_, 0, &size, &unit, static_cast<void*>(&base)));
    // MPI puts its own header before the window, so the window begins anywhere. One rank says where
    // the aligned part begins, the others, whose windows lie in pages of their own, agree with it.
    auto skip = static_cast<std::uint64_t>(-reinterpret_cast<std::uintptr_t>(base) % kAlignment);
    FEDSELECT_CHECK_MPI(MPI_Bcast(&skip, 1, MPI_UINT64_T, 0, node));
    data_ = {static_cast<std::byte*>(base) + skip, bytes};
  }
  /// Freeing waits for the other ranks of the node. While an exception ends this rank, they may
  /// never come: then the window is left to the next share_on_node(), MPI_Finalize or abort().
  ~SharedWindow() {
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (finalized != 0) return;
    if (std::uncaught_exceptions() == 0)
      MPI_Win_free(&window_);
    else
      left_->push_back(window_);
  }
  SharedWindow(const SharedWindow&) = delete;
  SharedWindow& operator=(const SharedWindow&) = delete;

  std::span<std::byte> data() const { return data_; }
  void fence() {
    const pulse::Waiting waiting;
    FEDSELECT_CHECK_MPI(MPI_Win_fence(0, window_));
  }

 private:
  std::shared_ptr<Windows> left_;
  MPI_Win window_ = MPI_WIN_NULL;
  std::span<std::byte> data_;
};

class MpiCommunicator final : public Communicator {
 public:
  /// Of the whole job.
  MpiCommunicator() : MpiCommunicator(MPI_COMM_WORLD, false) { job_node_rank_ = node_rank_; }
  /// Of a part of it.
  MpiCommunicator(MPI_Comm part, int job_node_rank) : MpiCommunicator(part, true) {
    job_node_rank_ = job_node_rank;
  }
  ~MpiCommunicator() override {
    MPI_Comm_free(&node_);
    if (owns_) MPI_Comm_free(&comm_);
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int node_rank() const override { return job_node_rank_; }

  std::unique_ptr<Communicator> split(int part) override {
    const pulse::Waiting waiting;
    MPI_Comm mine = MPI_COMM_NULL;
    FEDSELECT_CHECK_MPI(MPI_Comm_split(comm_, part, rank_, &mine));
    return std::make_unique<MpiCommunicator>(mine, job_node_rank_);
  }

  void barrier() override {
    const pulse::Waiting waiting;
    FEDSELECT_CHECK_MPI(MPI_Barrier(comm_));
  }

  void all_reduce_sum(std::span<std::int64_t> values) override { sum(values, MPI_INT64_T); }
  void all_reduce_sum(std::span<std::uint32_t> values) override { sum(values, MPI_UINT32_T); }

  std::int64_t all_reduce_min(std::int64_t value) override {
    const pulse::Waiting waiting;
    FEDSELECT_CHECK_MPI(MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_INT64_T, MPI_MIN, comm_));
    return value;
  }

  void broadcast(std::vector<std::byte>& bytes, int root) override {
    const pulse::Waiting waiting;
    std::uint64_t n = bytes.size();
    FEDSELECT_CHECK_MPI(MPI_Bcast(&n, 1, MPI_UINT64_T, root, comm_));
    bytes.resize(n);
    in_pieces(n, [&](std::size_t begin, int count) {
      FEDSELECT_CHECK_MPI(MPI_Bcast(bytes.data() + begin, count, MPI_BYTE, root, comm_));
    });
  }

  std::vector<std::vector<std::byte>> gather(std::span<const std::byte> bytes) override {
    const pulse::Waiting waiting;
    // The root knows all sizes before it waits for anyone's bytes, so that these come side by side.
    const std::uint64_t mine = bytes.size();
    std::vector<std::uint64_t> counts(is_root() ? static_cast<std::size_t>(size_) : 0);
    FEDSELECT_CHECK_MPI(
        MPI_Gather(&mine, 1, MPI_UINT64_T, counts.data(), 1, MPI_UINT64_T, 0, comm_));
    std::vector<std::vector<std::byte>> all(counts.size());
    if (!is_root()) {
      send_pieces(bytes, 0);
      return all;
    }
    std::vector<MPI_Request> requests;
    all.front().assign(bytes.begin(), bytes.end());
    for (std::size_t r = 1; r < all.size(); ++r) expect_pieces(all[r], counts[r], r, requests);
    wait_for(requests);
    return all;
  }

  std::vector<std::vector<std::byte>> exchange(
      const std::vector<std::vector<std::byte>>& to) override {
    const pulse::Waiting waiting;
    std::vector<std::uint64_t> counts;
    for (const auto& bytes : to) counts.push_back(bytes.size());
    std::vector<std::uint64_t> incoming(counts.size());
    FEDSELECT_CHECK_MPI(
        MPI_Alltoall(counts.data(), 1, MPI_UINT64_T, incoming.data(), 1, MPI_UINT64_T, comm_));
    std::vector<std::vector<std::byte>> from(to.size());
    std::vector<MPI_Request> requests;
    for (std::size_t r = 0; r < from.size(); ++r) expect_pieces(from[r], incoming[r], r, requests);
    for (std::size_t r = 0; r < to.size(); ++r)
      in_pieces(to[r].size(), [&](std::size_t begin, int count) {
        FEDSELECT_CHECK_MPI(MPI_Isend(to[r].data() + begin, count, MPI_BYTE, static_cast<int>(r),
                                      kTag, comm_, &requests.emplace_back()));
      });
    wait_for(requests);
    return from;
  }

  void send(std::span<const std::byte> bytes, int to) override {
    const pulse::Waiting waiting;
    std::uint64_t n = bytes.size();
    FEDSELECT_CHECK_MPI(MPI_Send(&n, 1, MPI_UINT64_T, to, kTag, comm_));
    send_pieces(bytes, to);
  }

  std::vector<std::byte> receive(int from) override {
    const pulse::Waiting waiting;
    std::uint64_t n = 0;
    FEDSELECT_CHECK_MPI(MPI_Recv(&n, 1, MPI_UINT64_T, from, kTag, comm_, MPI_STATUS_IGNORE));
    std::vector<std::byte> bytes(n);
    in_pieces(n, [&](std::size_t begin, int count) {
      FEDSELECT_CHECK_MPI(
          MPI_Recv(bytes.data() + begin, count, MPI_BYTE, from, kTag, comm_, MPI_STATUS_IGNORE));
    });
    return bytes;
  }

  std::optional<int> find_sender() override {
    int has_arrived = 0;
    MPI_Status status;
    FEDSELECT_CHECK_MPI(MPI_Iprobe(MPI_ANY_SOURCE, kTag, comm_, &has_arrived, &status));
    if (has_arrived == 0) return std::nullopt;
    return status.MPI_SOURCE;
  }

  std::shared_ptr<const std::byte> share_on_node(
      std::size_t bytes, const std::function<void(std::span<std::byte>)>& fill) override {
    for (MPI_Win& left : std::exchange(*left_, {})) {
      const pulse::Waiting waiting;
      FEDSELECT_CHECK_MPI(MPI_Win_free(&left));
    }
    auto window = std::make_shared<SharedWindow>(node_, bytes, left_);
    window->fence();
    agree(*this, [&] {
      if (node_rank_ == 0) fill(window->data());
    });
    window->fence();
    return {window, window->data().data()};
  }

  std::vector<std::string> host_names() override {
    std::array<char, MPI_MAX_PROCESSOR_NAME> name{};
    int length = 0;
    FEDSELECT_CHECK_MPI(MPI_Get_processor_name(name.data(), &length));
    const auto chars = std::span(name).first(static_cast<std::size_t>(length));
    const auto all = gather(std::as_bytes(chars));
    std::vector<std::string> names;
    names.reserve(all.size());
    for (const auto& bytes : all)
      names.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return names;
  }

  [[noreturn]] void abort(int exit_code) override {
    MPI_Abort(MPI_COMM_WORLD, exit_code);
    std::abort();
  }

 private:
  MpiCommunicator(MPI_Comm comm, bool owns) : comm_(comm), owns_(owns) {
    FEDSELECT_CHECK_MPI(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN));
    FEDSELECT_CHECK_MPI(MPI_Comm_rank(comm_, &rank_));
    FEDSELECT_CHECK_MPI(MPI_Comm_size(comm_, &size_));
    FEDSELECT_CHECK_MPI(
        MPI_Comm_split_type(comm_, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &node_));
    FEDSELECT_CHECK_MPI(MPI_Comm_rank(node_, &node_rank_));
  }

  template <class T>
  void sum(std::span<T> values, MPI_Datatype type) {
    if (size_ == 1) return;
    const pulse::Waiting waiting;
    in_pieces(values.size(), [&](std::size_t begin, int count) {
      FEDSELECT_CHECK_MPI(
          MPI_Allreduce(MPI_IN_PLACE, values.data() + begin, count, type, MPI_SUM, comm_));
    });
  }

  void send_pieces(std::span<const std::byte> bytes, int to) {
    in_pieces(bytes.size(), [&](std::size_t begin, int count) {
      FEDSELECT_CHECK_MPI(MPI_Send(bytes.data() + begin, count, MPI_BYTE, to, kTag, comm_));
    });
  }
  /// Makes room for `n` bytes from a rank; they are there after wait_for().
  void expect_pieces(std::vector<std::byte>& bytes, std::size_t n, std::size_t from,
                     std::vector<MPI_Request>& requests) {
    bytes.resize(n);
    in_pieces(n, [&](std::size_t begin, int count) {
      FEDSELECT_CHECK_MPI(MPI_Irecv(bytes.data() + begin, count, MPI_BYTE, static_cast<int>(from),
                                    kTag, comm_, &requests.emplace_back()));
    });
  }
  static void wait_for(std::vector<MPI_Request>& requests) {
    FEDSELECT_CHECK_MPI(
        MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE));
  }

  MPI_Comm comm_;
  bool owns_;
  MPI_Comm node_ = MPI_COMM_NULL;  ///< ranks of comm_ on this node; owned
  int rank_ = 0;
  int size_ = 1;
  int node_rank_ = 0;      ///< in node_
  int job_node_rank_ = 0;  ///< among all ranks of the job on this node
  std::shared_ptr<Windows> left_ = std::make_shared<Windows>();
};

}  // namespace

MpiSession::MpiSession(int& argc, char**& argv) {
  int threads = 0;
  FEDSELECT_CHECK_MPI(MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &threads));
  world_ = std::make_unique<MpiCommunicator>();
}

bool MpiSession::watch(const WatchLimits& limits, Watchdog::Alarm alarm) {
  auto ring = make_mpi_ring(MPI_COMM_WORLD);
  const bool is_whole = ring || world_->size() == 1;
  watchdog_ = std::make_unique<Watchdog>(limits, std::move(ring), std::move(alarm));
  return is_whole;
}

MpiSession::~MpiSession() {
  watchdog_.reset();
  world_.reset();
  MPI_Finalize();
}

bool mpi_has_threads() {
  int level = MPI_THREAD_SINGLE;
  MPI_Query_thread(&level);
  return level == MPI_THREAD_MULTIPLE;
}

bool mpi_is_cuda_aware() {
#if defined(MPIX_CUDA_AWARE_SUPPORT)
  return MPIX_Query_cuda_support() == 1;
#else
  return false;
#endif
}

std::string mpi_library() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  MPI_Get_library_version(text.data(), &length);
  const std::string version(text.data());
  return version.substr(0, version.find(','));
}

}  // namespace fedselect
