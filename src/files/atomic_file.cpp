#include "files/atomic_file.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include "base/error.hpp"
#include "files/raw_file.hpp"

namespace fedselect {

namespace fs = std::filesystem;

PartialFile::PartialFile(fs::path path) : path_(std::move(path)), partial_(path_) {
  partial_ += ".partial";
  // What a killed program left may be a second name of another file: that must not be written into.
  // A link stays, and is refused when the file is opened.
  std::error_code error;
  if (fs::is_regular_file(fs::symlink_status(partial_, error))) fs::remove(partial_, error);
}

PartialFile::~PartialFile() {
  std::error_code ignored;
  if (!committed_) fs::remove(partial_, ignored);
}

void PartialFile::commit() {
  RawFile file(partial_, RawFile::Mode::read);
  file.sync();
  file.close();
  rename_file(partial_, path_);
  committed_ = true;
}

void rename_file(const fs::path& from, const fs::path& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0)
    throw SystemError(
        fmt::format("{}: cannot replace it ({}): free space there, or write to another folder",
                    to.string(), std::generic_category().message(errno)));
  unlink(from.c_str());  // of two names of one file rename() leaves both
  sync_folder(to.has_parent_path() ? to.parent_path() : fs::path("."));
}

void replace_file(const fs::path& path, std::string_view text) {
  PartialFile partial(path);
  RawFile file(partial.path(), RawFile::Mode::create);
  file.write(text);
  file.close();
  partial.commit();
}

}  // namespace fedselect
