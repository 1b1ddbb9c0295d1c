#include <fmt/format.h>
#include <nccl.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <span>
#include <vector>

#include "base/error.hpp"
#include "cuda_device.hpp"
#include "cuda_ops.hpp"

namespace fedselect::cuda {

namespace {

void check_nccl(ncclResult_t code, const char* call) {
  if (code == ncclSuccess) return;
  throw SystemError(fmt::format("{}: {} (NCCL_DEBUG=INFO in the environment makes NCCL say more)",
                                call, ncclGetErrorString(code)));
}
#define FEDSELECT_NCCL(call) check_nccl((call), #call)

class NcclSum final : public DeviceSum {
 public:
  NcclSum(CudaOps& ops, Communicator& comm) : ops_(ops) {
    ncclUniqueId id{};
    if (comm.is_root()) FEDSELECT_NCCL(ncclGetUniqueId(&id));
    std::vector<std::byte> bytes(sizeof(id));
    std::memcpy(bytes.data(), &id, sizeof(id));
    comm.broadcast(bytes, 0);
    std::memcpy(&id, bytes.data(), sizeof(id));
    FEDSELECT_NCCL(ncclCommInitRank(&comm_, comm.size(), id, comm.rank()));
  }
  /// Destroying waits for the other ranks of the node, which never come while an exception ends
  /// this one.
  ~NcclSum() override {
    if (std::uncaught_exceptions() > 0)
      ncclCommAbort(comm_);
    else
      ncclCommDestroy(comm_);
  }

  void all_reduce(std::span<std::int64_t> device) override {
    sum(device.data(), device.size(), ncclInt64);
  }
  void all_reduce(std::span<std::uint32_t> device) override {
    sum(device.data(), device.size(), ncclUint32);
  }
  std::string name() const override {
    int version = 0;
    FEDSELECT_NCCL(ncclGetVersion(&version));
    return fmt::format("NCCL {}.{}.{}", version / 10000, version / 100 % 100, version % 100);
  }

 private:
  void sum(void* device, std::size_t count, ncclDataType_t type) {
    FEDSELECT_NCCL(ncclAllReduce(device, device, count, type, ncclSum, comm_, ops_.stream()));
  }

  CudaOps& ops_;
  ncclComm_t comm_ = nullptr;
};

class MpiSum final : public DeviceSum {
 public:
  MpiSum(CudaOps& ops, Communicator& comm) : ops_(ops), comm_(comm) {}

  void all_reduce(std::span<std::int64_t> device) override { sum(device); }
  void all_reduce(std::span<std::uint32_t> device) override { sum(device); }
  std::string name() const override {
    return is_cuda_aware_ ? "MPI, from the GPU's memory" : "MPI, through host memory";
  }

 private:
  template <class T>
  void sum(std::span<T> device) {
    if (comm_.size() == 1) return;
    if (is_cuda_aware_) {
      ops_.synchronize();
      comm_.all_reduce_sum(device);
      return;
    }
    std::vector<T> host(std::min(device.size(), kPiece));
    for (std::size_t at = 0; at < device.size(); at += kPiece) {
      const auto piece = device.subspan(at, std::min(kPiece, device.size() - at));
      const auto values = std::span(host).first(piece.size());
      ops_.download(values.data(), piece.data(), piece.size_bytes());
      comm_.all_reduce_sum(values);
      ops_.upload(piece.data(), values.data(), piece.size_bytes());
    }
  }

  static constexpr std::size_t kPiece = std::size_t{1} << 20;

  CudaOps& ops_;
  Communicator& comm_;
  bool is_cuda_aware_ = mpi_is_cuda_aware();
};

}  // namespace

std::unique_ptr<DeviceSum> make_nccl_sum(ops::Ops& ops, Communicator& comm) {
  return std::make_unique<NcclSum>(dynamic_cast<CudaOps&>(ops), comm);
}

std::unique_ptr<DeviceSum> make_mpi_sum(ops::Ops& ops, Communicator& comm) {
  return std::make_unique<MpiSum>(dynamic_cast<CudaOps&>(ops), comm);
}

}  // namespace fedselect::cuda
