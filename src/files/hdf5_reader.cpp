#include "files/hdf5_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>
#include <system_error>

#include "base/error.hpp"
#include "files/hdf5_driver.hpp"
#include "files/hdf5_heap.hpp"

namespace fedselect::hdf5 {

namespace {

namespace fs = std::filesystem;

/// No stream of deflate grows by more than this factor (zlib.net, "technical details").
constexpr std::uint64_t kMostInflation = 1032;
constexpr std::array kFilters{H5Z_FILTER_DEFLATE, H5Z_FILTER_SHUFFLE, H5Z_FILTER_FLETCHER32};

/// a * b, or the largest number where that would be larger.
std::uint64_t saturating_product(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? ~std::uint64_t{0} : product;
}

std::uint64_t saturating_product(const Shape& shape) {
  // An extent of 0 makes it 0, whatever the others are.
  if (std::find(shape.begin(), shape.end(), hsize_t{0}) != shape.end()) return 0;
  std::uint64_t product = 1;
  for (const hsize_t n : shape) product = saturating_product(product, n);
  return product;
}

/// Stops a conversion at a value that the wanted type can't hold, and notes it in the bool `noted`.
H5T_conv_ret_t stop_at_overflow(H5T_conv_except_t what, hid_t /*from*/, hid_t /*to*/,
                                void* /*value*/, void* /*target*/, void* noted) {
  if (what != H5T_CONV_EXCEPT_RANGE_HI && what != H5T_CONV_EXCEPT_RANGE_LOW)
    return H5T_CONV_UNHANDLED;
  *static_cast<bool*>(noted) = true;
  return H5T_CONV_ABORT;
}

/// A text of fixed length: what pads it at its end is not part of it.
std::string unpad(const char* text, std::size_t size, H5T_str_t padding) {
  std::string unpadded(text, padding == H5T_STR_SPACEPAD ? size : strnlen(text, size));
  if (padding == H5T_STR_SPACEPAD) unpadded.erase(unpadded.find_last_not_of(' ') + 1);
  return unpadded;
}

/// Whether numbers of this type are stored as processors have them. The library crashes on some
/// other layouts.
bool is_ordinary_number(hid_t type) {
  switch (H5Tget_class(type)) {
    case H5T_INTEGER:
      return H5Tget_offset(type) == 0 && H5Tget_precision(type) == 8 * H5Tget_size(type) &&
             H5Tget_size(type) <= sizeof(std::int64_t);
    case H5T_FLOAT: {
      const std::array known{H5T_IEEE_F32LE, H5T_IEEE_F32BE, H5T_IEEE_F64LE, H5T_IEEE_F64BE};
      return std::any_of(known.begin(), known.end(),
                         [&](hid_t other) { return H5Tequal(type, other) > 0; });
    }
    default: return false;
  }
}

}  // namespace

Reader::Reader(fs::path path, std::string remedy)
    : path_(std::move(path)), remedy_(std::move(remedy)) {
  silence_errors();
  std::error_code error;
  const auto status = fs::status(path_, error);
  if (!error && !fs::is_regular_file(status))
    error = std::make_error_code(std::errc::invalid_argument);
  if (!error) file_bytes_ = fs::file_size(path_, error);
  if (error)
    throw InputError(fmt::format("{}: cannot open this file ({}): {}", path_.string(),
                                 error.message(), remedy_));
  const Handle access(H5Pcreate(H5P_FILE_ACCESS));
  if (use_patient_driver(access.get(), read_error_.get()) >= 0)
    file_ = Handle(H5Fopen(path_.c_str(), H5F_ACC_RDONLY, access.get()));
  if (file_.get() >= 0) return;
  if (*read_error_ != 0)
    throw InputError(fmt::format("{}: cannot open this file ({}): {}", path_.string(),
                                 std::generic_category().message(*read_error_), remedy_));
  throw InputError(fmt::format("{}: is no HDF5 file, or a torn one ({}): {}", path_.string(),
                               last_error(), remedy_));
}

void Reader::refuse(const std::string& name, std::string_view what) const {
  throw InputError(fmt::format("{}: {} {}: {}", path_.string(), name, what, remedy_));
}

void Reader::fail(const std::string& name) const {
  const std::string why =
      *read_error_ != 0 ? std::generic_category().message(*read_error_) : last_error();
  refuse(name, fmt::format("cannot be read ({})", why));
}

std::string Reader::find(const std::string& name) const {
  std::string path;
  for (std::size_t begin = name.find_first_not_of('/'); begin != std::string::npos;) {
    const std::size_t end = std::min(name.find('/', begin), name.size());
    if (!path.empty()) {
      const Handle parent(check(H5Oopen(file_.get(), path.c_str(), H5P_DEFAULT), path));
      if (H5Iget_type(parent.get()) != H5I_GROUP) return "";
    }
    path.append(1, '/').append(name, begin, end - begin);
    if (check(H5Lexists(file_.get(), path.c_str(), H5P_DEFAULT), path) == 0) return "";
    H5L_info_t link{};
    check(H5Lget_info(file_.get(), path.c_str(), &link, H5P_DEFAULT), path);
    if (link.type != H5L_TYPE_HARD) refuse(path, "is a link to another place");
    begin = name.find_first_not_of('/', end);
  }
  return path.empty() ? "/" : path;
}

bool Reader::exists(const std::string& name) const { return !find(name).empty(); }

Reader::OpenData Reader::open_data(const std::string& name) const {
  OpenData data;
  data.name = find(name);
  if (data.name.empty()) refuse(name, "is missing");
  const Handle object(check(H5Oopen(file_.get(), data.name.c_str(), H5P_DEFAULT), name));
  if (H5Iget_type(object.get()) != H5I_DATASET) refuse(name, "is no data set");
  data.dataset = Handle(check(H5Dopen2(file_.get(), data.name.c_str(), H5P_DEFAULT), name));
  data.type = Handle(check(H5Dget_type(data.dataset.get()), name));
  data.space = Handle(check(H5Dget_space(data.dataset.get()), name));
  if (H5Sget_simple_extent_type(data.space.get()) == H5S_NULL) refuse(name, "holds nothing");
  data.shape.resize(
      static_cast<std::size_t>(check(H5Sget_simple_extent_ndims(data.space.get()), name)));
  check(H5Sget_simple_extent_dims(data.space.get(), data.shape.data(), nullptr), name);
  return data;
}

Shape Reader::shape(const std::string& name) const { return open_data(name).shape; }

Reader::OpenData Reader::open_numbers(const std::string& name, bool integers) const {
  OpenData data = open_data(name);
  const H5T_class_t kind = H5Tget_class(data.type.get());
  if (kind != H5T_INTEGER && kind != H5T_FLOAT) refuse(name, "does not hold numbers");
  if (integers && kind != H5T_INTEGER) refuse(name, "does not hold whole numbers");
  if (!is_ordinary_number(data.type.get())) refuse(name, "holds numbers of an unusual layout");
  check_storage(data);
  return data;
}

void Reader::check_storage(const OpenData& data) const {
  const Handle creation(check(H5Dget_create_plist(data.dataset.get()), data.name));
  const H5D_layout_t layout = check(H5Pget_layout(creation.get()), data.name);
  if (layout == H5D_VIRTUAL || check(H5Pget_external_count(creation.get()), data.name) > 0)
    refuse(data.name, "has its values in another file");
  std::uint64_t inflation = 1;
  const int filters = check(H5Pget_nfilters(creation.get()), data.name);
  for (unsigned i = 0; i < static_cast<unsigned>(filters); ++i) {
    unsigned flags = 0;
    std::size_t values = 0;
    unsigned config = 0;
    const H5Z_filter_t filter =
        check(H5Pget_filter2(creation.get(), i, &flags, &values, nullptr, 0, nullptr, &config),
              data.name);
    if (std::find(kFilters.begin(), kFilters.end(), filter) == kFilters.end())
      refuse(data.name, fmt::format("is stored with filter {}, which this program can't undo "
                                    "(deflate, shuffle and fletcher32 it can)",
                                    filter));
    if (filter == H5Z_FILTER_DEFLATE) inflation = kMostInflation;
  }
  const std::uint64_t stored =
      std::min<std::uint64_t>(H5Dget_storage_size(data.dataset.get()), file_bytes_);
  const std::uint64_t most = saturating_product(stored, inflation);
  const std::uint64_t value_bytes = H5Tget_size(data.type.get());
  Shape chunk(layout == H5D_CHUNKED ? data.shape.size() : 0);
  if (!chunk.empty())
    check(H5Pget_chunk(creation.get(), static_cast<int>(chunk.size()), chunk.data()), data.name);
  const std::uint64_t claimed =
      std::max(saturating_product(data.shape), stored == 0 ? 0 : saturating_product(chunk));
  if (saturating_product(claimed, value_bytes) > most)
    refuse(data.name, fmt::format("claims {} values of {} bytes, more than its {} bytes in the "
                                  "file can hold",
                                  claimed, value_bytes, stored));
}

std::size_t Reader::checked_count(const OpenData& data, hsize_t first, hsize_t rows,
                                  std::size_t value_bytes) const {
  if (first > data.rows() || rows > data.rows() - first)
    refuse(data.name,
           fmt::format("has {} rows, {} from row {} on are wanted", data.rows(), rows, first));
  Shape wanted = data.shape;
  if (!wanted.empty()) wanted.front() = rows;
  const std::uint64_t values = wanted.empty() ? rows : saturating_product(wanted);
  if (saturating_product(values, value_bytes) > std::vector<char>().max_size())
    refuse(data.name, "is too large for this machine");
  return values;
}

void Reader::read_values(const OpenData& data, hsize_t first, hsize_t rows, hid_t memory_type,
                         void* values) const {
  Shape extent = data.shape;
  if (!extent.empty()) extent.front() = rows;
  if (rows == 0 || saturating_product(extent) == 0) return;
  Handle memory(check(H5Scopy(data.space.get()), data.name));
  const Handle space(check(H5Scopy(data.space.get()), data.name));
  if (!extent.empty()) {
    memory = Handle(check(H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr),
                          data.name));
    Shape start(extent.size(), 0);
    start.front() = first;
    check(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start.data(), nullptr, extent.data(),
                              nullptr),
          data.name);
  }
  bool overflows = false;
  const Handle transfer(check(H5Pcreate(H5P_DATASET_XFER), data.name));
  check(H5Pset_type_conv_cb(transfer.get(), stop_at_overflow, &overflows), data.name);
  const herr_t result =
      H5Dread(data.dataset.get(), memory_type, memory.get(), space.get(), transfer.get(), values);
  if (overflows)
    refuse(data.name, "holds a number that is too large, or below 0 where none may be");
  check(result, data.name);
}

