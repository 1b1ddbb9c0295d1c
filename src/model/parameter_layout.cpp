#include "model/parameter_layout.hpp"

#include <utility>

#include "base/aligned.hpp"

namespace fedselect {

void ParameterLayout::add(std::string name, std::vector<int> shape, TensorKind kind, int layer) {
  std::size_t size = 1;
  for (const int extent : shape) size *= static_cast<std::size_t>(extent);
  const ops::Range range{padded_size_, size};
  tensors_.push_back({std::move(name), std::move(shape), kind, layer, range});
  ranges_.push_back(range);
  size_ += size;
  padded_size_ += round_up(size, kWordBits);
}

}  // namespace fedselect
