#include "model/parameter_layout.hpp"

#include <utility>

#include "base/aligned.hpp"

namespace fedselect {

void ParameterLayout::add(std::string name, std::vector<int> shape, TensorKind kind, int layer,
                          bool norm) {
  std::size_t size = 1;
  for (const int extent : shape) size *= static_cast<std::size_t>(extent);
  const std::size_t span = round_up(size, kWordBits);
  if (kind == TensorKind::statistic) {
    statistics_.push_back(
        {std::move(name), std::move(shape), kind, layer, norm, {padded_size(), size}});
    statistic_size_ += size;
    statistic_span_ += span;
    return;
  }
  ranges_.push_back({parameter_span_, size});
  tensors_.push_back({std::move(name), std::move(shape), kind, layer, norm, ranges_.back()});
  size_ += size;
  parameter_span_ += span;
  for (Tensor& statistic : statistics_) statistic.range.begin += span;
}

}  // namespace fedselect
