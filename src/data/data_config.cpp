#include "data/data_config.hpp"

namespace fedselect {

namespace {

constexpr std::int64_t kUsualClients = 10;
constexpr Interval kSideOrOwn{.low = 0, .high = 4096};
constexpr Interval kOpenFraction{.low = 0, .high = 1, .open_low = true, .open_high = true};

void describe_source(DataConfig& config, Fields& fields) {
  fields.text("path", config.path, "folder or file of the data set");
  fields.check(!config.path.empty(), "path",
               "is empty (nowhere to read from): name the folder or file of a data set");
  fields.choice("format", config.format, kFormatNames,
                "of the data set's files (docs/data.md); auto looks at what is there");
  fields.integer("image_size", config.image_size, kSideOrOwn,
                 "images: pixels on each side to which they are brought; 0 = all have one size");
  fields.real("test_fraction", config.test_fraction, kOpenFraction,
              "images without folders train and test: fraction of each class that is for tests");
  fields.text("test_images", config.test_images,
              "a .npy file in place of the test images, such as one of CIFAR-10-C; empty = none");
  fields.integer("test_severity", config.test_severity, kCount,
                 "test_images: which of its blocks, such as CIFAR-10-C's severities 1 to 5");
  fields.check(config.test_severity == 1 || !config.test_images.empty(), "test_severity",
               "means something with test_images only: remove it, or name a file there");
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
