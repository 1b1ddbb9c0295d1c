#include "data/dataset.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

#include "base/error.hpp"
#include "data/idx.hpp"

namespace fedselect {

namespace {

constexpr std::size_t kImageAxes = 3;  // sample, row, column
constexpr std::size_t kLabelAxes = 1;
constexpr double kWhite = 255;
constexpr std::string_view kFourFiles =
    "put the four files of one data set into the folder, or set data.path to another";

/// The two files of a part.
struct PartFiles {
  std::filesystem::path images;
  std::filesystem::path labels;
};

struct PartSizes {
  std::uint64_t samples = 0;
  std::uint64_t height = 0;
  std::uint64_t width = 0;
  bool operator==(const PartSizes&) const = default;
};

PartFiles find_part(const std::filesystem::path& folder, const std::string& part) {
  return {find_idx(folder, part + "-images-idx3-ubyte"),
          find_idx(folder, part + "-labels-idx1-ubyte")};
}

/// Reads the headers of the two files and checks that they belong together.
PartSizes read_sizes(const PartFiles& files) {
  const IdxReader images(files.images, kImageAxes);
  const IdxReader labels(files.labels, kLabelAxes);
  const PartSizes sizes{images.lengths()[0], images.lengths()[1], images.lengths()[2]};
  if (labels.size() != sizes.samples)
    throw InputError(fmt::format(
        "{} has {} labels for {} images of {} (they don't belong "
        "together): {}",
        files.labels.string(), labels.size(), sizes.samples, files.images.string(), kFourFiles));
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max());
  if (std::max({sizes.samples, sizes.height, sizes.width}) > kMost)
    throw InputError(
        fmt::format("{} has {} images of {} x {} (samples are counted by 32-bit "
                    "integers): take at most {} of them",
                    files.images.string(), sizes.samples, sizes.height, sizes.width, kMost));
  return sizes;
}

/// Headers of both parts as the root finds them, on all ranks.
std::array<PartSizes, 2> agree_on_sizes(const std::filesystem::path& folder, Communicator& comm) {
  std::array<PartSizes, 2> sizes;
  agree(comm, [&] {
    if (!comm.is_root()) return;  // thousands of ranks would only burden the file system
    const auto train = find_part(folder, "train");
    const auto test = find_part(folder, "t10k");
    sizes = {read_sizes(train), read_sizes(test)};
    if (sizes[0].height != sizes[1].height || sizes[0].width != sizes[1].width)
      throw InputError(fmt::format(
          "{} has images of {} x {}, {} of {} x {}: {}", train.images.string(), sizes[0].height,
          sizes[0].width, test.images.string(), sizes[1].height, sizes[1].width, kFourFiles));
  });
  std::vector<std::byte> bytes(sizeof(sizes));
  std::memcpy(bytes.data(), sizes.data(), bytes.size());
  comm.broadcast(bytes, 0);
  std::memcpy(sizes.data(), bytes.data(), sizeof(sizes));
  return sizes;
}

/// Runs `read` and adds this host's name to its complaint: the files of each node may differ.
template <class Read>
void read_on_this_host(const Communicator& comm, const Read& read) {
  try {
    read();
  } catch (const InputError& error) {
    if (comm.size() == 1) throw;
    std::array<char, 256> host{};
    gethostname(host.data(), host.size() - 1);
    throw InputError(fmt::format("{} [on host {}]", error.what(), host.data()));
  }
}

void read_pixels(const PartFiles& files, std::span<std::byte> pixels) {
  IdxReader(files.images, kImageAxes).read_values(pixels);
}

void read_labels(const PartFiles& files, std::span<std::byte> labels) {
  std::vector<std::byte> narrow(labels.size() / sizeof(std::int32_t));
  IdxReader(files.labels, kLabelAxes).read_values(narrow);
  auto* wide = reinterpret_cast<std::int32_t*>(labels.data());
  std::transform(narrow.begin(), narrow.end(), wide,
                 [](std::byte label) { return std::to_integer<std::int32_t>(label); });
}

Samples load_part(const std::filesystem::path& folder, const std::string& part,
                  const PartSizes& sizes, Communicator& comm) {
  Samples samples{.size = sizes.samples, .pixels = {}, .labels = {}};
  // Again on the node that reads: its files must be those whose headers the root announced.
  const auto checked_files = [&] {
    auto files = find_part(folder, part);
    if (read_sizes(files) != sizes)
      throw InputError(fmt::format("{} is not the same on all nodes: copy one data set to all",
                                   files.images.string()));
    return files;
  };
  samples.pixels = comm.share_on_node(sizes.samples * sizes.height * sizes.width, [&](auto memory) {
    read_on_this_host(comm, [&] { read_pixels(checked_files(), memory); });
  });
  samples.labels = comm.share_on_node(sizes.samples * sizeof(std::int32_t), [&](auto memory) {
    read_on_this_host(comm, [&] { read_labels(checked_files(), memory); });
  });
  return samples;
}

int count_classes(const Samples& train) {
  const auto labels = train.label_values();
  return *std::max_element(labels.begin(), labels.end()) + 1;
}

/// Test labels that the training part doesn't know could only ever be answered wrongly.
void check_test_labels(const Dataset& dataset, const std::filesystem::path& folder) {
  const auto labels = dataset.test.label_values();
  const auto wrong = std::find_if(labels.begin(), labels.end(),
                                  [&](std::int32_t label) { return label >= dataset.classes; });
  if (wrong != labels.end())
    throw InputError(fmt::format("{}: sample {} has label {} (training labels end at {}): {}",
                                 find_part(folder, "t10k").labels.string(), wrong - labels.begin(),
                                 *wrong, dataset.classes - 1, kFourFiles));
}

/// Sets mean and deviation of the one channel. The sums are of integers: exact, in any order.
void measure_pixels(Dataset& dataset) {
  const auto* pixels = reinterpret_cast<const std::uint8_t*>(dataset.train.pixels.get());
  const std::size_t n = dataset.train.size * dataset.image.size();
  std::uint64_t sum = 0;
  std::uint64_t squares = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t pixel = pixels[i];
    sum += pixel;
    squares += std::uint64_t{pixel * pixel};
  }
  const double mean = static_cast<double>(sum) / static_cast<double>(n);
  const double variance = static_cast<double>(squares) / static_cast<double>(n) - mean * mean;
  dataset.mean = {static_cast<float>(mean / kWhite)};
  dataset.deviation = {variance > 0 ? static_cast<float>(std::sqrt(variance) / kWhite) : 1.0F};
}

