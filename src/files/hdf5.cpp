#include "files/hdf5.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "base/error.hpp"
#include "files/hdf5_driver.hpp"

namespace fedselect::hdf5 {

namespace {

/// Compressed in pieces of about this size: large enough to compress well, small enough to hold in
/// memory.
constexpr std::size_t kChunkBytes = std::size_t{1} << 20;
/// Below this a chunk index costs more than compression saves.
constexpr std::size_t kLeastDeflatedBytes = 4096;
/// zlib's fastest.
constexpr unsigned kDeflateLevel = 1;

std::size_t count(const Shape& shape) {
  std::size_t values = 1;
  for (const hsize_t n : shape) values *= n;
  return values;
}

/// One chunk spans all but the first dimension; empty: not worth it.
Shape choose_chunk(const Shape& shape, std::size_t value_bytes) {
  const std::size_t bytes = count(shape) * value_bytes;
  if (bytes < kLeastDeflatedBytes || H5Zfilter_avail(H5Z_FILTER_DEFLATE) <= 0) return {};
  Shape chunk = shape;
  chunk[0] = std::clamp<hsize_t>(kChunkBytes / (bytes / shape[0]), 1, shape[0]);
  return chunk;
}

}  // namespace

void silence_errors() { H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr); }

std::string last_error() {
  std::string text = "no reason given";
  const auto visit = [](unsigned /*depth*/, const H5E_error2_t* error, void* out) -> herr_t {
    if (error->desc != nullptr) *static_cast<std::string*>(out) = error->desc;
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, visit, &text);
  return text;
}

File::File(std::filesystem::path path) : path_(std::move(path)) {
  silence_errors();
  const Handle access(check(H5Pcreate(H5P_FILE_ACCESS), "H5Pcreate"));
  check(use_patient_driver(access.get(), write_error_.get()), "H5Pset_driver");
  // What Reader reads, whatever the library's default: later versions have another one.
  check(H5Pset_libver_bounds(access.get(), H5F_LIBVER_EARLIEST, H5F_LIBVER_LATEST),
        "H5Pset_libver_bounds");
  file_ = Handle(
      check(H5Fcreate(path_.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), "H5Fcreate"));
}

void File::fail(const char* call) const {
  const std::string why =
      *write_error_ != 0 ? std::generic_category().message(*write_error_) : last_error();
  throw SystemError(
      fmt::format("{}: cannot write it ({}: {}): free space there, or choose another folder with "
                  "--out",
                  path_.string(), call, why));
}

Handle File::make_space(const Shape& shape) const {
  const hid_t space = shape.empty()
                          ? H5Screate(H5S_SCALAR)
                          : H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr);
  return Handle(check(space, "H5Screate"));
}

Handle File::make_text_type() const {
  Handle type(check(H5Tcopy(H5T_C_S1), "H5Tcopy"));
  check(H5Tset_size(type.get(), H5T_VARIABLE), "H5Tset_size");
  check(H5Tset_cset(type.get(), H5T_CSET_UTF8), "H5Tset_cset");
  return type;
}

void File::set_attribute(const char* name, std::string_view text) {
  const std::string owned(text);
  const char* value = owned.c_str();
  const Handle type = make_text_type();
  write_attribute(name, type.get(), type.get(), static_cast<const void*>(&value));
}

void File::set_attribute(const char* name, std::int64_t value) {
  write_attribute(name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value);
}

void File::set_attribute(const char* name, double value) {
  write_attribute(name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value);
}

void File::write_attribute(const char* name, hid_t file_type, hid_t memory_type,
                           const void* value) {
  const Handle space = make_space({});
  const Handle attribute(
      check(H5Acreate2(file_.get(), name, file_type, space.get(), H5P_DEFAULT, H5P_DEFAULT),
            "H5Acreate2"));
  check(H5Awrite(attribute.get(), memory_type, value), "H5Awrite");
}

