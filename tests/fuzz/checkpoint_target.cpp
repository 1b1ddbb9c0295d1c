// A checkpoint, restored into simulations that keep all kinds of state, which go on from it; behind
// it the journal of the rounds before, and the manifest.

#include "io/checkpoint.hpp"
#include "io/manifest.hpp"
#include "io/metrics_csv.hpp"
#include "io/round_journal.hpp"
#include "small_federation.hpp"
#include "target.hpp"

using namespace fedselect;
using fuzz::SmallFederation;

namespace {

void use_checkpoint(const std::filesystem::path& path, SmallFederation& federation) {
  fuzz::accepts([&] {
    const Checkpoint checkpoint(path);
    checkpoint.restore(*federation.simulation);
    const int rounds = checkpoint.header().rounds;
    if (rounds < SmallFederation::kRounds) federation.simulation->round(rounds);
  });
}

/// `bytes`: what is in the file.
void use_journal(const std::filesystem::path& path, std::string_view bytes,
                 const SmallFederation& federation) {
  const ParameterLayout& layout = federation.network.layout();
  const JournalBounds bounds{federation.partition.clients(), layout.tensors().size()};
  RoundJournal::read(path, bounds, [&](const JournalEntry& entry) {
    metrics_row(layout, entry.round, entry.seconds);
  });
  Hash hash;
  hash.add_bytes(std::as_bytes(std::span(bytes)));
  fuzz::accepts([&] { RoundJournal(path, {bytes.size(), hash.value()}, bounds); });
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::InputFolder folder;
  static const auto federations = fuzz::all_kinds_of_state();
  const auto files = fuzz::split(data, size, 3);
  const auto path = folder.write("checkpoint.h5", files[0]);
  for (const auto& federation : federations) use_checkpoint(path, *federation);
  use_journal(folder.write("journal.bin", files[1]), files[1], *federations.front());
  if (!files[2].empty()) resume_manifest(folder.write("manifest.json", files[2]), "{}", 1);
  return 0;
}
