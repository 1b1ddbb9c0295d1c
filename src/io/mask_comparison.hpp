#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "base/bits.hpp"
#include "model/parameter_layout.hpp"

namespace fedselect {

/// Compares the masks of n clients pair by pair, tensor by tensor, as they arrive.
///
/// Masks that are equal are kept and compared once. With m different ones: at most m d / 8 bytes of
/// memory, and 8 n^2 a tensor; m^2 d / 128 operations on words.
class MaskComparison {
 public:
  MaskComparison(const ParameterLayout& layout, std::size_t clients);

  /// The next client's mask, as pack_mask() makes it.
  void add(std::span<const std::byte> row);
  bool is_complete() const { return mask_of_.size() == clients_; }

  /// Memory for so many clients, of whose masks `different` ones are to be kept.
  static std::size_t bytes(const ParameterLayout& layout, std::size_t clients,
                           std::size_t different);

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
  struct Kept {
    std::size_t client;                ///< the first one that has it
    std::vector<std::int64_t> counts;  ///< ones in each tensor
  };
  using Masks = std::map<std::vector<Word>, Kept>;

  std::vector<std::int64_t> count_ones(const std::vector<Word>& mask) const;
  void compare(const Masks::value_type& a, const Masks::value_type& b);
  void copy_pair(std::size_t a, std::size_t b, std::size_t like_a, std::size_t like_b);

  std::size_t clients_;
  std::vector<std::size_t> sizes_;  ///< parameters of each tensor
  Masks masks_;
  std::vector<const Masks::value_type*> mask_of_;  ///< of the clients so far
  std::vector<float> iou_;
  std::vector<float> chance_;
  std::vector<std::int64_t> hamming_;
};

}  // namespace fedselect