Handle File::make_dataset(const std::string& name, const Shape& shape, hid_t file_type,
                          const Shape& chunk, std::size_t value_bytes, bool is_reserved) const {
  const Handle link(check(H5Pcreate(H5P_LINK_CREATE), "H5Pcreate"));
  check(H5Pset_create_intermediate_group(link.get(), 1), "H5Pset_create_intermediate_group");
  const Handle creation(check(H5Pcreate(H5P_DATASET_CREATE), "H5Pcreate"));
  check(H5Pset_obj_track_times(creation.get(), false), "H5Pset_obj_track_times");
  if (is_reserved) {
    check(H5Pset_alloc_time(creation.get(), H5D_ALLOC_TIME_EARLY), "H5Pset_alloc_time");
    check(H5Pset_fill_time(creation.get(), H5D_FILL_TIME_NEVER), "H5Pset_fill_time");
  }
  if (!chunk.empty()) {
    check(H5Pset_chunk(creation.get(), static_cast<int>(chunk.size()), chunk.data()),
          "H5Pset_chunk");
    if (value_bytes > 1) check(H5Pset_shuffle(creation.get()), "H5Pset_shuffle");
    check(H5Pset_deflate(creation.get(), kDeflateLevel), "H5Pset_deflate");
  }
  // Chunks are written whole, so the library need keep none.
  const Handle access(check(H5Pcreate(H5P_DATASET_ACCESS), "H5Pcreate"));
  check(H5Pset_chunk_cache(access.get(), H5D_CHUNK_CACHE_NSLOTS_DEFAULT, 0,
                           H5D_CHUNK_CACHE_W0_DEFAULT),
        "H5Pset_chunk_cache");
  const Handle space = make_space(shape);
  return Handle(check(H5Dcreate2(file_.get(), name.c_str(), file_type, space.get(), link.get(),
                                 creation.get(), access.get()),
                      "H5Dcreate2"));
}

void File::write_values(const std::string& name, const Shape& shape, hid_t file_type,
                        hid_t memory_type, const void* values, Storage storage) {
  const std::size_t value_bytes = H5Tget_size(file_type);
  const Shape chunk = storage == Storage::deflated ? choose_chunk(shape, value_bytes) : Shape{};
  const Handle dataset = make_dataset(name, shape, file_type, chunk, value_bytes);
  if (count(shape) > 0)
    check(H5Dwrite(dataset.get(), memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), "H5Dwrite");
}

std::uint64_t File::reserve_values(const std::string& name, const Shape& shape,
                                   hid_t file_type) const {
  const Handle dataset = make_dataset(name, shape, file_type, {}, H5Tget_size(file_type), true);
  if (count(shape) == 0) return 0;
  const haddr_t place = H5Dget_offset(dataset.get());
  check(place == HADDR_UNDEF ? -1 : 0, "H5Dget_offset");
  return place;
}

void File::write_text(const std::string& name, std::string_view text) {
  const std::string owned(text);
  const char* value = owned.c_str();
  const Handle type = make_text_type();
  write_values(name, {}, type.get(), type.get(), static_cast<const void*>(&value), Storage::plain);
}

void File::write_texts(const std::string& name, const std::vector<std::string>& texts) {
  std::vector<const char*> values;
  for (const auto& text : texts) values.push_back(text.c_str());
  const Handle type = make_text_type();
  write_values(name, {texts.size()}, type.get(), type.get(),
               static_cast<const void*>(values.data()), Storage::plain);
}

void File::close() { check(H5Fclose(file_.release()), "H5Fclose"); }

RowWriter::RowWriter(File& file, const std::string& name, Shape shape, hid_t file_type,
                     hid_t memory_type, std::size_t value_bytes)
    : file_(&file), shape_(std::move(shape)), memory_type_(memory_type) {
  const Shape chunk = choose_chunk(shape_, value_bytes);
  const Shape row(shape_.begin() + 1, shape_.end());
  row_bytes_ = count(row) * value_bytes;
  rows_per_chunk_ = chunk.empty()
                        ? std::max<hsize_t>(1, kChunkBytes / std::max<hsize_t>(1, row_bytes_))
                        : chunk[0];
  dataset_ = file.make_dataset(name, shape_, file_type, chunk, value_bytes);
}

void RowWriter::append_bytes(std::span<const std::byte> row) {
  expect(row.size() == row_bytes_, "a whole row");
  pending_.insert(pending_.end(), row.begin(), row.end());
  if (pending_.size() == rows_per_chunk_ * row_bytes_ ||
      written_ + pending_.size() / row_bytes_ == shape_[0])
    write_chunk();
}

void RowWriter::write_chunk() {
  Shape first(shape_.size(), 0);
  first[0] = written_;
  Shape extent = shape_;
  extent[0] = pending_.size() / row_bytes_;
  const Handle memory = file_->make_space(extent);
  const Handle space(file_->check(H5Dget_space(dataset_.get()), "H5Dget_space"));
  file_->check(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, first.data(), nullptr,
                                   extent.data(), nullptr),
               "H5Sselect_hyperslab");
  file_->check(H5Dwrite(dataset_.get(), memory_type_, memory.get(), space.get(), H5P_DEFAULT,
                        pending_.data()),
               "H5Dwrite");
  written_ += extent[0];
  pending_ = std::vector<std::byte>();  // its memory too: others are filled meanwhile
}

}  // namespace fedselect::hdf5
