// write_seeds FOLDER: the files of small runs from which fuzzing of checkpoints and of HDF5 files
// begins. make_seeds.py calls it.

#include <fmt/format.h>

#include "data/plain_layout.hpp"
#include "io/checkpoint.hpp"
#include "io/manifest.hpp"
#include "io/run_writer.hpp"
#include "small_federation.hpp"

namespace {

namespace fs = std::filesystem;
using namespace fedselect;
using fuzz::SmallFederation;

/// Stops a round after its first client.
Simulation::StopRequest after_one() {
  return [asked = 0]() mutable { return asked++ > 0; };
}

/// Between two rounds, in an open one, and before its test.
void write_checkpoints(const fs::path& folder) {
  int kind = 0;
  for (const auto& federation : fuzz::all_kinds_of_state()) {
    const auto write = [&](const char* when) {
      const CheckpointHeader header{
          .rounds = 1, .config = "rounds = 3\n", .data_hash = 1, .journal = {}};
      write_checkpoint(folder / fmt::format("checkpoint_{}_{}.h5", kind, when), {}, header,
                       *federation->simulation, *federation->comm);
    };
    federation->simulation->round(0);
    write("closed");
    federation->simulation->train_cohort(1, after_one());
    write("open");
    federation->simulation->train_cohort(1, Simulation::never);
    if (!federation->simulation->complete_round(1, [] { return true; })) write("merged");
    ++kind;
  }
}

void write_run(const fs::path& folder) {
  SmallFederation federation(make_fedselect());
  const RunDescription description{.name = "small",
                                   .label = "fedselect",
                                   .method = "fedselect",
                                   .config = "rounds = 3\n",
                                   .manifest = "{}",
                                   .seed = 5,
                                   .tested_on = "after-local",
                                   .client_models = true};
  RunWriter writer(folder / "run", description, federation.network, *federation.comm,
                   *federation.simulation);
  for (int t = 0; t < SmallFederation::kRounds; ++t)
    writer.add(gather_round(*federation.comm, federation.simulation->round(t)), 1);
  writer.finish(federation.data, federation.partition);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const fs::path folder = argv[1];
  write_checkpoints(folder);
  write_run(folder);
  const SmallFederation federation(make_fedavg());
  write_plain_layout(folder / "plain.h5", federation.data, federation.partition);
  return 0;
}