std::vector<std::string> Reader::read_heap_texts(const OpenData& data) const {
  const Handle creation(check(H5Dget_create_plist(data.dataset.get()), data.name));
  if (H5Pget_layout(creation.get()) != H5D_CONTIGUOUS)
    refuse(data.name, "holds texts of variable length in pieces, which this program can't read");
  const Handle layout(check(H5Fget_create_plist(file_.get()), data.name));
  std::size_t address_bytes = 0;
  std::size_t length_bytes = 0;
  hsize_t user_bytes = 0;
  check(H5Pget_sizes(layout.get(), &address_bytes, &length_bytes), data.name);
  check(H5Pget_userblock(layout.get(), &user_bytes), data.name);
  if (address_bytes != 8 || length_bytes != 8 || user_bytes != 0)
    refuse(data.name, "holds texts in a file of an unusual layout");
  const haddr_t address = H5Dget_offset(data.dataset.get());
  try {
    return HeapTexts(path_, file_bytes_).read(address, data.rows());
  } catch (const std::runtime_error& error) {
    refuse(data.name, fmt::format("is damaged ({})", error.what()));
  }
}

std::vector<std::string> Reader::read_fixed_texts(const OpenData& data) const {
  const std::size_t size = H5Tget_size(data.type.get());
  std::vector<char> characters(data.rows() * size);
  read_values(data, 0, data.rows(), data.type.get(), characters.data());
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < data.rows(); ++i)
    texts.push_back(unpad(characters.data() + i * size, size, H5Tget_strpad(data.type.get())));
  return texts;
}

