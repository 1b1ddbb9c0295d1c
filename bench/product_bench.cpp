// Linear layers of clients side by side beside cuBLAS, in one run: seconds, and whether a client's
// bits depend on how many clients are beside it.
//
//   product_bench      a table on stdout; needs a GPU

#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <stdexcept>
#include <vector>

#include "base/random.hpp"
#include "cuda_device.hpp"
#include "ops/device_array.hpp"

namespace fedselect {
namespace {

constexpr int kSamples = 32;

void check(cublasStatus_t code) {
  if (code != CUBLAS_STATUS_SUCCESS) throw std::runtime_error(cublasGetStatusString(code));
}
void check(cudaError_t code) {
  if (code != cudaSuccess) throw std::runtime_error(cudaGetErrorString(code));
}

/// Seconds of one call, the fastest of some turns of many.
double seconds_of(const std::function<void()>& work) {
  constexpr int kTurns = 7, kCalls = 20;
  work();
  double best = 1e9;
  for (int turn = 0; turn < kTurns; ++turn) {
    check(cudaDeviceSynchronize());
    const auto start = std::chrono::steady_clock::now();
    for (int call = 0; call < kCalls; ++call) work();
    check(cudaDeviceSynchronize());
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
    best = std::min(best, passed.count() / kCalls);
  }
  return best;
}

/// A layer of `clients` clients, with random numbers.
class Layer {
 public:
  Layer(ops::Ops& ops, ops::LinearShape shape, int clients)
      : ops_(ops),
        shape_(shape),
        clients_(clients),
        samples_(static_cast<std::size_t>(clients), kSamples),
        x_(random(kSamples * shape.in, 1)),
        y_(random(kSamples * shape.out, 2)),
        dy_(random(kSamples * shape.out, 3)),
        dx_(random(kSamples * shape.in, 4)),
        weight_(random(shape.in * shape.out, 5)),
        dweight_(random(shape.in * shape.out, 6)) {
    check(cublasCreate(&cublas_));
    check(cublasSetMathMode(cublas_, CUBLAS_PEDANTIC_MATH));
  }
  ~Layer() { cublasDestroy(cublas_); }
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;

  void ours_forward(int first, int count) {
    ops_.linear_forward(group(count), shape_, of(x_, first), of(weight_, first), {}, of(y_, first));
  }
  void theirs_forward(int first, int count) {  // y^T = W x^T, column-major
    theirs(CUBLAS_OP_T, CUBLAS_OP_N, shape_.out, kSamples, shape_.in, of(weight_, first), shape_.in,
           of(x_, first), shape_.in, of(y_, first), shape_.out, count);
  }
  void row(const char* name, double ours, double theirs, double bytes) const {
    fmt::print("| {} x {} | {} | {} | {:.1f} | {:.1f} | {:.2f} | {:.0f} |\n", shape_.in, shape_.out,
               clients_, name, ours * 1e6, theirs * 1e6, theirs / ours,
               bytes * clients_ / ours * 1e-9);
  }
  void compare() {
    const double weights = 4.0 * shape_.in * shape_.out;
    const double x = 4.0 * kSamples * shape_.in, y = 4.0 * kSamples * shape_.out;
    row("y", seconds_of([&] { ours_forward(0, clients_); }),
        seconds_of([&] { theirs_forward(0, clients_); }), weights + x + y);
    row("dx", seconds_of([&] {
          ops_.linear_backward(group(clients_), shape_, of(x_, 0), of(weight_, 0), of(dy_, 0),
                               of(dx_, 0), {}, {});
        }),
        seconds_of([&] {
          theirs(CUBLAS_OP_N, CUBLAS_OP_N, shape_.in, kSamples, shape_.out, of(weight_, 0),
                 shape_.in, of(dy_, 0), shape_.out, of(dx_, 0), shape_.in, clients_);
        }),
        weights + x + y);
    row("dweight", seconds_of([&] {
          ops_.linear_backward(group(clients_), shape_, of(x_, 0), of(weight_, 0), of(dy_, 0), {},
                               of(dweight_, 0), {});
        }),
        seconds_of([&] {
          theirs(CUBLAS_OP_N, CUBLAS_OP_T, shape_.in, shape_.out, kSamples, of(x_, 0), shape_.in,
                 of(dy_, 0), shape_.out, of(dweight_, 0), shape_.in, clients_);
        }),
        weights + x + y);
  }
  /// Clients whose y is another when they are alone.
  int changed(void (Layer::*forward)(int, int)) {
    (this->*forward)(0, clients_);
    const auto together = all_of(y_);
    for (int g = 0; g < clients_; ++g) (this->*forward)(g, 1);
    const auto alone = all_of(y_);
    int count = 0;
    for (std::size_t g = 0; g < together.size(); ++g) count += together[g] != alone[g] ? 1 : 0;
    return count;
  }

