#include "data/plain_layout.hpp"

#include <string>
#include <vector>

#include "files/hdf5.hpp"

namespace fedselect {

namespace {

void write_part(hdf5::File& file, const std::string& part, const Samples& samples,
                const ops::ImageShape& image) {
  const auto* pixels = reinterpret_cast<const std::uint8_t*>(samples.pixels.get());
  auto images = hdf5::RowWriter::of<std::uint8_t>(
      file, "/" + part + "/images",
      {samples.size, static_cast<hsize_t>(image.height), static_cast<hsize_t>(image.width),
       static_cast<hsize_t>(image.channels)});
  for (std::size_t i = 0; i < samples.size; ++i)
    images.append(std::span(pixels + i * image.size(), image.size()));
  file.write("/" + part + "/labels", {samples.size}, samples.label_values(),
             hdf5::Storage::deflated);
  if (samples.groups)
    file.write("/" + part + "/groups", {samples.size}, samples.group_values(),
               hdf5::Storage::deflated);
}

void write_split(hdf5::File& file, const std::string& part,
                 const std::vector<Partition::Indices>& split) {
  std::vector<std::int64_t> indices;
  std::vector<std::int64_t> offsets{0};
  for (const auto& mine : split) {
    indices.insert(indices.end(), mine.begin(), mine.end());
    offsets.push_back(static_cast<std::int64_t>(indices.size()));
  }
  file.write("/partition/" + part + "_indices", indices);
  file.write("/partition/" + part + "_offsets", offsets);
}

}  // namespace

void write_plain_layout(const std::filesystem::path& path, const Dataset& data,
                        const Partition& partition) {
  hdf5::File file(path);
  file.set_attribute("format", kPlainFormat);
  file.set_attribute("version", kPlainVersion);
  file.set_attribute("name", data.name);
  write_part(file, "train", data.train, data.image);
  write_part(file, "test", data.test, data.image);
  if (data.group_kind != GroupKind::none) {
    file.write_text(kGroupKind, kGroupKindNames[static_cast<std::size_t>(data.group_kind)]);
    file.write_texts(kGroupNames, data.groups);
  }
  write_split(file, "train", partition.train);
  write_split(file, "test", partition.test);
  file.close();
}

}  // namespace fedselect