std::vector<std::string> Reader::read_texts(const std::string& name) const {
  const OpenData data = open_data(name);
  if (H5Tget_class(data.type.get()) != H5T_STRING) refuse(name, "does not hold text");
  if (data.shape.size() > 1) refuse(name, "has more than one axis");
  check_storage(data);
  if (data.rows() == 0) return {};
  const bool is_variable = check(H5Tis_variable_str(data.type.get()), name) > 0;
  return is_variable ? read_heap_texts(data) : read_fixed_texts(data);
}

std::string Reader::read_text(const std::string& name) const {
  auto texts = read_texts(name);
  if (texts.size() != 1) refuse(name, fmt::format("holds {} texts instead of one", texts.size()));
  return std::move(texts.front());
}

std::vector<std::string> Reader::children(const std::string& group) const {
  const std::string path = find(group);
  if (path.empty()) refuse(group, "is missing");
  const Handle open(check(H5Oopen(file_.get(), path.c_str(), H5P_DEFAULT), group));
  if (H5Iget_type(open.get()) != H5I_GROUP) refuse(group, "is no group");
  std::vector<std::string> names;
  const auto visit = [](hid_t /*group*/, const char* name, const H5L_info_t* /*link*/,
                        void* list) -> herr_t {
    static_cast<std::vector<std::string>*>(list)->emplace_back(name);
    return 0;
  };
  check(H5Literate(open.get(), H5_INDEX_NAME, H5_ITER_INC, nullptr, visit, &names), group);
  for (const auto& name : names)  // each of these would lead back to the group itself, or astray
    if (name.empty() || name == "." || name.find('/') != std::string::npos)
      refuse(group, "is damaged (a name in it is none)");
  std::sort(names.begin(), names.end());
  return names;
}

