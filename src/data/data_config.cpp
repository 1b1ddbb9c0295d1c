#include "data/data_config.hpp"

namespace fedselect {

namespace {

constexpr std::int64_t kUsualClients = 10;

void describe_source(DataConfig& config, Fields& fields) {
  fields.text("path", config.path, "folder or file of the data set");
  fields.check(!config.path.empty(), "path",
               "is empty (nowhere to read from): name the folder or file of a data set");
  fields.choice("format", config.format, kFormatNames,
                "of the data set's files (docs/data.md); auto looks at what is there");
}

void describe_clients(DataConfig& config, Fields& fields) {
  fields.choice("partition", config.partition, kPartitionNames,
                "how clients share the samples: few classes each (shards), skewed classes "
                "(dirichlet), evenly (iid), skewed sizes (quantity), as the data set says (natural "
                "clients, domain), as a file says (file)");
  const bool come_with_data = clients_come_with_data(config.partition);
  // The default depends on the kind; a number that is there already stays.
  if (!come_with_data && config.clients == 0) config.clients = kUsualClients;
  fields.integer("clients", config.clients, come_with_data ? kCountOrAll : kCount,
                 "number of clients that share the data set; natural, domain, file: 0 = all");
  const bool is_file = config.partition == PartitionKind::file;
  fields.text("partition_file", config.partition_file,
              "file: HDF5 file with /partition/train_indices and so on, such as a result.h5");
  fields.check(!is_file || !config.partition_file.empty(), "partition_file",
               "is empty (partition = \"file\" has nothing to read): name an HDF5 file");
  fields.check(is_file || config.partition_file.empty(), "partition_file",
               "means something with partition = \"file\" only: remove it, or set that");
}

}  // namespace

void describe(DataConfig& config, Fields& fields) {
  describe_source(config, fields);
  describe_clients(config, fields);
  fields.integer("classes_per_client", config.classes_per_client, kCount,
                 "shards: label shards that each client holds");
  fields.integer("train_per_class", config.train_per_class, kCountOrAll,
                 "shards: training samples per client and class; 0 = all of the shard");
  fields.integer("test_per_class", config.test_per_class, kCountOrAll,
                 "shards: test samples per client and class; 0 = all of the shard");
  fields.real("beta", config.beta, kPositive,
              "dirichlet, quantity: concentration; small = skewed, large = even");
  fields.integer("min_samples", config.min_samples, kCount,
                 "dirichlet, quantity: least training samples of a client");
}

}  // namespace fedselect
