#include "data/data_config.hpp"

namespace fedselect {

void describe(DataConfig& config, Fields& fields) {
  fields.text("path", config.path, "folder of the four IDX files, plain or .gz");
  fields.check(!config.path.empty(), "path",
               "is empty (no folder to read from): name the folder of the four IDX files");
  fields.integer("clients", config.clients, kCount, "number of clients that share the data set");
  fields.choice("partition", config.partition, kPartitionNames,
                "how clients share the samples: few classes each (shards), skewed classes "
                "(dirichlet), evenly (iid), skewed sizes (quantity)");
  const bool by_label = config.partition == PartitionKind::shards;
  const bool by_weight =
      config.partition == PartitionKind::dirichlet || config.partition == PartitionKind::quantity;
  constexpr std::string_view kShardsOnly =
      "means something with partition = \"shards\" only: remove it, or set that";
  constexpr std::string_view kWeightsOnly =
      "means something with partition = \"dirichlet\" or \"quantity\" only: remove it, or set one";
  fields.applies(by_label, "classes_per_client", kShardsOnly);
  fields.integer("classes_per_client", config.classes_per_client, kCount,
                 "shards: label shards that each client holds");
  fields.applies(by_label, "train_per_class", kShardsOnly);
  fields.integer("train_per_class", config.train_per_class, kCountOrAll,
                 "shards: training samples per client and class; 0 = all of the shard");
  fields.applies(by_label, "test_per_class", kShardsOnly);
  fields.integer("test_per_class", config.test_per_class, kCountOrAll,
                 "shards: test samples per client and class; 0 = all of the shard");
  fields.applies(by_weight, "beta", kWeightsOnly);
  fields.real("beta", config.beta, kPositive,
              "dirichlet, quantity: concentration; small = skewed, large = even");
  fields.applies(by_weight, "min_samples", kWeightsOnly);
  fields.integer("min_samples", config.min_samples, kCount,
                 "dirichlet, quantity: least training samples of a client");
}

}  // namespace fedselect
