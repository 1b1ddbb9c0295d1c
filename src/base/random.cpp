#include "base/random.hpp"

#include <cmath>
#include <numbers>

namespace fedselect {

// The name fills 128 + 64 bits of Philox: the key is a hash of seed and purpose, the counter holds
// client, round, step and the block number within the stream.
RandomStream::RandomStream(std::uint64_t seed, Purpose purpose, std::uint32_t client,
                           std::uint32_t round, std::uint32_t step) {
  const r123::Philox4x32::ctr_type name{{static_cast<std::uint32_t>(seed),
                                         static_cast<std::uint32_t>(seed >> 32),
                                         static_cast<std::uint32_t>(purpose), 0}};
  const auto mixed = philox_(name, {{0x66656473U, 0x656c6563U}});
  key_ = {{mixed[0], mixed[1]}};
  counter_ = {{0, client, round, step}};
}

RandomStream::result_type RandomStream::operator()() {
  if (used_ == 4) {
    block_ = philox_(counter_, key_);
    ++counter_[0];
    used_ = 0;
  }
  return block_[static_cast<std::size_t>(used_++)];
}

double RandomStream::uniform() {
  const std::uint64_t high = (*this)();
  const std::uint64_t bits = (high << 21) ^ ((*this)() >> 11);
  return static_cast<double>(bits) * 0x1p-53;
}

std::uint64_t RandomStream::below(std::uint64_t n) {
  // Rejection of the last, incomplete multiple of n.
  const std::uint64_t limit =
      std::numeric_limits<std::uint64_t>::max() - std::numeric_limits<std::uint64_t>::max() % n;
  while (true) {
    const std::uint64_t high = (*this)();
    const std::uint64_t bits = (high << 32) | (*this)();
    if (bits < limit) return bits % n;
  }
}

double RandomStream::normal() {
  const double radius = std::sqrt(-2 * std::log(1 - uniform()));
  return radius * std::cos(2 * std::numbers::pi * uniform());
}

double RandomStream::gamma(double shape) {
  if (shape < 1) {
    const double boost = std::pow(1 - uniform(), 1 / shape);
    return gamma(shape + 1) * boost;
  }
  const double d = shape - 1.0 / 3;
  const double c = 1 / std::sqrt(9 * d);
  while (true) {
    const double x = normal();
    const double v = std::pow(1 + c * x, 3);
    if (v > 0 && std::log(1 - uniform()) < x * x / 2 + d - d * v + d * std::log(v)) return d * v;
  }
}

}  // namespace fedselect
