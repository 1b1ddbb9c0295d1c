// What two ranks get from the link between them, and one of its core: the numbers that a simulation
// of this machine needs (validate.py). mpirun -n 2; the root prints one line of JSON.

#include <fmt/format.h>
#include <mpi.h>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/statistics.hpp"

namespace {

constexpr int kRepeats = 200;

/// Seconds that a message of 8 bytes is on its way.
double latency(int rank) {
  std::int64_t data = 0;
  std::vector<double> seconds;
  for (int i = 0; i < kRepeats; ++i) {
    const double begin = MPI_Wtime();
    if (rank == 0) MPI_Send(&data, 1, MPI_INT64_T, 1, 0, MPI_COMM_WORLD);
    MPI_Recv(&data, 1, MPI_INT64_T, 1 - rank, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    if (rank == 1) MPI_Send(&data, 1, MPI_INT64_T, 0, 0, MPI_COMM_WORLD);
    seconds.push_back((MPI_Wtime() - begin) / 2);
  }
  return fedselect::median(std::move(seconds));
}

/// Seconds in which two ranks exchange so many bytes, as they do in a sum.
double exchange(std::size_t bytes, int rank) {
  const std::vector<std::byte> mine(bytes);
  std::vector<std::byte> other(bytes);
  const int n = static_cast<int>(bytes);
  std::vector<double> seconds;
  for (int i = 0; i < kRepeats / 4; ++i) {
    MPI_Barrier(MPI_COMM_WORLD);
    const double begin = MPI_Wtime();
    MPI_Sendrecv(mine.data(), n, MPI_BYTE, 1 - rank, 0, other.data(), n, MPI_BYTE, 1 - rank, 0,
                 MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    seconds.push_back(MPI_Wtime() - begin);
  }
  return fedselect::median(std::move(seconds));
}

/// Seconds in which MPI adds a byte of one array of that size to another, both ranks at once.
double add(std::size_t bytes) {
  const std::vector<std::int64_t> more(bytes / sizeof(std::int64_t));
  std::vector<std::int64_t> sum(more.size());
  std::vector<double> seconds;
  for (int i = 0; i < kRepeats / 4; ++i) {
    MPI_Barrier(MPI_COMM_WORLD);
    const double begin = MPI_Wtime();
    MPI_Reduce_local(more.data(), sum.data(), static_cast<int>(more.size()), MPI_INT64_T, MPI_SUM);
    seconds.push_back(MPI_Wtime() - begin);
  }
  return fedselect::median(std::move(seconds)) / static_cast<double>(bytes);
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0;
  int size = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (size != 2) MPI_Abort(MPI_COMM_WORLD, 2);
  constexpr std::size_t kLong = std::size_t{8} << 20;
  const double once = latency(rank);
  const double transfer = exchange(kLong, rank) - once;
  const double adding = add(kLong);
  if (rank == 0)
    fmt::print("{{\"latency\": {:.3e}, \"bandwidth\": {:.4e}, \"add_seconds\": {:.3e}}}\n", once,
               static_cast<double>(kLong) / transfer, adding);
  MPI_Finalize();
}
