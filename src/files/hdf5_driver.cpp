#include "files/hdf5_driver.hpp"

#include <H5FDpublic.h>
#include <fcntl.h>
#include <unistd.h>
#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <new>

namespace fedselect::hdf5 {

namespace {

constexpr herr_t kDone = 0;
constexpr herr_t kFailed = -1;
constexpr haddr_t kLargestAddress = (haddr_t{1} << 62) - 1;

/// What a property list carries to open(); copied by the library.
struct DriverInfo {
  int* error;
};

struct OpenFile : H5FD_t {
  int fd = -1;
  int* error = nullptr;
  haddr_t allocated = 0;  ///< end of what the library uses
  haddr_t written = 0;    ///< end of what the file holds
};

OpenFile& open_file(H5FD_t* file) { return *static_cast<OpenFile*>(file); }
const OpenFile& open_file(const H5FD_t* file) { return *static_cast<const OpenFile*>(file); }

void note(OpenFile& file) {
  if (*file.error == 0) *file.error = errno;
}

H5FD_t* open_path(const char* name, unsigned flags, hid_t access, haddr_t /*largest*/) {
  const auto* info = static_cast<const DriverInfo*>(H5Pget_driver_info(access));
  if (info == nullptr) return nullptr;
  int mode = O_RDWR | O_NOFOLLOW | O_CLOEXEC;
  if ((flags & H5F_ACC_CREAT) != 0) mode |= O_CREAT;
  if ((flags & H5F_ACC_TRUNC) != 0) mode |= O_TRUNC;
  const int fd = open(name, mode, 0666);
  if (fd < 0) {
    *info->error = errno;
    return nullptr;
  }
  auto* file = new (std::nothrow) OpenFile;
  if (file == nullptr) {
    close(fd);
    return nullptr;
  }
  file->fd = fd;
  file->error = info->error;
  file->written = static_cast<haddr_t>(std::max<off_t>(lseek(fd, 0, SEEK_END), 0));
  return file;
}

herr_t close_file(H5FD_t* base) {
  OpenFile& file = open_file(base);
  if (close(file.fd) != 0) note(file);
  delete &file;
  return kDone;
}

herr_t query_features(const H5FD_t* /*file*/, unsigned long* flags) {
  *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
           H5FD_FEAT_AGGREGATE_SMALLDATA | H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
  return kDone;
}

haddr_t get_allocated(const H5FD_t* file, H5FD_mem_t /*type*/) { return open_file(file).allocated; }

herr_t set_allocated(H5FD_t* file, H5FD_mem_t /*type*/, haddr_t end) {
  open_file(file).allocated = end;
  return kDone;
}

/// What was dropped counts as written.
haddr_t get_written(const H5FD_t* base, H5FD_mem_t /*type*/) {
  const OpenFile& file = open_file(base);
  return std::max(file.written, file.allocated);
}

herr_t read_bytes(H5FD_t* base, H5FD_mem_t /*type*/, hid_t /*transfer*/, haddr_t at,
                  std::size_t size, void* buffer) {
  OpenFile& file = open_file(base);
  auto* to = static_cast<char*>(buffer);
  while (size > 0) {
    const ssize_t got = pread(file.fd, to, size, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      note(file);
      return kFailed;
    }
    if (got == 0) {  // past the end: the library expects zeros
      std::memset(to, 0, size);
      return kDone;
    }
    to += got;
    at += static_cast<haddr_t>(got);
    size -= static_cast<std::size_t>(got);
  }
  return kDone;
}

herr_t write_bytes(H5FD_t* base, H5FD_mem_t /*type*/, hid_t /*transfer*/, haddr_t at,
                   std::size_t size, const void* buffer) {
  OpenFile& file = open_file(base);
  const auto* from = static_cast<const char*>(buffer);
  while (size > 0 && *file.error == 0) {
    const ssize_t put = pwrite(file.fd, from, size, static_cast<off_t>(at));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      note(file);
      break;
    }
    from += put;
    at += static_cast<haddr_t>(put);
    size -= static_cast<std::size_t>(put);
  }
  file.written = std::max(file.written, at + size);
  return kDone;
}

/// Makes the file end where the library's use of it ends.
herr_t cut_off(H5FD_t* base, hid_t /*transfer*/, hbool_t /*closing*/) {
  OpenFile& file = open_file(base);
  if (*file.error == 0 && ftruncate(file.fd, static_cast<off_t>(file.allocated)) != 0) note(file);
  file.written = file.allocated;
  return kDone;
}

H5FD_class_t make_class() {
  H5FD_class_t driver{};
#if H5_VERSION_GE(1, 13, 0)
  driver.version = H5FD_CLASS_VERSION;
  driver.value = static_cast<H5FD_class_value_t>(600);  // HDF5 leaves 512 and above to applications
#endif
  driver.name = "fedselect";
  driver.maxaddr = kLargestAddress;
  driver.fc_degree = H5F_CLOSE_WEAK;
  driver.fapl_size = sizeof(DriverInfo);
  driver.open = open_path;
  driver.close = close_file;
  driver.query = query_features;
  driver.get_eoa = get_allocated;
  driver.set_eoa = set_allocated;
  driver.get_eof = get_written;
  driver.read = read_bytes;
  driver.write = write_bytes;
  driver.truncate = cut_off;
  const H5FD_mem_t kinds[H5FD_MEM_NTYPES] = H5FD_FLMAP_DICHOTOMY;
  std::copy(std::begin(kinds), std::end(kinds), std::begin(driver.fl_map));
  return driver;
}

}  // namespace

herr_t use_patient_driver(hid_t access, int* error) {
  static const H5FD_class_t kDriver = make_class();
  static const hid_t kDriverId = H5FDregister(&kDriver);
  const DriverInfo info{error};
  return kDriverId < 0 ? kFailed : H5Pset_driver(access, kDriverId, &info);
}

}  // namespace fedselect::hdf5
