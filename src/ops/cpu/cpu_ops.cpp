#include "ops/cpu/cpu_ops.hpp"

#include <fmt/format.h>

#include <cstring>

namespace fedselect::ops {

int cpu_level() { return static_cast<int>(cpu::best_isa()); }

std::unique_ptr<Ops> make_cpu_ops(int level) {
  return std::make_unique<cpu::CpuOps>(static_cast<cpu::Isa>(level));
}

}  // namespace fedselect::ops

namespace fedselect::ops::cpu {

Isa best_isa() {
#ifdef FEDSELECT_X86_KERNELS
  if (__builtin_cpu_supports("x86-64-v4")) return Isa::avx512;
  if (__builtin_cpu_supports("x86-64-v3")) return Isa::avx2;
#endif
  return Isa::baseline;
}

std::string_view to_string(Isa isa) {
  switch (isa) {
    case Isa::avx512: return "AVX-512";
    case Isa::avx2: return "AVX2";
    case Isa::baseline: break;
  }
  return "baseline";
}

CpuOps::CpuOps(Isa isa)
    : layers_(layer_kernels(isa)), parameters_(parameter_kernels(isa)), isa_(isa) {}

std::string CpuOps::device() const { return fmt::format("cpu ({})", to_string(isa_)); }

std::shared_ptr<void> CpuOps::allocate(std::size_t bytes) {
  auto memory = std::make_shared<AlignedVector<std::byte>>(round_up(bytes, kAlignment));
  return {memory, memory->data()};
}

void CpuOps::upload(void* device, const void* host, std::size_t bytes) {
  copy(device, host, bytes);
}
void CpuOps::download(void* host, const void* device, std::size_t bytes) {
  copy(host, device, bytes);
}
void CpuOps::copy(void* to, const void* from, std::size_t bytes) {
  if (bytes != 0) std::memcpy(to, from, bytes);
}
void CpuOps::zero(void* device, std::size_t bytes) {
  if (bytes != 0) std::memset(device, 0, bytes);
}
std::shared_ptr<const void> CpuOps::place(const void* host, std::size_t /*bytes*/) {
  return {std::shared_ptr<const void>(), host};
}

void CpuOps::replay(std::span<const std::uint64_t> /*key*/, const Group& /*group*/,
                    const std::function<void()>& work) {
  work();
}

void CpuOps::bits_and_not(const Group& group, std::size_t words, ConstBits a, ConstBits b,
                          Bits out) {
  for (int g = 0; g < group.size(); ++g)
    for (std::size_t w = 0; w < words; ++w) out[g][w] = a[g][w] & ~b[g][w];
}

void CpuOps::bits_or(const Group& group, std::size_t words, ConstBits a, ConstBits b, Bits out) {
  for (int g = 0; g < group.size(); ++g)
    for (std::size_t w = 0; w < words; ++w) out[g][w] = a[g][w] | b[g][w];
}

float* CpuOps::scratch(std::size_t floats) {
  if (scratch_.size() < floats) scratch_.resize(floats);
  return scratch_.data();
}

}  // namespace fedselect::ops::cpu
