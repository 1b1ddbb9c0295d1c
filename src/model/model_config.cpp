#include "model/model_config.hpp"

namespace fedselect {

void describe(ModelConfig& config, Fields& fields) {
  fields.choice("name", config.name, kModelNames, "the network that every client trains");
  const bool is_resnet = config.name >= ModelKind::resnet8;
  const auto in_groups = [&] { return is_resnet && config.norm == NormKind::group; };
  fields.applies(config.name == ModelKind::mlp, "hidden",
                 "only mlp has a hidden layer to size: remove it, or set name = \"mlp\"");
  fields.integer("hidden", config.hidden, kCount, "width of mlp's hidden layer");
  fields.applies(is_resnet, "norm",
                 "only the ResNets have norm layers: remove it, or set name = \"resnet8\"");
  fields.choice("norm", config.norm, kNormNames, "what a ResNet's norm layers average over");
  fields.applies(in_groups(), "groups",
                 "only group norm has groups: remove it, or set norm = \"group\"");
  fields.integer("groups", config.groups, kCount, "groups of channels of each group norm");
  const std::int64_t narrowest = config.name == ModelKind::resnet18 ? 64 : 16;
  fields.check(!in_groups() || narrowest % config.groups == 0, "groups",
               narrowest == 64 ? "must divide 64, the channels of the narrowest layer"
                               : "must divide 16, the channels of the narrowest layer");
  fields.applies(config.name == ModelKind::resnet18, "stem",
                 "only resnet18 has two: remove it, or set name = \"resnet18\"");
  fields.choice("stem", config.stem, kStemNames, "resnet18's first layers");
  fields.text("initial", config.initial,
              "a safetensors file with the model that all begin from, in PyTorch's names; empty: "
              "drawn from the seed");
}

}  // namespace fedselect
