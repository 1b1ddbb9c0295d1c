#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/bits.hpp"
#include "ops/ops.hpp"

namespace fedselect {

/// What a tensor is to its layer; rules for masks and selection go by this, not by names.
enum class TensorKind {
  weight,
  bias,
  statistic,  ///< running mean or variance of a norm layer: follows the data, is never trained
};

/// A named tensor of the parameter vector.
struct Tensor {
  std::string name;        ///< PyTorch's: "conv1.weight"
  std::vector<int> shape;  ///< PyTorch's order: [out][in][kernel][kernel]
  TensorKind kind = TensorKind::weight;
  int layer = 0;      ///< layer with parameters to which it belongs, from 0 at the input
  bool norm = false;  ///< belongs to a norm layer, which is a layer of its own
  ops::Range range;   ///< where its values stand in the padded vector

  std::size_t size() const { return range.size; }
};

/// How the named tensors of a model lie in one flat float32 vector: all parameters, then all
/// statistics.
///
/// Each tensor begins at a multiple of 64 values, so its mask bits begin a word and vector loads
/// are aligned. The values between tensors are padding: always 0, never personal, never counted.
/// Statistics are shared, personal and stored as parameters are, by their bits of the mask; they
/// have no gradient, are never selected, and don't count in d.
class ParameterLayout {
 public:
  /// Appends a tensor behind the others of its region. A parameter moves all statistics, so take
  /// ranges of statistics when the layout is complete.
  void add(std::string name, std::vector<int> shape, TensorKind kind, int layer, bool norm = false);

  /// The trainable parameters.
  const std::vector<Tensor>& tensors() const { return tensors_; }
  /// One range a parameter tensor, in order.
  const std::vector<ops::Range>& ranges() const { return ranges_; }
  /// Running means and variances, behind the parameters; empty without batch norm.
  const std::vector<Tensor>& statistics() const { return statistics_; }

  /// Number of parameters, d.
  std::size_t size() const { return size_; }
  /// Number of values in statistics().
  std::size_t statistic_size() const { return statistic_size_; }
  /// Padded length of the parameters alone, where the statistics begin; a multiple of 64.
  std::size_t parameter_span() const { return parameter_span_; }
  /// Length of the whole vector with padding; a multiple of 64.
  std::size_t padded_size() const { return parameter_span_ + statistic_span_; }
  /// Words of a mask over the whole vector.
  std::size_t words() const { return padded_size() / kWordBits; }
  /// Number of layers with parameters.
  int layers() const { return tensors_.empty() ? 0 : tensors_.back().layer + 1; }
  /// The last layer: the head, which maps features to classes.
  int head() const { return layers() - 1; }

 private:
  std::vector<Tensor> tensors_;
  std::vector<Tensor> statistics_;
  std::vector<ops::Range> ranges_;
  std::size_t size_ = 0;
  std::size_t statistic_size_ = 0;
  std::size_t parameter_span_ = 0;
  std::size_t statistic_span_ = 0;
};

}  // namespace fedselect
