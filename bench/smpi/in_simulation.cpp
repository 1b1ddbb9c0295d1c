#include <smpi/smpi.h>

#include "ops/cpu/cpu_ops.hpp"
#include "workplace.hpp"

namespace fedselect::bench {

namespace {

constexpr std::size_t kLong = std::size_t{2} << 20;  ///< bytes; masks are shorter

/// Leaves the arrays of parameters as they are.
class IdleOps final : public ops::cpu::CpuOps {
 public:
  std::shared_ptr<void> allocate(std::size_t bytes) override {
    auto* memory = static_cast<std::byte*>(::operator new(bytes + kAlignment));
    auto* begin = memory + -reinterpret_cast<std::uintptr_t>(memory) % kAlignment;
    zero(begin, bytes);
    return {begin, [memory](void*) { ::operator delete(memory); }};
  }
  void copy(void* /*to*/, const void* /*from*/, std::size_t /*bytes*/) override {}
  void zero(void* device, std::size_t bytes) override {
    if (bytes < kLong) CpuOps::zero(device, bytes);
  }
  std::ptrdiff_t accumulate(const ops::Group& /*group*/, std::size_t /*size*/,
                            const ops::FixedPoint& /*fixed*/,
                            std::span<const std::uint32_t> /*weights*/, ops::ConstValues /*theta*/,
                            ops::ConstBits /*mask*/, const ops::SumView& /*sum*/) override {
    return -1;
  }
  void divide(std::size_t /*size*/, const ops::FixedPoint& /*fixed*/, const ops::SumView& /*sum*/,
              float* /*global*/) override {}
};

}  // namespace

/// The hosts of simulator.py do 10^9 operations a second.
void compute(double seconds) { smpi_execute_flops(1e9 * seconds); }

std::unique_ptr<ops::Ops> make_ops(bool idle) {
  if (idle) return std::make_unique<IdleOps>();
  return ops::make_cpu_ops();
}

}  // namespace fedselect::bench
