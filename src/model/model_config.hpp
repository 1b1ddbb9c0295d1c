#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/fields.hpp"

namespace fedselect {

enum class ModelKind { logistic, mlp, cnn, lenet5, resnet8, resnet20, resnet18 };
inline constexpr std::array<std::string_view, 7> kModelNames{
    "logistic", "mlp", "cnn", "lenet5", "resnet8", "resnet20", "resnet18"};

/// What normalises the channels of a ResNet.
enum class NormKind { batch, group };
inline constexpr std::array<std::string_view, 2> kNormNames{"batch", "group"};

/// How resnet18 begins.
enum class StemKind {
  cifar,     ///< convolution 3 x 3, stride 1
  imagenet,  ///< torchvision's: convolution 7 x 7, stride 2, then max pooling 3 x 3, stride 2
};
inline constexpr std::array<std::string_view, 2> kStemNames{"cifar", "imagenet"};

/// The section [model]: the network that every client trains. docs/networks.md.
struct ModelConfig {
  ModelKind name = ModelKind::cnn;
  std::int64_t hidden = 200;        ///< width of mlp's hidden layer
  NormKind norm = NormKind::batch;  ///< of the ResNets
  std::int64_t groups = 8;          ///< of group norm
  StemKind stem = StemKind::cifar;  ///< of resnet18
  std::string initial = {};         ///< safetensors file to begin from; empty: drawn from the seed
};

void describe(ModelConfig& config, Fields& fields);

}  // namespace fedselect
