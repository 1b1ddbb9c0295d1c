// Ways of adding up 8 and 4 bytes a value over all ranks, for docs/scaling.md. Runs under mpirun,
// and under SimGrid's smpirun. The root prints one line of JSON a way: seconds, the median of some
// repeats.

#include <fmt/format.h>
#include <mpi.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace {

struct Communicators {
  MPI_Comm node = MPI_COMM_NULL;   ///< the ranks of this rank's node
  MPI_Comm peers = MPI_COMM_NULL;  ///< of each node the rank that has this rank's number there
};

Communicators split(int per_node) {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  Communicators parts;
  MPI_Comm_split(MPI_COMM_WORLD, rank / per_node, rank, &parts.node);
  MPI_Comm_split(MPI_COMM_WORLD, rank % per_node, rank, &parts.peers);
  return parts;
}

class Sums {
 public:
  Sums(std::size_t n, int per_node)
      : per_node_(per_node), parts_(split(per_node)), low_(n), weight_(n) {}

  void together() {
    reduce(low_, 0, low_.size(), MPI_INT64_T);
    reduce(weight_, 0, weight_.size(), MPI_UINT32_T);
  }
  void sums_only() { reduce(low_, 0, low_.size(), MPI_INT64_T); }

  void in_pieces(std::size_t piece) {
    for (std::size_t i = 0; i < low_.size(); i += piece) reduce(low_, i, piece, MPI_INT64_T);
    for (std::size_t i = 0; i < low_.size(); i += piece) reduce(weight_, i, piece, MPI_UINT32_T);
  }

  void at_once(std::size_t piece) {
    std::vector<MPI_Request> requests;
    for (std::size_t i = 0; i < low_.size(); i += piece) {
      start(low_, i, piece, MPI_INT64_T, requests.emplace_back());
      start(weight_, i, piece, MPI_UINT32_T, requests.emplace_back());
    }
    MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE);
  }

  void by_leaders() {
    const auto one = [&](auto& values, MPI_Datatype type) {
      int node_rank = 0;
      MPI_Comm_rank(parts_.node, &node_rank);
      const bool leads = node_rank == 0;
      const int n = static_cast<int>(values.size());
      MPI_Reduce(leads ? MPI_IN_PLACE : values.data(), values.data(), n, type, MPI_SUM, 0,
                 parts_.node);
      if (leads) MPI_Allreduce(MPI_IN_PLACE, values.data(), n, type, MPI_SUM, parts_.peers);
      MPI_Bcast(values.data(), n, type, 0, parts_.node);
    };
    one(low_, MPI_INT64_T);
    one(weight_, MPI_UINT32_T);
  }

  void by_slices() {
    const auto one = [&](auto& values, MPI_Datatype type) {
      const int n = static_cast<int>(values.size()) / per_node_;
      std::vector<typename std::decay_t<decltype(values)>::value_type> slice(
          static_cast<std::size_t>(n));
      MPI_Reduce_scatter_block(values.data(), slice.data(), n, type, MPI_SUM, parts_.node);
      MPI_Allreduce(MPI_IN_PLACE, slice.data(), n, type, MPI_SUM, parts_.peers);
      MPI_Allgather(slice.data(), n, type, values.data(), n, type, parts_.node);
    };
    one(low_, MPI_INT64_T);
    one(weight_, MPI_UINT32_T);
  }

 private:
  template <class T>
  void reduce(std::vector<T>& values, std::size_t begin, std::size_t piece, MPI_Datatype type) {
    MPI_Allreduce(MPI_IN_PLACE, values.data() + begin,
                  static_cast<int>(std::min(piece, values.size() - begin)), type, MPI_SUM,
                  MPI_COMM_WORLD);
  }
  template <class T>
  void start(std::vector<T>& values, std::size_t begin, std::size_t piece, MPI_Datatype type,
             MPI_Request& request) {
    MPI_Iallreduce(MPI_IN_PLACE, values.data() + begin,
                   static_cast<int>(std::min(piece, values.size() - begin)), type, MPI_SUM,
                   MPI_COMM_WORLD, &request);
  }

  int per_node_;
  Communicators parts_;
  std::vector<std::int64_t> low_;
  std::vector<std::uint32_t> weight_;
};

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  std::size_t values = 1 << 20;
  int per_node = 1;
  int repeats = 1;
  bool is_blocking = false;
  CLI::App app("Ways of adding up arrays over all ranks.");
  app.add_option("--values", values);
  app.add_option("--per-node", per_node);
  app.add_option("--repeats", repeats);
  app.add_flag("--blocking", is_blocking, "leave out what SimGrid has no model of");
  CLI11_PARSE(app, argc, argv);
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);

  constexpr std::size_t kPiece = std::size_t{1} << 17;
  Sums sums(values, per_node);
  std::vector<std::pair<const char*, std::function<void()>>> ways{
      {"together", [&] { sums.together(); }},
      {"sums only", [&] { sums.sums_only(); }},
      {"in pieces", [&] { sums.in_pieces(kPiece); }},
      {"by leaders", [&] { sums.by_leaders(); }},
      {"by slices", [&] { sums.by_slices(); }}};
  if (!is_blocking) {
    ways.emplace_back("non-blocking", [&] { sums.at_once(values); });
    ways.emplace_back("non-blocking pieces", [&] { sums.at_once(kPiece); });
  }
  for (const auto& [name, way] : ways) {
    std::vector<double> seconds;
    for (int i = 0; i < repeats; ++i) {
      MPI_Barrier(MPI_COMM_WORLD);
      const double begin = MPI_Wtime();
      way();
      MPI_Barrier(MPI_COMM_WORLD);
      seconds.push_back(MPI_Wtime() - begin);
    }
    const auto middle = seconds.begin() + repeats / 2;
    std::nth_element(seconds.begin(), middle, seconds.end());
    if (rank == 0) fmt::print("{{\"way\": \"{}\", \"seconds\": {:.9f}}}\n", name, *middle);
  }
  MPI_Finalize();
}
