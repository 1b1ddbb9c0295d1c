#include "app/rank_device.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <span>
#include <sstream>

#include "app/failure.hpp"
#include "base/error.hpp"

#ifdef FEDSELECT_HAS_CUDA
#include "cuda_device.hpp"
#endif

namespace fedselect {

namespace {

#ifdef FEDSELECT_HAS_CUDA
constexpr bool kHasCuda = true;
using cuda::Visible;
using cuda::visible_devices;
#else
constexpr bool kHasCuda = false;
struct Visible {
  int count = 0;
  bool are_emulated = false;
  std::string obstacle = "this program was built without CUDA (cmake -DFEDSELECT_CUDA=on)";
};
Visible visible_devices() { return {}; }
#endif

/// The GPUs that a rank can have.
Visible find_devices([[maybe_unused]] const Communicator& comm) {
  Visible visible = visible_devices();
#ifdef FEDSELECT_HAS_CUDA
  if (visible.count > 0) visible.obstacle = cuda::find_obstacle(comm.node_rank() % visible.count);
  if (!visible.obstacle.empty()) visible.count = 0;
#endif
  return visible;
}

/// Collective: how many ranks say the same line as this one, and the most that any line is said.
struct Sharing {
  int here = 1;
  int most = 1;
};
[[maybe_unused]] Sharing count_equal(const std::string& line, Communicator& comm) {
  std::vector<std::byte> bytes;
  for (const auto& said : comm.gather(std::as_bytes(std::span(line)))) {
    bytes.insert(bytes.end(), said.begin(), said.end());
    bytes.push_back(std::byte{'\n'});
  }
  comm.broadcast(bytes, 0);
  std::map<std::string, int> counts;
  std::istringstream lines(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  for (std::string each; std::getline(lines, each);) ++counts[each];
  Sharing sharing{.here = counts[line]};
  for (const auto& [said, count] : counts) sharing.most = std::max(sharing.most, count);
  return sharing;
}

[[maybe_unused]] std::string host_name() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  return name.data();
}

/// The GPU of a rank, or the part of one that it has, by the same name in all processes; empty: it
/// sees none.
[[maybe_unused]] std::string name_gpu(const Communicator& comm) {
#ifdef FEDSELECT_HAS_CUDA
  const int count = visible_devices().count;
  return count == 0 ? "" : cuda::uuid(comm.node_rank() % count);
#else
  return "";
#endif
}

/// Collective. At the root: why a rank has no GPU to compute on; empty where all have one.
std::string explain(const std::string& obstacle, Communicator& comm) {
  int rank = 0;
  for (const auto& said : comm.gather(std::as_bytes(std::span(obstacle)))) {
    if (!said.empty())
      return fmt::format("rank {} has no GPU to compute on ({})", rank,
                         std::string_view(reinterpret_cast<const char*>(said.data()), said.size()));
    ++rank;
  }
  return {};
}

}  // namespace

void add_device_options(CLI::App& command, DeviceOptions& options) {
  command
      .add_option("--device", options.device,
                  "cpu; cuda: a GPU for each rank; auto: GPUs if every rank sees one")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
  command
      .add_option("--group", options.group,
                  "clients trained side by side on a device (default: as many as fit a GPU; 1 on a "
                  "CPU)")
      ->check(CLI::Range(1, 1000000))
      ->type_name("N");
}

void count_sharers(DeviceOptions& options, Communicator& job) {
  if (options.device != "cpu") options.sharers = count_equal(name_gpu(job), job).here;
}

RankDevice::RankDevice(const DeviceOptions& options, Communicator& comm)
    : group_(options.group), sharers_(options.sharers) {
  const Visible visible = options.device == "cpu" ? Visible{} : find_devices(comm);
  const bool all_see = comm.all_reduce_min(visible.count) > 0;
  if (options.device == "cuda")
    together(comm, [&] {
      if (visible.count == 0)
        throw InputError(fmt::format(
            "--device cuda: rank {} has no GPU to compute on ({}): give each rank one (Slurm: "
            "--gpus-per-node), or use --device cpu",
            comm.rank(), visible.obstacle));
    });
  if (all_see && (options.device == "cuda" || !visible.are_emulated)) {
    open_gpu(comm);
    return;
  }
  open_cpu(comm);
  if (options.device != "auto" || !kHasCuda) return;
  const std::string reason = explain(visible.obstacle, comm);
  notes_.push_back(fmt::format("device auto: the CPU, for {}",
                               reason.empty() ? "this build executes GPUs on the CPU" : reason));
}

/// A CPU rank trains one client at a time unless told otherwise.
void RankDevice::open_cpu(Communicator& comm) {
  ops_ = ops::make_cpu_ops(static_cast<int>(comm.all_reduce_min(ops::cpu_level())));
  place_ = ops_->device();
  sums_ = make_host_sum(comm);
  group_ = std::max(group_, 1);
}

#ifdef FEDSELECT_HAS_CUDA
void RankDevice::open_gpu(Communicator& comm) {
  std::string gpu, place;
  together(comm, [&] {
    const int device = comm.node_rank() % cuda::visible_devices().count;
    ops_ = cuda::make_ops(device);
    gpu = name_gpu(comm);
    place = cuda::bus_id(device);
  });
  place_ = fmt::format("{} at {}", ops_->device(), place);
  const Sharing sharing = count_equal(gpu, comm);
  // Parts of a GPU (MIG) have memories of their own, but NCCL can't have two of them.
  const bool shared = count_equal(host_name() + " " + place, comm).most > 1;
  sums_ = comm.size() == 1 || shared ? cuda::make_mpi_sum(*ops_, comm)
                                     : cuda::make_nccl_sum(*ops_, comm);
  memory_ = cuda::free_memory() / static_cast<std::size_t>(std::max(sharing.here, sharers_));
  notes_.push_back(fmt::format("device {}, sums over ranks by {}{}", ops_->device(), sums_->name(),
                               shared ? " (ranks share a GPU, which NCCL can't)" : ""));
}
#else
void RankDevice::open_gpu(Communicator& /*comm*/) {}
#endif

}  // namespace fedselect
