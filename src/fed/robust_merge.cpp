#include "fed/robust_merge.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

namespace fedselect {

namespace {

constexpr float kNone = std::numeric_limits<float>::quiet_NaN();

/// A rank's part of the indices.
struct Part {
  std::size_t begin = 0;
  std::size_t end = 0;

  /// Its next `length` indices from `offset` on, or what is left of them.
  Part piece(std::size_t offset, std::size_t length) const {
    const std::size_t from = std::min(begin + offset, end);
    return {from, std::min(from + length, end)};
  }
  std::size_t size() const { return end - begin; }
};

Part part_of(int rank, int ranks, std::size_t size) {
  const auto r = static_cast<std::size_t>(rank);
  const auto n = static_cast<std::size_t>(ranks);
  return {size * r / n, size * (r + 1) / n};
}

/// Each rank receives from all ranks what their uploads hold in its piece.
std::vector<float> exchange_pieces(Communicator& comm, const Messages& mine, std::size_t size,
                                   std::size_t offset, std::size_t length) {
  std::vector<std::vector<std::byte>> to(static_cast<std::size_t>(comm.size()));
  for (int rank = 0; rank < comm.size(); ++rank) {
    const Part piece = part_of(rank, comm.size(), size).piece(offset, length);
    auto& bytes = to[static_cast<std::size_t>(rank)];
    bytes.reserve(mine.count() * piece.size() * sizeof(float));
    for (std::size_t i = 0; i < mine.count(); ++i) {
      const auto own = std::as_bytes(mine[i].subspan(piece.begin, piece.size()));
      bytes.insert(bytes.end(), own.begin(), own.end());
    }
  }
  std::vector<float> values;
  for (const auto& bytes : comm.exchange(to)) {
    const std::size_t before = values.size();
    values.resize(before + bytes.size() / sizeof(float));
    if (!bytes.empty()) std::memcpy(values.data() + before, bytes.data(), bytes.size());
  }
  return values;
}

}  // namespace

float merge_values(Merge merge, double trim, std::vector<float>& values) {
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  // `trim` is meant in decimal: 0.29 of 100 values are 29, though 0.29 * 100 rounds below.
  const std::size_t cut =
      merge == Merge::median
          ? (n - 1) / 2
          : std::min(static_cast<std::size_t>(trim * static_cast<double>(n) + 1e-9), (n - 1) / 2);
  // In ascending order, so that the sum is the same however the values came.
  const double sum = std::accumulate(values.begin() + static_cast<std::ptrdiff_t>(cut),
                                     values.end() - static_cast<std::ptrdiff_t>(cut), 0.0);
  return static_cast<float>(sum / static_cast<double>(n - 2 * cut));
}

std::vector<float> merge_uploads(Communicator& comm, const Messages& mine, std::size_t uploads,
                                 Merge merge, double trim) {
  const std::size_t size = mine.size();
  std::vector<float> merged(size, kNone);
  const Part own = part_of(comm.rank(), comm.size(), size);
  const std::size_t length =
      std::max<std::size_t>(kMergePiece / sizeof(float) / std::max<std::size_t>(uploads, 1), 1);
  const std::size_t longest = size / static_cast<std::size_t>(comm.size()) + 1;
  std::vector<float> column;
  for (std::size_t offset = 0; offset < longest; offset += length) {
    const Part piece = own.piece(offset, length);
    const auto rows = exchange_pieces(comm, mine, size, offset, length);
    for (std::size_t i = 0; i < piece.size(); ++i) {
      column.clear();
      for (std::size_t at = i; at < rows.size(); at += piece.size())
        if (!std::isnan(rows[at])) column.push_back(rows[at]);
      if (!column.empty()) merged[piece.begin + i] = merge_values(merge, trim, column);
    }
  }
  return merged;
}

}  // namespace fedselect
