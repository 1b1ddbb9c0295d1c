#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/fields.hpp"

namespace fedselect {

enum class ModelKind { logistic, mlp, cnn };
inline constexpr std::array<std::string_view, 3> kModelNames{"logistic", "mlp", "cnn"};

/// The section [model]: the network that every client trains.
struct ModelConfig {
  ModelKind name = ModelKind::cnn;
  std::int64_t hidden = 200;  ///< width of mlp's hidden layer
  std::string initial = {};   ///< safetensors file to begin from; empty: drawn from the seed
};

void describe(ModelConfig& config, Fields& fields);

}  // namespace fedselect
