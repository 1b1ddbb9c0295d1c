#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/fields.hpp"

namespace fedselect {

enum class ModelKind { logistic, mlp, cnn };
inline constexpr std::array<std::string_view, 3> kModelNames{"logistic", "mlp", "cnn"};

/// The section [model]: the network that every client trains.
struct ModelConfig {
  ModelKind name = ModelKind::cnn;
  std::int64_t hidden = 200;  ///< width of mlp's hidden layer
};

void describe(ModelConfig& config, Fields& fields);

}  // namespace fedselect
