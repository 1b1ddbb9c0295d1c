#include "data/data_config.hpp"

namespace fedselect {

namespace {

constexpr std::int64_t kUsualClients = 10;
constexpr Interval kSideOrOwn{.low = 0, .high = 4096};
constexpr Interval kOpenFraction{.low = 0, .high = 1, .open_low = true, .open_high = true};
constexpr Interval kSeverities{.low = 0, .high = 5};
constexpr Interval kDegrees{.low = 0, .high = 360};

void describe_source(DataConfig& config, Fields& fields) {
  fields.text("path", config.path, "folder or file of the data set");
  fields.check(!config.path.empty(), "path",
               "is empty (nowhere to read from): name the folder or file of a data set");
  fields.choice("format", config.format, kFormatNames,
                "of the data set's files (docs/data.md); auto looks at what is there");
  const bool may_be_images =
      config.format == DataFormat::images || config.format == DataFormat::automatic;
  constexpr std::string_view kImagesOnly =
      "means something with format = \"images\" only: remove it, or set that";
  fields.applies(may_be_images, "image_size", kImagesOnly);
  fields.integer("image_size", config.image_size, kSideOrOwn,
                 "images: pixels on each side to which they are brought; 0 = all have one size");
  fields.applies(may_be_images, "test_fraction", kImagesOnly);
  fields.real("test_fraction", config.test_fraction, kOpenFraction,
              "images without folders train and test: fraction of each class that is for tests");
  fields.text("test_images", config.test_images,
              "a .npy file in place of the test images, such as one of CIFAR-10-C; empty = none");
  fields.applies(!config.test_images.empty(), "test_severity",
                 "means something with test_images only: remove it, or name a file there");
  fields.integer("test_severity", config.test_severity, kCount,
                 "test_images: which of its blocks, such as CIFAR-10-C's severities 1 to 5");
}

void describe_clients(DataConfig& config, Fields& fields) {
  fields.choice(
      "partition", config.partition, kPartitionNames,
      "how clients share the samples: few classes each (shards), skewed classes "
      "(dirichlet), evenly (iid), skewed sizes (quantity), one a natural client or domain "
      "of the data set (natural, domain), as a file says (file)");
  const bool come_with_data = clients_come_with_data(config.partition);
  // The default depends on the kind; a number that is there already stays.
  if (!come_with_data && config.clients == 0) config.clients = kUsualClients;
  fields.integer("clients", config.clients, come_with_data ? kCountOrAll : kCount,
                 "number of clients that share the data set; natural, domain, file: 0 = all");
  const bool is_file = config.partition == PartitionKind::file;
  fields.applies(is_file, "partition_file",
                 "means something with partition = \"file\" only: remove it, or set that");
  fields.text("partition_file", config.partition_file,
              "file: HDF5 file with /partition/train_indices and so on, such as a result.h5");
  fields.check(!is_file || !config.partition_file.empty(), "partition_file",
               "is empty (partition = \"file\" has nothing to read): name an HDF5 file");
}

void describe_drawing(DataConfig& config, Fields& fields) {
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

void describe_shifts(DataConfig& config, Fields& fields) {
  fields.choice("corruption", config.corruption, kCorruptionNames,
                "of each client's images, as CIFAR-10-C has it (docs/data.md); any: each client "
                "draws a kind");
  fields.applies(config.corruption != Corruption::none, "corruption_severity",
                 "means something with a corruption only: remove it, or set one");
  fields.integer("corruption_severity", config.corruption_severity, kSeverities,
                 "1 to 5; 0 = each client draws one");
  fields.real("rotation", config.rotation, kDegrees,
              "degrees by which each client's images are turned; 0 = not at all");
  fields.applies(config.rotation > 0, "rotation_kind",
                 "means something with rotation > 0 only: remove it, or set that");
  fields.choice("rotation_kind", config.rotation_kind, kRotationNames,
                "drawn: client's angle uniform in [-rotation, rotation]; steps: client k's is k "
                "times rotation");
}

}  // namespace

void describe(DataConfig& config, Fields& fields) {
  describe_source(config, fields);
  describe_clients(config, fields);
  describe_drawing(config, fields);
  describe_shifts(config, fields);
}

}  // namespace fedselect
