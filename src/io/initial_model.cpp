#include "io/initial_model.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string_view>

#include "base/error.hpp"
#include "files/safetensors_header.hpp"

namespace fedselect {

namespace {

constexpr const char* kKey = "model.initial";
/// Of a file that was made for something else altogether.
constexpr std::size_t kMostListed = 50;

using Extents = std::vector<std::uint64_t>;

Extents extents(const Tensor& tensor) { return {tensor.shape.begin(), tensor.shape.end()}; }

std::string describe(const Extents& shape) { return fmt::format("({})", fmt::join(shape, ", ")); }

/// Whether two shapes are the same but for their first extent.
bool differ_in_classes(const Extents& a, const Extents& b) {
  return a.size() == b.size() && !a.empty() && a.front() != b.front() &&
         std::equal(a.begin() + 1, a.end(), b.begin() + 1);
}

/// The network's tensors beside those of a file.
class Comparison {
 public:
  Comparison(const std::vector<FloatTensor>& tensors, const ParameterLayout& layout)
      : head_(layout.head()) {
    for (const FloatTensor& tensor : tensors) given_[tensor.name] = &tensor;
    for (const auto* wanted : {&layout.tensors(), &layout.statistics()})
      for (const Tensor& tensor : *wanted) compare(tensor);
    for (const auto& [name, tensor] : given_)
      problems_.push_back(
          fmt::format("{} {} is unknown", quote_name(name), describe(tensor->shape)));
    if (!has_other_classes())
      for (const auto& [tensor, given] : other_heads_) add_shape(*tensor, *given);
  }

  /// Tensors of the network that the file has, with what it has.
  const std::vector<std::pair<const Tensor*, const FloatTensor*>>& matches() const {
    return matches_;
  }
  const std::vector<std::string>& problems() const { return problems_; }
  /// The file's number of classes if that is all that differs; 0: it doesn't differ.
  std::uint64_t other_classes() const {
    return other_heads_.empty() ? 0 : other_heads_.front().second->shape.front();
  }

 private:
  void compare(const Tensor& tensor) {
    const auto found = given_.find(tensor.name);
    if (found == given_.end()) {
      problems_.push_back(fmt::format("{} {} is missing", tensor.name, describe(extents(tensor))));
      return;
    }
    const FloatTensor& given = *found->second;
    given_.erase(found);
    if (given.shape == extents(tensor))
      add_match(tensor, given);
    else if (tensor.layer == head_ && differ_in_classes(given.shape, extents(tensor)))
      other_heads_.emplace_back(&tensor, &given);
    else
      add_shape(tensor, given);
  }
  void add_match(const Tensor& tensor, const FloatTensor& given) {
    const auto& values = given.values;
    if (std::all_of(values.begin(), values.end(), [](float x) { return std::isfinite(x); }))
      matches_.emplace_back(&tensor, &given);
    else
      problems_.push_back(fmt::format("{} has values that are not finite", tensor.name));
    if (tensor.layer == head_) head_fits_ = true;
  }
  void add_shape(const Tensor& tensor, const FloatTensor& given) {
    problems_.push_back(fmt::format("{} is {}, not {}", tensor.name, describe(given.shape),
                                    describe(extents(tensor))));
  }
  /// Whether all tensors of the head have one other number of classes, and nothing else is wrong.
  bool has_other_classes() const {
    return problems_.empty() && !head_fits_ &&
           std::all_of(other_heads_.begin(), other_heads_.end(), [&](const auto& head) {
             return head.second->shape.front() == other_classes();
           });
  }

  int head_;
  bool head_fits_ = false;  ///< a tensor of it does
  std::map<std::string_view, const FloatTensor*> given_;
  std::vector<std::pair<const Tensor*, const FloatTensor*>> matches_;
  std::vector<std::pair<const Tensor*, const FloatTensor*>> other_heads_;
  std::vector<std::string> problems_;
};

std::string list(const std::vector<std::string>& problems) {
  const auto shown = std::min(problems.size(), kMostListed);
  const std::string more =
      shown < problems.size() ? fmt::format("; and {} more", problems.size() - shown) : "";
  return fmt::format(
      "{}{}",
      fmt::join(problems.begin(), problems.begin() + static_cast<std::ptrdiff_t>(shown), "; "),
      more);
}

}  // namespace

InitialModel fill_initial_model(const std::vector<FloatTensor>& tensors, const std::string& origin,
                                const Network& network, std::uint64_t seed) {
  const Comparison comparison(tensors, network.layout());
  if (!comparison.problems().empty())
    throw InputError(
        fmt::format("{}: does not fit the model: {}: name a file of the same model, or choose the "
                    "model that it is of",
                    origin, list(comparison.problems())));
  InitialModel model{network.initial_parameters(seed), "initial model from " + origin};
  for (const auto& [tensor, given] : comparison.matches())
    std::copy(given->values.begin(), given->values.end(),
              model.values.begin() + static_cast<std::ptrdiff_t>(tensor->range.begin));
  if (comparison.other_classes() > 0)
    model.note += fmt::format("; its head is for {} classes, not {}: the head begins from the seed",
                              comparison.other_classes(), network.classes());
  return model;
}

InitialModel read_initial_model(const ModelConfig& config, const Network& network,
                                std::uint64_t seed) {
  if (config.initial.empty()) return {network.initial_parameters(seed), ""};
  try {
    return fill_initial_model(read_safetensors(config.initial), config.initial, network, seed);
  } catch (const InputError& error) {
    throw KeyError(kKey, fmt::format("{}: {}", kKey, error.what()));
  }
}

}  // namespace fedselect