/// The last part of the path, also where it ends in a slash.
std::string folder_name(const std::filesystem::path& folder) {
  const auto path = std::filesystem::absolute(folder).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

}  // namespace

ops::SampleSource Dataset::source(const Samples& part) const {
  return {.pixels = reinterpret_cast<const std::uint8_t*>(part.pixels.get()),
          .labels = part.label_values().data(),
          .image = image,
          .mean = mean.data(),
          .deviation = deviation.data()};
}

Dataset load_dataset(const DataConfig& config, Communicator& comm) {
  const std::filesystem::path folder = config.path;
  const auto sizes = agree_on_sizes(folder, comm);
  Dataset dataset;
  dataset.name = folder_name(folder);
  dataset.image = {static_cast<int>(sizes[0].height), static_cast<int>(sizes[0].width), 1};
  dataset.train = load_part(folder, "train", sizes[0], comm);
  dataset.test = load_part(folder, "t10k", sizes[1], comm);
  dataset.classes = count_classes(dataset.train);
  agree(comm, [&] { check_test_labels(dataset, folder); });
  measure_pixels(dataset);
  return dataset;
}

std::string describe_dataset(const Dataset& dataset) {
  const auto count = [&](const Samples& part) {
    std::vector<std::int64_t> counts(static_cast<std::size_t>(dataset.classes));
    for (const auto label : part.label_values()) ++counts[static_cast<std::size_t>(label)];
    return counts;
  };
  const auto train = count(dataset.train);
  const auto test = count(dataset.test);
  std::string text = fmt::format(
      "data set   {}\n"
      "image      {} x {} pixels, {} channel{}\n"
      "training   {} samples\n"
      "test       {} samples\n"
      "classes    {}\n"
      "mean       {:.4f}\n"
      "deviation  {:.4f}\n\n"
      "class  training      test\n",
      dataset.name, dataset.image.height, dataset.image.width, dataset.image.channels,
      dataset.image.channels == 1 ? "" : "s", dataset.train.size, dataset.test.size,
      dataset.classes, fmt::join(dataset.mean, " "), fmt::join(dataset.deviation, " "));
  for (std::size_t c = 0; c < train.size(); ++c)
    text += fmt::format("{:5}  {:8}  {:8}\n", c, train[c], test[c]);
  return text;
}

}  // namespace fedselect
