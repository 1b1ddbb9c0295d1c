#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

namespace fedselect {

/// Threads that copy long arrays together: one alone reaches a part of a memory's bandwidth, and
/// waits for the system at each page that is new. They sleep between copies. Not for use by several
/// threads at once.
class CopyThreads {
 public:
  /// `threads`: the caller among them; 1: it copies alone.
  explicit CopyThreads(int threads);
  ~CopyThreads();
  CopyThreads(const CopyThreads&) = delete;
  CopyThreads& operator=(const CopyThreads&) = delete;

  /// As many as help, of the cores that this process may use.
  static int useful();

  /// memcpy. The two don't overlap.
  void copy(std::byte* to, const std::byte* from, std::size_t bytes);

 private:
  void serve(std::size_t part);
  void copy_part(std::size_t part) const;

  // The copy at hand; written before `asked_` moves on.
  std::byte* to_ = nullptr;
  const std::byte* from_ = nullptr;
  std::size_t bytes_ = 0;
  bool ends_ = false;
  std::atomic<std::uint32_t> asked_ = 0;  ///< copies so far
  std::atomic<std::uint32_t> busy_ = 0;   ///< threads that are not done with the last of them
  std::vector<std::jthread> threads_;
};

}  // namespace fedselect
