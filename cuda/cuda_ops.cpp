#include "cuda_ops.hpp"

#include <fmt/format.h>
#include <nvtx3/nvToolsExt.h>

#include <algorithm>

#include "base/aligned.hpp"
#include "base/error.hpp"
#include "base/pulse.hpp"
#include "cuda_device.hpp"

namespace fedselect::cuda {

namespace {

constexpr std::size_t kMostConstants = 4096;
constexpr std::size_t kMostReplays = 256;
constexpr std::size_t kMostClients = 65535;

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Stream open_device(int device) {
  FEDSELECT_CUDA(cudaSetDevice(device));
  return make_stream();
}

}  // namespace

int count_of(const DeviceGroup& group, std::size_t per_sample) {
  constexpr std::size_t kMost =
      (std::size_t{1} << 31) - (std::size_t{1} << 25);  // and a grid's step
  const std::size_t count = static_cast<std::size_t>(group.most) * per_sample;
  if (count > kMost)
    throw InputError(fmt::format(
        "a GPU's kernels count {} values of a layer, and a batch of {} samples has {} each: "
        "set a smaller train.batch or evaluate.batch",
        kMost, group.most, per_sample));
  return static_cast<int>(count);
}

CudaOps::CudaOps(int device)
    : device_(device), stream_(open_device(device)), arena_(stream_.get()) {
  cudaDeviceProp properties{};
  FEDSELECT_CUDA(cudaGetDeviceProperties(&properties, device));
  name_ = fmt::format("cuda:{} ({})", device, properties.name);
  samples_ = make_device_memory(kMostClients * sizeof(int));
  reached_ = make_event();
  for (Event& event : begun_) event = make_event();
}

CudaOps::~CudaOps() {
  cudaStreamSynchronize(stream_.get());
  if (in_phase_) nvtxRangePop();
}

std::string CudaOps::device() const { return name_; }

/// A range of NVTX, which Nsight draws over the kernels.
void CudaOps::enter_phase(std::string_view name) {
  if (in_phase_) nvtxRangePop();
  nvtxRangePushA(std::string(name).c_str());
  in_phase_ = true;
}

Ops& CudaOps::beside() {
  if (!beside_) beside_ = std::make_unique<CudaOps>(device_);
  return *beside_;
}

void CudaOps::after(Ops& other) {
  auto& before = dynamic_cast<CudaOps&>(other);
  FEDSELECT_CUDA(cudaEventRecord(before.reached_.get(), before.stream_.get()));
  FEDSELECT_CUDA(cudaStreamWaitEvent(stream_.get(), before.reached_.get(), 0));
}

void CudaOps::begin_batch() {
  const Event& begun = begun_[batches_ % kBatchesAhead];
  if (batches_ >= kBatchesAhead) FEDSELECT_CUDA(cudaEventSynchronize(begun.get()));
  FEDSELECT_CUDA(cudaEventRecord(begun.get(), stream_.get()));
  ++batches_;
}

void CudaOps::finish_batches() {
  for (std::size_t i = batches_ - std::min(batches_, kBatchesAhead); i < batches_; ++i) {
    FEDSELECT_CUDA(cudaEventSynchronize(begun_[i % kBatchesAhead].get()));
    pulse::beat();
  }
  batches_ = 0;
}

void CudaOps::synchronize() { FEDSELECT_CUDA(cudaStreamSynchronize(stream_.get())); }

std::shared_ptr<void> CudaOps::allocate(std::size_t bytes) {
  auto memory = std::make_shared<DeviceMemory>(
      make_device_memory(round_up(std::max<std::size_t>(bytes, 1), kAlignment)));
  zero(memory->get(), bytes);
  return {memory, memory->get()};
}

void CudaOps::upload(void* device, const void* host, std::size_t bytes) {
  pinned_.upload(stream_.get(), device, host, bytes);
}

void CudaOps::download(void* host, const void* device, std::size_t bytes) {
  pinned_.download(stream_.get(), host, device, bytes);
}

void CudaOps::copy(void* to, const void* from, std::size_t bytes) {
  if (bytes != 0)
    FEDSELECT_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream_.get()));
}

