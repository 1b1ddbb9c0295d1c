#include "data/dataset.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <optional>
#include <utility>

#include "base/error.hpp"
#include "base/job_memory.hpp"
#include "data/resample.hpp"

namespace fedselect {

namespace {

/// Every client's samples are counted by class: more classes than this are a damaged label.
constexpr std::int32_t kMostClasses = 1 << 16;
constexpr std::string_view kRightSet = "put a whole data set there, or set data.path to another";

/// Refuses samples that can't be counted or can't fit: before anything is allocated for them.
void check_sizes(const DatasetHeader& header, const std::string& path) {
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max());
  if (header.image.height < 1 || header.image.width < 1 || header.image.channels < 1)
    throw InputError(fmt::format("{} has images without pixels ({} x {} x {}): {}", path,
                                 header.image.height, header.image.width, header.image.channels,
                                 kRightSet));
  for (const auto part : kParts) {
    const auto n = header.size(part);
    const auto word = kPartNames[static_cast<std::size_t>(part)];
    if (n == 0) throw InputError(fmt::format("{} has no {} samples: {}", path, word, kRightSet));
    if (n > kMost)
      throw InputError(
          fmt::format("{} has {} {} samples (samples are counted by 32-bit integers): "
                      "take at most {} of them",
                      path, n, word, kMost));
    const double bytes =
        static_cast<double>(n) * header.image.height * header.image.width * header.image.channels;
    if (bytes > static_cast<double>(job_memory()))
      throw InputError(fmt::format(
          "{} has {} {} samples of {} x {} x {} pixels (they need {:.1f} GB, this host has {:.1f} "
          "GB): {}",
          path, n, word, header.image.height, header.image.width, header.image.channels,
          bytes / 1e9, static_cast<double>(job_memory()) / 1e9, kRightSet));
  }
}

// ---- the root's header on all ranks

struct FixedHeader {
  std::array<std::uint64_t, 2> samples{};
  std::int32_t height = 0;
  std::int32_t width = 0;
  std::int32_t channels = 0;
  std::int32_t group_kind = 0;
};

std::vector<std::byte> pack(const DatasetHeader& header) {
  const FixedHeader fixed{header.samples, header.image.height, header.image.width,
                          header.image.channels, static_cast<std::int32_t>(header.group_kind)};
  std::vector<std::byte> bytes(sizeof(fixed));
  std::memcpy(bytes.data(), &fixed, sizeof(fixed));
  for (const auto& name : header.groups) {
    const auto text = std::as_bytes(std::span(name.c_str(), name.size() + 1));
    bytes.insert(bytes.end(), text.begin(), text.end());
  }
  return bytes;
}

DatasetHeader unpack(const std::vector<std::byte>& bytes) {
  FixedHeader fixed;
  std::memcpy(&fixed, bytes.data(), sizeof(fixed));
  DatasetHeader header{.image = {fixed.height, fixed.width, fixed.channels},
                       .samples = fixed.samples,
                       .group_kind = static_cast<GroupKind>(fixed.group_kind),
                       .groups = {}};
  const auto* end = reinterpret_cast<const char*>(bytes.data() + bytes.size());
  for (const auto* at = reinterpret_cast<const char*>(bytes.data()) + sizeof(fixed); at < end;
       at += header.groups.back().size() + 1)
    header.groups.emplace_back(at);
  return header;
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

/// The files of a data set, opened by the ranks that read: the root, and one of each other node.
class Source {
 public:
  Source(const DataConfig& config, Communicator& comm) : config_(config), comm_(comm) {
    std::vector<std::byte> bytes;
    agree(comm, [&] {
      if (!comm.is_root()) return;  // thousands of ranks would only burden the file system
      reader_ = open_dataset(config);
      check_sizes(reader_->header(), config.path);
      bytes = pack(reader_->header());
    });
    comm.broadcast(bytes, 0);
    header_ = unpack(bytes);
  }

  const DatasetHeader& header() const { return header_; }

  /// Labels must be below `classes`.
  Samples load(PartKind part, std::int32_t classes) {
    const auto n = header_.size(part);
    Samples samples{.size = n, .pixels = {}, .labels = {}, .groups = {}};
    samples.pixels =
        share(n * header_.image.size(), [&](auto memory) { reader().read_pixels(part, memory); });
    samples.labels = share(n * sizeof(std::int32_t), [&](auto memory) {
      reader().read_labels(part, as_integers(memory));
      check_labels(part, as_integers(memory), classes);
    });
    if (header_.group_kind != GroupKind::none)
      samples.groups = share(n * sizeof(std::int32_t),
                             [&](auto memory) { reader().read_groups(part, as_integers(memory)); });
    return samples;
  }

 private:
  static std::span<std::int32_t> as_integers(std::span<std::byte> bytes) {
    return {reinterpret_cast<std::int32_t*>(bytes.data()), bytes.size() / sizeof(std::int32_t)};
  }

  template <class Fill>
  std::shared_ptr<const std::byte> share(std::size_t bytes, const Fill& fill) {
    return comm_.share_on_node(
        bytes, [&](auto memory) { read_on_this_host(comm_, [&] { fill(memory); }); });
  }

  /// Opened again on each node that reads: its files must be those that the root announced.
  DatasetReader& reader() {
    if (!reader_) {
      reader_ = open_dataset(config_);
      if (reader_->header() != header_)
        throw InputError(
            fmt::format("{} is not the same on all nodes: copy one data set to all", config_.path));
    }
    return *reader_;
  }

  /// Test labels that the training part doesn't know could only ever be answered wrongly.
  void check_labels(PartKind part, std::span<const std::int32_t> labels, std::int32_t classes) {
    const auto wrong = std::find_if(labels.begin(), labels.end(), [&](std::int32_t label) {
      return label < 0 || label >= classes;
    });
    if (wrong == labels.end()) return;
    const auto* rule =
        part == PartKind::train ? "they begin at 0 and end at" : "training labels end at";
    throw InputError(fmt::format("{}: sample {} has label {} ({} {}): {}",
                                 reader().labels_origin(part), wrong - labels.begin(), *wrong, rule,
                                 classes - 1, kRightSet));
  }

  const DataConfig& config_;
  Communicator& comm_;
  std::unique_ptr<DatasetReader> reader_;
  DatasetHeader header_;
};

int count_classes(const Samples& train) {
  const auto labels = train.label_values();
  return *std::max_element(labels.begin(), labels.end()) + 1;
}

/// The last part of the path, also where it ends in a slash.
std::string folder_name(const std::filesystem::path& folder) {
  const auto path = std::filesystem::absolute(folder).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

/// How many groups there are, their names if they are few, and how many can be clients.
std::string describe_groups(const Dataset& dataset) {
  constexpr std::size_t kFew = 10;
  std::array<std::vector<bool>, 2> seen;
  for (const auto part : kParts) {
    auto& mine = seen[static_cast<std::size_t>(part)];
    mine.resize(dataset.groups.size());
    for (const auto group : dataset.part(part).group_values())
      mine[static_cast<std::size_t>(group)] = true;
  }
  std::size_t whole = 0;
  for (std::size_t g = 0; g < dataset.groups.size(); ++g) whole += seen[0][g] && seen[1][g] ? 1 : 0;
  auto text = fmt::format("{}", dataset.groups.size());
  if (dataset.groups.size() <= kFew) text += fmt::format(" ({})", fmt::join(dataset.groups, ", "));
  if (whole < dataset.groups.size())
    text += fmt::format(", {} of them with training and test samples", whole);
  return text;
}

}  // namespace

ops::SampleSource Dataset::source(const Samples& part) const {
  return {.pixels = reinterpret_cast<const std::uint8_t*>(part.pixels.get()),
          .labels = part.label_values().data(),
          .image = image,
          .mean = mean.data(),
          .deviation = deviation.data()};
}

void measure_pixels(Dataset& dataset) {
  const auto channels = static_cast<std::size_t>(dataset.image.channels);
  const auto* pixels = reinterpret_cast<const std::uint8_t*>(dataset.train.pixels.get());
  const std::size_t n = dataset.train.size * dataset.image.size();
  std::vector<std::uint64_t> sum(channels);  // integers: exact, in any order
  std::vector<std::uint64_t> squares(channels);
  for (std::size_t i = 0; i < n; i += channels)
    for (std::size_t c = 0; c < channels; ++c) {
      const std::uint32_t pixel = pixels[i + c];
      sum[c] += pixel;
      squares[c] += std::uint64_t{pixel * pixel};
    }
  dataset.mean.clear();
  dataset.deviation.clear();
  const std::size_t pixels_a_channel = n / channels;
  const auto count = static_cast<double>(pixels_a_channel);
  for (std::size_t c = 0; c < channels; ++c) {
    const double mean = static_cast<double>(sum[c]) / count;
    const double variance = static_cast<double>(squares[c]) / count - mean * mean;
    dataset.mean.push_back(static_cast<float>(mean / kWhite));
    dataset.deviation.push_back(variance > 0 ? static_cast<float>(std::sqrt(variance) / kWhite)
                                             : 1.0F);
  }
}

Dataset load_dataset(const DataConfig& config, Communicator& comm) {
  Source source(config, comm);
  Dataset dataset;
  dataset.name = folder_name(config.path);
  dataset.image = source.header().image;
  dataset.group_kind = source.header().group_kind;
  dataset.groups = source.header().groups;
  dataset.train = source.load(PartKind::train, kMostClasses);
  dataset.classes = count_classes(dataset.train);
  dataset.test = source.load(PartKind::test, dataset.classes);
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
  const std::string groups =
      dataset.group_kind == GroupKind::none
          ? ""
          : fmt::format(
                "{:<10} {}\n",
                fmt::format("{}s", kGroupKindNames[static_cast<std::size_t>(dataset.group_kind)]),
                describe_groups(dataset));
  std::string text = fmt::format(
      "data set   {}\n"
      "image      {} x {} pixels, {} channel{}\n"
      "training   {} samples\n"
      "test       {} samples\n"
      "classes    {}\n"
      "{}"
      "mean       {:.4f}\n"
      "deviation  {:.4f}\n\n"
      "class  training      test\n",
      dataset.name, dataset.image.height, dataset.image.width, dataset.image.channels,
      dataset.image.channels == 1 ? "" : "s", dataset.train.size, dataset.test.size,
      dataset.classes, groups, fmt::join(dataset.mean, " "), fmt::join(dataset.deviation, " "));
  for (std::size_t c = 0; c < train.size(); ++c)
    text += fmt::format("{:5}  {:8}  {:8}\n", c, train[c], test[c]);
  return text;
}

}  // namespace fedselect