 private:
  using Array = ops::DeviceArray<float>;

  ops::Group group(int count) const {
    return {std::span(samples_).first(static_cast<std::size_t>(count))};
  }
  static ops::Values of(const Array& array, int first) {
    const ops::Values all = array.view();
    return {all[first], all.stride};
  }
  Array random(int size, std::uint64_t seed) {
    Array array(ops_, clients_, static_cast<std::size_t>(size));
    RandomStream stream(seed, Purpose::test);
    std::vector<float> values(static_cast<std::size_t>(size));
    for (int g = 0; g < clients_; ++g) {
      for (float& value : values) value = static_cast<float>(stream.uniform()) - 0.5F;
      array.upload(ops_, g, std::span<const float>(values));
    }
    return array;
  }
  std::vector<std::vector<float>> all_of(const Array& array) {
    check(cudaDeviceSynchronize());
    std::vector<std::vector<float>> all;
    for (int g = 0; g < clients_; ++g) {
      all.emplace_back(static_cast<std::size_t>(kSamples * shape_.out));
      array.download(ops_, g, std::span(all.back()));
    }
    return all;
  }
  void theirs(cublasOperation_t transa, cublasOperation_t transb, int m, int n, int k,
              ops::Values a, int lda, ops::Values b, int ldb, ops::Values c, int ldc, int count) {
    const float one = 1, none = 0;
    check(cublasSgemmStridedBatched(cublas_, transa, transb, m, n, k, &one, a.data, lda, a.stride,
                                    b.data, ldb, b.stride, &none, c.data, ldc, c.stride, count));
  }

  ops::Ops& ops_;
  ops::LinearShape shape_;
  int clients_;
  std::vector<int> samples_;
  Array x_, y_, dy_, dx_, weight_, dweight_;
  cublasHandle_t cublas_ = nullptr;
};

void run() {
  const auto ops = cuda::make_ops(0);
  std::vector<std::string> bits;
  fmt::print("{}, {} samples a client\n\n", ops->device(), kSamples);
  fmt::print("| layer | clients | what | us | cuBLAS us | cuBLAS : ours | GB/s |\n");
  fmt::print("|---|---|---|---|---|---|---|\n");
  for (const ops::LinearShape shape :
       {ops::LinearShape{3136, 512}, ops::LinearShape{784, 200}, ops::LinearShape{512, 10}})
    for (const int clients : {1, 10, 100}) {
      Layer layer(*ops, shape, clients);
      layer.compare();
      bits.push_back(fmt::format("| {} x {} | {} | {} | {} |", shape.in, shape.out, clients,
                                 layer.changed(&Layer::ours_forward),
                                 layer.changed(&Layer::theirs_forward)));
    }
  fmt::print("\nClients whose output has other bits when they are alone:\n\n");
  fmt::print("| layer | clients | ours | cuBLAS |\n|---|---|---|---|\n");
  for (const std::string& line : bits) fmt::print("{}\n", line);
}

}  // namespace
}  // namespace fedselect

int main() {
  try {
    fedselect::run();
  } catch (const std::exception& error) {
    fmt::print(stderr, "product_bench: {}\n", error.what());
    return 1;
  }
}