void CudaOps::zero(void* device, std::size_t bytes) {
  if (bytes != 0) FEDSELECT_CUDA(cudaMemsetAsync(device, 0, bytes, stream_.get()));
}

std::shared_ptr<const void> CudaOps::place(const void* host, std::size_t bytes) {
  auto memory = std::make_shared<DeviceMemory>(make_device_memory(bytes));
  upload(memory->get(), host, bytes);
  return {memory, memory->get()};
}

const void* CudaOps::constant_bytes(std::span<const std::byte> bytes) {
  if (bytes.empty()) return nullptr;
  const auto [entry, is_new] = constants_.try_emplace(text_of(bytes));
  if (!is_new) return entry->second.get();
  expect(!capturing_, "what a replay depends on was there the first time");
  entry->second = make_device_memory(bytes.size());
  upload(entry->second.get(), bytes.data(), bytes.size());
  return entry->second.get();
}

/// All groups have one place on the device, at which what was asked for before is done reading when
/// the next one's numbers arrive.
DeviceGroup CudaOps::on_device(const Group& group) {
  if (constants_.size() > kMostConstants && !capturing_) forget();
  DeviceGroup seen{.clients = group.size(), .samples = static_cast<const int*>(samples_.get())};
  for (const int samples : group.samples) seen.most = std::max(seen.most, samples);
  if (seen.most == 0 || std::ranges::equal(group.samples, samples_now_)) return seen;
  expect(!capturing_, "what is recorded is of the replay's group");
  expect(group.samples.size() <= kMostClients, "a grid has a row of blocks for each client");
  samples_now_.assign(group.samples.begin(), group.samples.end());
  upload(samples_.get(), samples_now_.data(), group.samples.size_bytes());
  return seen;
}

DeviceRanges CudaOps::on_device(std::span<const Range> ranges) {
  std::vector<unsigned> first_chunk{0};
  for (const Range& range : ranges)
    first_chunk.push_back(first_chunk.back() +
                          static_cast<unsigned>((range.size + kChunk - 1) / kChunk));
  DeviceRanges seen{.count = static_cast<int>(ranges.size()), .chunks = first_chunk.back()};
  if (seen.chunks == 0) return seen;
  seen.ranges = constant(ranges);
  seen.first_chunk = constant(std::span<const unsigned>(first_chunk));
  return seen;
}

void CudaOps::forget() {
  synchronize();
  replays_.clear();
  constants_.clear();
}

/// The first time only warms up: constants go to the device, the arena grows. The second time is
/// recorded: for any group of so many clients whose largest batch is as large, for kernels read the
/// numbers of samples where on_device() puts them.
void CudaOps::replay(std::span<const std::uint64_t> key, const Group& group,
                     const std::function<void()>& work) {
  const DeviceGroup here = on_device(group);
  if (here.most == 0) return work();
  if (replays_.size() > kMostReplays) forget();
  if (arena_generation_ != arena_.generation()) {
    synchronize();
    replays_.clear();
    arena_generation_ = arena_.generation();
  }
  const std::array grid{here.clients, here.most};
  const std::string of_group =
      text_of(std::as_bytes(key)) + text_of(std::as_bytes(std::span(grid)));
  const auto [entry, is_new] = replays_.try_emplace(of_group);
  if (is_new) return work();
  Graph& graph = entry->second;
  if (!graph) {
    capturing_ = true;
    try {
      graph = capture(stream_.get(), work);
    } catch (...) {
      capturing_ = false;
      throw;
    }
    capturing_ = false;
  }
  FEDSELECT_CUDA(cudaGraphLaunch(graph.get(), stream_.get()));
}

}  // namespace fedselect::cuda
