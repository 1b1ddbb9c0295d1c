#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/aligned.hpp"
#include "ops/ops.hpp"

namespace fedselect::ops {

/// Device memory: one zeroed array of `count` elements for each of `clients` clients. Move-only,
/// freed with the object.
template <class T>
class DeviceArray {
 public:
  DeviceArray() = default;
  DeviceArray(Ops& ops, int clients, std::size_t count)
      : count_(count), stride_(round_up(count, kAlignment / sizeof(T))) {
    memory_ = ops.allocate(static_cast<std::size_t>(clients) * stride_ * sizeof(T));
  }
  DeviceArray(DeviceArray&&) noexcept = default;
  DeviceArray& operator=(DeviceArray&&) noexcept = default;

  bool empty() const { return memory_ == nullptr; }
  std::size_t count() const { return count_; }
  /// All clients' arrays.
  Grouped<T> view() const {
    return {static_cast<T*>(memory_.get()), static_cast<std::ptrdiff_t>(stride_)};
  }
  /// One client's array.
  T* of(int client) const { return view()[client]; }

  /// Elements from one client's array to the next one's.
  std::size_t stride() const { return stride_; }

  /// Host to device, the first clients' arrays, which lie at the stride.
  void upload(Ops& ops, std::span<const T> values) {
    ops.upload(memory_.get(), values.data(), values.size_bytes());
  }
  /// Host to device, the first values.size() elements of one client.
  void upload(Ops& ops, int client, std::span<const T> values) {
    ops.upload(of(client), values.data(), values.size_bytes());
  }
  /// Device to host, the first values.size() elements of one client.
  void download(Ops& ops, int client, std::span<T> values) const {
    ops.download(values.data(), of(client), values.size_bytes());
  }

 private:
  std::shared_ptr<void> memory_;
  std::size_t count_ = 0;
  std::size_t stride_ = 0;
};

}  // namespace fedselect::ops
