#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/bits.hpp"
#include "ops/ops.hpp"

namespace fedselect {

/// What a tensor is to its layer; rules for masks and selection go by this, not by names.
enum class TensorKind { weight, bias };

/// A named tensor of the parameter vector.
struct Tensor {
  std::string name;        ///< PyTorch's: "conv1.weight"
  std::vector<int> shape;  ///< PyTorch's order: [out][in][kernel][kernel]
  TensorKind kind = TensorKind::weight;
  int layer = 0;     ///< layer with parameters to which it belongs, from 0 at the input
  ops::Range range;  ///< where its values stand in the padded vector

  std::size_t size() const { return range.size; }
};

/// How the named tensors of a model lie in one flat float32 vector.
///
/// Each tensor begins at a multiple of 64 values, so its mask bits begin a word and vector loads
/// are aligned. The values between tensors are padding: always 0, never personal, never counted.
class ParameterLayout {
 public:
  /// Appends a tensor behind the others.
  void add(std::string name, std::vector<int> shape, TensorKind kind, int layer);

  const std::vector<Tensor>& tensors() const { return tensors_; }
  /// One range a tensor, in order.
  const std::vector<ops::Range>& ranges() const { return ranges_; }

  /// Number of parameters, d.
  std::size_t size() const { return size_; }
  /// Length of the vector with padding; a multiple of 64.
  std::size_t padded_size() const { return padded_size_; }
  std::size_t words() const { return padded_size_ / kWordBits; }
  /// Number of layers with parameters.
  int layers() const { return tensors_.empty() ? 0 : tensors_.back().layer + 1; }
  /// The last layer: the head, which maps features to classes.
  int head() const { return layers() - 1; }

 private:
  std::vector<Tensor> tensors_;
  std::vector<ops::Range> ranges_;
  std::size_t size_ = 0;
  std::size_t padded_size_ = 0;
};

}  // namespace fedselect
