#include <smpi/smpi.h>

#include <cstring>

#include "ops/cpu/cpu_ops.hpp"
#include "workplace.hpp"

namespace fedselect::bench {

namespace {

/// Arrays that all ranks have in common: the n-th of one rank is the n-th of every other.
class FoldedOps final : public ops::cpu::CpuOps {
 public:
  std::shared_ptr<void> allocate(std::size_t bytes) override {
    void* memory = smpi_shared_malloc(bytes + kAlignment, "FoldedOps", ++allocations_);
    auto* begin = static_cast<std::byte*>(memory);
    begin += -reinterpret_cast<std::uintptr_t>(begin) % kAlignment;
    std::memset(begin, 0, bytes);
    return {begin, [memory](void*) { smpi_shared_free(memory); }};
  }

 private:
  int allocations_ = 0;
};

}  // namespace

/// The hosts of simulator.py do 10^9 operations a second.
void compute(double seconds) { smpi_execute_flops(1e9 * seconds); }

std::unique_ptr<ops::Ops> make_ops(bool folded) {
  if (folded) return std::make_unique<FoldedOps>();
  return ops::make_cpu_ops();
}

}  // namespace fedselect::bench
