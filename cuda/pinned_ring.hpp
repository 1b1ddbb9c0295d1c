#pragma once

#include <array>
#include <cstddef>

#include "base/copy_threads.hpp"
#include "device.hpp"

namespace fedselect::cuda {

/// Copies from and to ordinary host memory through page-locked pieces, so that the host need not
/// wait for an upload: it goes on while the device is still at work on what was queued before.
class PinnedRing {
 public:
  /// Queues host -> device; `host` may change as soon as this returns.
  void upload(cudaStream_t stream, void* device, const void* host, std::size_t bytes);
  /// Device -> host; waits for the stream.
  void download(cudaStream_t stream, void* host, const void* device, std::size_t bytes);

 private:
  static constexpr std::size_t kPiece = std::size_t{4} << 20;
  struct Piece {
    PinnedMemory memory;  ///< allocated on first use
    Event free;           ///< reached when the copy from it is done
  };
  /// The next piece, once it is free.
  Piece& next();

  CopyThreads threads_{CopyThreads::useful()};
  std::array<Piece, 4> pieces_;
  std::size_t turn_ = 0;
};

}  // namespace fedselect::cuda
