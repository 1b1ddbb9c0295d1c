#include "io/shared_file.hpp"

#include <system_error>
#include <utility>

#include "base/error.hpp"
#include "base/pulse.hpp"
#include "files/file_digest.hpp"

namespace fedselect {

namespace {

namespace fs = std::filesystem;

/// Bytes that wait for more before they are written.
constexpr std::size_t kPendingBytes = std::size_t{1} << 20;

}  // namespace

SharedFile::SharedFile(fs::path path, Communicator& comm) : path_(std::move(path)), comm_(comm) {
  if (comm_.is_root()) partial_.emplace(path_);
}

fs::path SharedFile::partial_path() const {
  fs::path partial = path_;
  return partial += ".partial";
}

SharedFile::Rows& SharedFile::declare_rows(
    std::int64_t rows, std::size_t row_bytes,
    std::function<std::uint64_t(hdf5::File&, hsize_t)> reserve) {
  auto declared = std::make_unique<Rows>();
  declared->reserve_ = std::move(reserve);
  declared->mine_ = rows;
  declared->row_bytes_ = row_bytes;
  rows_.push_back(std::move(declared));
  return *rows_.back();
}

void SharedFile::open(const std::function<void(hdf5::File&)>& write_own) {
  std::vector<std::int64_t> mine;
  for (const auto& rows : rows_) mine.push_back(rows->mine_);
  const auto counts = gather_on_all(comm_, mine);
  std::vector<std::uint64_t> places;
  agree(comm_, [&] {
    if (!comm_.is_root()) return;
    hdf5::File file(partial_->path());
    write_own(file);
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      hsize_t all = 0;
      for (std::size_t at = i; at < counts.size(); at += rows_.size())
        all += static_cast<hsize_t>(counts[at]);
      places.push_back(rows_[i]->reserve_(file, all));
    }
    file.close();
  });
  places = gather_on_all(comm_, places);  // the root's alone
  agree(comm_, [&] { raw_.emplace(partial_path(), RawFile::Mode::change); });
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    Rows& rows = *rows_[i];
    for (int rank = 0; rank < comm_.rank(); ++rank)
      rows.first_ += counts[static_cast<std::size_t>(rank) * rows_.size() + i];
    rows.place_ = places[i] + static_cast<std::uint64_t>(rows.first_) * rows.row_bytes_;
    rows.file_ = &*raw_;
  }
}

void SharedFile::Rows::append_bytes(std::span<const std::byte> bytes) {
  pulse::beat();
  pending_.insert(pending_.end(), bytes.begin(), bytes.end());
  if (pending_.size() >= kPendingBytes) flush();
}

void SharedFile::Rows::flush() {
  file_->write_at(place_, pending_);
  place_ += pending_.size();
  pending_.clear();
}

void SharedFile::seal() {
  agree(comm_, [&] {
    for (const auto& rows : rows_) rows->flush();
    raw_->sync();
    raw_->close();
  });
}

// Each rank opens the file anew, now that all have closed it: only then do all file systems show
// what the others wrote.
std::string SharedFile::digest() const {
  std::vector<Sha256::Digest> mine;
  agree(comm_, [&] {
    const auto pieces = digest_pieces(RawFile(partial_path(), RawFile::Mode::read).size());
    const auto ranks = static_cast<std::uint64_t>(comm_.size());
    const auto rank = static_cast<std::uint64_t>(comm_.rank());
    mine = hash_pieces(partial_path(), pieces * rank / ranks, pieces * (rank + 1) / ranks);
  });
  return combine_pieces(gather_on_all(comm_, mine));
}

void SharedFile::commit(const fs::path& before) {
  agree(comm_, [&] {
    if (!comm_.is_root()) return;
    std::error_code error;
    if (!before.empty() && fs::exists(path_, error)) rename_file(path_, before);
    partial_->commit();
  });
}

}  // namespace fedselect
