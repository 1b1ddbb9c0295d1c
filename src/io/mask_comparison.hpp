#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bits.hpp"
#include "model/parameter_layout.hpp"

namespace fedselect {

/// Compares the masks of n clients pair by pair, tensor by tensor, as they arrive.
///
/// Memory: n d / 8 bytes, and 16 n^2 bytes a tensor. Time: n^2 d / 128 operations on words.
class MaskComparison {
 public:
  MaskComparison(const ParameterLayout& layout, std::size_t clients);

  /// The next client's mask, as pack_mask() makes it.
  void add(std::span<const std::byte> row);
  bool is_complete() const { return masks_.size() == clients_; }

  std::size_t clients() const { return clients_; }
  std::size_t tensors() const { return sizes_.size(); }
  /// [tensor][client][client] size of the intersection over that of the union; NaN: both are empty.
  std::span<const float> iou() const { return iou_; }
  /// The IoU of independent masks with the two clients' fractions f and g of ones: f g / (f + g - f
  /// g); NaN: both are empty.
  std::span<const float> chance_iou() const { return chance_; }
  /// [client][client] parameters in which the masks differ.
  std::span<const std::int64_t> hamming() const { return hamming_; }

 private:
  void compare(std::size_t a, std::size_t b);

  std::size_t clients_;
  std::vector<std::size_t> sizes_;                 ///< parameters of each tensor
  std::vector<std::vector<Word>> masks_;           ///< of the clients so far
  std::vector<std::vector<std::int64_t>> counts_;  ///< ones of each client in each tensor
  std::vector<float> iou_;
  std::vector<float> chance_;
  std::vector<std::int64_t> hamming_;
};

}  // namespace fedselect