bool Reader::has_attribute(const std::string& name) const {
  return check(H5Aexists(file_.get(), name.c_str()), "attribute " + name) > 0;
}

Reader::OpenAttribute Reader::open_attribute(const std::string& name) const {
  const std::string title = "attribute " + name;
  if (!has_attribute(name)) refuse(title, "is missing");
  OpenAttribute attribute;
  attribute.title = title;
  attribute.attribute = Handle(check(H5Aopen(file_.get(), name.c_str(), H5P_DEFAULT), title));
  attribute.type = Handle(check(H5Aget_type(attribute.attribute.get()), title));
  attribute.space = Handle(check(H5Aget_space(attribute.attribute.get()), title));
  if (H5Sget_simple_extent_npoints(attribute.space.get()) != 1)
    refuse(title, "is not a single value");
  return attribute;
}

std::string Reader::text_attribute(const std::string& name) const {
  const OpenAttribute open = open_attribute(name);
  if (H5Tget_class(open.type.get()) != H5T_STRING) refuse(open.title, "does not hold text");
  if (check(H5Tis_variable_str(open.type.get()), open.title) == 0) {
    const std::size_t size = H5Tget_size(open.type.get());
    if (size > file_bytes_) refuse(open.title, "claims more text than the file can hold");
    std::vector<char> characters(size);
    check(H5Aread(open.attribute.get(), open.type.get(), characters.data()), open.title);
    return unpad(characters.data(), size, H5Tget_strpad(open.type.get()));
  }
  const Handle type(check(H5Tcopy(H5T_C_S1), open.title));
  check(H5Tset_size(type.get(), H5T_VARIABLE), open.title);
  check(H5Tset_cset(type.get(), H5Tget_cset(open.type.get())), open.title);
  char* text = nullptr;
  check(H5Aread(open.attribute.get(), type.get(), static_cast<void*>(&text)), open.title);
  std::string owned = text == nullptr ? "" : text;
  H5free_memory(text);
  return owned;
}

std::int64_t Reader::integer_attribute(const std::string& name) const {
  const OpenAttribute open = open_attribute(name);
  if (H5Tget_class(open.type.get()) != H5T_INTEGER || !is_ordinary_number(open.type.get()))
    refuse(open.title, "is no whole number");
  std::int64_t value = 0;
  check(H5Aread(open.attribute.get(), H5T_NATIVE_INT64, &value), open.title);
  return value;
}

}  // namespace fedselect::hdf5
