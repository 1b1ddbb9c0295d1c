#include "comm/device_sum.hpp"

namespace fedselect {

namespace {

class HostSum final : public DeviceSum {
 public:
  explicit HostSum(Communicator& comm) : comm_(comm) {}
  void all_reduce(std::span<std::int64_t> device) override { comm_.all_reduce_sum(device); }
  void all_reduce(std::span<std::uint32_t> device) override { comm_.all_reduce_sum(device); }
  std::string name() const override { return "MPI"; }

 private:
  Communicator& comm_;
};

}  // namespace

std::unique_ptr<DeviceSum> make_host_sum(Communicator& comm) {
  return std::make_unique<HostSum>(comm);
}

}  // namespace fedselect
