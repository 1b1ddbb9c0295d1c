#include "pinned_ring.hpp"

#include <algorithm>

#include "check.hpp"

namespace fedselect::cuda {

PinnedRing::Piece& PinnedRing::next() {
  Piece& piece = pieces_[turn_++ % pieces_.size()];
  if (!piece.free) {
    piece.memory = make_pinned_memory(kPiece);
    piece.free = make_event();
  } else {
    FEDSELECT_CUDA(cudaEventSynchronize(piece.free.get()));
  }
  return piece;
}

void PinnedRing::upload(cudaStream_t stream, void* device, const void* host, std::size_t bytes) {
  for (std::size_t at = 0; at < bytes; at += kPiece) {
    const std::size_t part = std::min(kPiece, bytes - at);
    Piece& piece = next();
    threads_.copy(static_cast<std::byte*>(piece.memory.get()),
                  static_cast<const std::byte*>(host) + at, part);
    FEDSELECT_CUDA(cudaMemcpyAsync(static_cast<std::byte*>(device) + at, piece.memory.get(), part,
                                   cudaMemcpyHostToDevice, stream));
    FEDSELECT_CUDA(cudaEventRecord(piece.free.get(), stream));
  }
}

/// The host empties a piece while the device fills the next ones.
void PinnedRing::download(cudaStream_t stream, void* host, const void* device, std::size_t bytes) {
  const std::size_t first = turn_;
  std::size_t asked = 0;
  for (std::size_t at = 0; at < bytes; at += kPiece) {
    for (; asked < bytes && asked < at + pieces_.size() * kPiece; asked += kPiece) {
      Piece& piece = next();
      FEDSELECT_CUDA(
          cudaMemcpyAsync(piece.memory.get(), static_cast<const std::byte*>(device) + asked,
                          std::min(kPiece, bytes - asked), cudaMemcpyDeviceToHost, stream));
      FEDSELECT_CUDA(cudaEventRecord(piece.free.get(), stream));
    }
    Piece& piece = pieces_[(first + at / kPiece) % pieces_.size()];
    FEDSELECT_CUDA(cudaEventSynchronize(piece.free.get()));
    threads_.copy(static_cast<std::byte*>(host) + at,
                  static_cast<const std::byte*>(piece.memory.get()), std::min(kPiece, bytes - at));
  }
}

}  // namespace fedselect::cuda
