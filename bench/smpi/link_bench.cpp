// What two ranks get from the link between them, and one of its core: the numbers that a simulation
// of this machine needs (validate.py). mpirun -n 2; the root prints one line of JSON.

#include <fmt/format.h>
#include <mpi.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

constexpr int kRepeats = 200;

/// Seconds that a message of so many bytes is on its way: the shortest of many ways there and back.
double one_way(std::size_t bytes, int rank) {
  std::vector<std::byte> data(bytes);
  const int n = static_cast<int>(bytes);
  double best = 1;
  for (int i = 0; i < kRepeats; ++i) {
    const double begin = MPI_Wtime();
    if (rank == 0) MPI_Send(data.data(), n, MPI_BYTE, 1, 0, MPI_COMM_WORLD);
    MPI_Recv(data.data(), n, MPI_BYTE, 1 - rank, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    if (rank == 1) MPI_Send(data.data(), n, MPI_BYTE, 0, 0, MPI_COMM_WORLD);
    best = std::min(best, (MPI_Wtime() - begin) / 2);
  }
  return best;
}

/// Seconds in which MPI adds a byte of one array of that size to another, both ranks at once.
double add(std::size_t bytes) {
  const std::vector<std::int64_t> more(bytes / sizeof(std::int64_t));
  std::vector<std::int64_t> sum(more.size());
  double best = 1;
  for (int i = 0; i < kRepeats / 4; ++i) {
    MPI_Barrier(MPI_COMM_WORLD);
    const double begin = MPI_Wtime();
    MPI_Reduce_local(more.data(), sum.data(), static_cast<int>(more.size()), MPI_INT64_T, MPI_SUM);
    best = std::min(best, MPI_Wtime() - begin);
  }
  return best / static_cast<double>(bytes);
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
  const double latency = one_way(8, rank);
  const double transfer = one_way(kLong, rank) - latency;
  const double adding = add(kLong);
  if (rank == 0)
    fmt::print("{{\"latency\": {:.3e}, \"bandwidth\": {:.4e}, \"add_seconds\": {:.3e}}}\n", latency,
               static_cast<double>(kLong) / transfer, adding);
  MPI_Finalize();
}
