#include "io/result_file.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/bits.hpp"
#include "files/file_digest.hpp"
#include "files/hdf5.hpp"
#include "io/mask_comparison.hpp"
#include "io/round_tables.hpp"
#include "io/stored_layout.hpp"

namespace fedselect {

namespace {

using hdf5::RowWriter;
using hdf5::Storage;

constexpr std::int64_t kVersion = 1;

/// One part of the data set: who has which samples.
void write_split(hdf5::File& file, const std::string& part,
                 const std::vector<Partition::Indices>& split, const Samples& samples,
                 int classes) {
  std::vector<std::int64_t> sizes;
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int64_t> indices;
  for (const auto& mine : split) {
    sizes.push_back(static_cast<std::int64_t>(mine.size()));
    indices.insert(indices.end(), mine.begin(), mine.end());
    offsets.push_back(static_cast<std::int64_t>(indices.size()));
  }
  const auto counts = class_counts(split, classes, samples.label_values());
  file.write("/clients/" + part + "_samples", sizes);
  file.write("/partition/" + part + "_class_counts", {split.size(), static_cast<hsize_t>(classes)},
             std::span(counts), Storage::deflated);
  file.write("/partition/" + part + "_indices", indices);
  file.write("/partition/" + part + "_offsets", offsets);
}

}  // namespace

struct ResultFile::Parts {
  hdf5::File file;
  std::optional<RowWriter> rows;
  std::vector<std::byte> zero_row;
  std::optional<MaskComparison> comparison;  ///< while masks are added
};

ResultFile::ResultFile(const std::filesystem::path& path)
    : partial_(path),
      parts_(new Parts{hdf5::File(partial_.path()), std::nullopt, {}, std::nullopt}) {}

ResultFile::~ResultFile() = default;

void ResultFile::write_header(const RunDescription& run, const std::string& dataset,
                              std::size_t rounds, std::size_t clients, const Network& network) {
  hdf5::File& file = parts_->file;
  file.set_attribute("format", "fedselect-result");
  file.set_attribute("version", kVersion);
  file.set_attribute("name", run.name);
  file.set_attribute("label", run.label);
  file.set_attribute("method", run.method);
  file.set_attribute("dataset", dataset);
  file.set_attribute("seed", run.seed);
  file.set_attribute("rounds", static_cast<std::int64_t>(rounds));
  file.set_attribute("clients", static_cast<std::int64_t>(clients));
  file.set_attribute("parameters", static_cast<std::int64_t>(network.layout().size()));
  file.set_attribute("forward_flops", network.forward_flops());
  file.set_attribute("training_flops", network.training_flops());
  file.set_attribute("tested_on", run.tested_on);
  file.write_text("/config", run.config);
}

void ResultFile::write_rounds(const RoundShape& shape, const Partition& partition,
                              const EachRound& each) {
  std::size_t ranks = 0;
  each([&](const RoundRecord& round) { ranks = std::max(ranks, round.ranks.size()); });
  RoundTables tables(parts_->file, shape, ranks, partition);
  each([&](const RoundRecord& round) { tables.add(round); });
  tables.finish();
}

void ResultFile::write_new_clients(const std::vector<NewClientRecord>& clients) {
  std::vector<std::int32_t> ids;
  std::vector<double> before;
  std::vector<double> after;
  for (const NewClientRecord& record : clients) {
    ids.push_back(record.client);
    before.push_back(record.accuracy_before);
    after.push_back(record.accuracy_after);
  }
  parts_->file.write("/new_clients/client", ids);
  parts_->file.write("/new_clients/accuracy_before", before);
  parts_->file.write("/new_clients/accuracy_after", after);
}

void ResultFile::write_layout(const ParameterLayout& layout) {
  fedselect::write_layout(parts_->file, layout);
}

void ResultFile::write_model(const ParameterLayout& layout, std::span<const float> values) {
  for (const auto* tensors : {&layout.tensors(), &layout.statistics()})
    for (const Tensor& tensor : *tensors)
      parts_->file.write("/model/" + tensor.name,
                         hdf5::Shape(tensor.shape.begin(), tensor.shape.end()),
                         values.subspan(tensor.range.begin, tensor.size()), Storage::plain);
}

void ResultFile::write_clients(const Partition& partition, const Dataset& data) {
  write_split(parts_->file, "train", partition.train, data.train, data.classes);
  write_split(parts_->file, "test", partition.test, data.test, data.classes);
}

void ResultFile::write_hosts(const std::vector<int>& rank_of_client) {
  parts_->file.write("/timings/rank_of_client",
                     std::vector<std::int32_t>(rank_of_client.begin(), rank_of_client.end()));
}

void ResultFile::write_provenance(const std::string& manifest) {
  parts_->file.write_text("/provenance", manifest);
}

void ResultFile::begin_masks(const ParameterLayout& layout, std::size_t clients) {
  const std::size_t bytes = bytes_for(layout.size());
  parts_->rows = RowWriter::of<std::uint8_t>(parts_->file, "/masks/bits", {clients, bytes});
  parts_->zero_row.assign(bytes, std::byte{0});
  if (clients <= kMostCompared) parts_->comparison.emplace(layout, clients);
}

void ResultFile::begin_client_models(const ParameterLayout& layout, std::size_t clients) {
  const std::size_t values = layout.size() + layout.statistic_size();
  parts_->rows = RowWriter::of<float>(parts_->file, "/client_models/values", {clients, values});
  parts_->zero_row.assign(values * sizeof(float), std::byte{0});
}

void ResultFile::begin_cross(std::size_t clients) {
  parts_->rows = RowWriter::of<float>(parts_->file, "/cross/accuracy", {clients, clients});
  parts_->zero_row.assign(clients * sizeof(float), std::byte{0});
}

void ResultFile::add_row(std::span<const std::byte> row) {
  const auto bytes = row.empty() ? std::span<const std::byte>(parts_->zero_row) : row;
  parts_->rows->append(bytes);
  if (parts_->comparison) compare_mask(bytes);
}

void ResultFile::compare_mask(std::span<const std::byte> row) {
  MaskComparison& comparison = *parts_->comparison;
  comparison.add(row);
  if (!comparison.is_complete()) return;
  const hsize_t n = comparison.clients();
  const hsize_t tensors = comparison.tensors();
  parts_->file.write("/masks/iou", {tensors, n, n}, comparison.iou(), Storage::deflated);
  parts_->file.write("/masks/chance_iou", {tensors, n, n}, comparison.chance_iou(),
                     Storage::deflated);
  parts_->file.write("/masks/hamming", {n, n}, comparison.hamming(), Storage::deflated);
  parts_->comparison.reset();
}

Sha256::Digest ResultFile::close() {
  parts_->rows.reset();
  parts_->file.close();
  return sha256_of_file(partial_.path());
}

}  // namespace fedselect
