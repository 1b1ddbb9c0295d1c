#pragma once

#include "model/model_config.hpp"
#include "model/network_builder.hpp"

namespace fedselect {

/// Writes down the network that the config names, from the image to the logits. docs/networks.md.
/// Throws KeyError if the image is too small for it.
void build_network(const ModelConfig& config, int classes, NetworkBuilder& net);

}  // namespace fedselect
