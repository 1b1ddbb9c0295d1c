#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "comm/communicator.hpp"

namespace fedselect {

/// What clients of a cohort told the server in a round: equally many floats each.
class Messages {
 public:
  /// `size`: floats of one message.
  explicit Messages(std::size_t size) : size_(size) {}

  void add(int client, std::span<const float> message);

  /// Floats of one message.
  std::size_t size() const { return size_; }
  std::size_t count() const { return clients_.size(); }
  int client(std::size_t i) const { return clients_[i]; }
  std::span<const float> operator[](std::size_t i) const {
    return std::span(values_).subspan(i * size_, size_);
  }

 private:
  friend Messages share_messages(Communicator& comm, const Messages& mine);

  std::size_t size_;
  std::vector<std::int32_t> clients_;
  std::vector<float> values_;  ///< one message after another
};

/// Collective: the messages of all ranks, on every rank, ascending by client.
Messages share_messages(Communicator& comm, const Messages& mine);

/// What the server makes of messages: Algorithm::answer writes it.
struct Answer {
  std::span<float> notice;  ///< what it tells all clients from the next round on; zeros so far
  /// One entry a message: the personal values, in index order, that its sender kept, to be
  /// replaced; empty for a sender whom another rank hosts.
  std::vector<std::span<float>> personal;
};

}  // namespace fedselect
