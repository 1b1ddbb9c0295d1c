#include "scaling/measurement.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

namespace fedselect {

namespace {

double total(const PhaseSeconds& seconds) {
  return std::accumulate(seconds.begin(), seconds.end(), 0.0);
}

/// What only the root can tell of a round, from everybody's records.
void add_totals(MeasuredRound& round, const RoundRecord& all, const ParameterLayout& layout) {
  constexpr std::int64_t kBytesPerValue = 4;
  for (std::size_t i = 0; i < all.clients.size(); ++i) {
    round.flops += all.clients[i].flops;
    if (all.clients[i].participated == 0) continue;
    const double shared = (1 - all.personal_share(i, layout)) * static_cast<double>(layout.size());
    round.needed =
        std::max(round.needed, kBytesPerValue * static_cast<std::int64_t>(std::llround(shared)));
  }
}

/// One round as the runner does it. The clock is read when the records are written, so that their
/// seconds are this round's.
MeasuredRound run_round(int t, Simulation& simulation, RunWriter& writer, Communicator& comm,
                        CountingSum& sums) {
  PhaseClock& clock = simulation.clock();
  const RoundRecord mine = simulation.round(t);
  MeasuredRound round;
  round.ranks = mine.ranks;
  PhaseSeconds& seconds = round.ranks.front().seconds;
  const RoundRecord all = [&] {
    const PhaseClock::Scope timed(clock, Phase::communicate);
    return gather_round(comm, mine);
  }();
  {
    const PhaseClock::Scope timed(clock, Phase::write);
    writer.add(all, total(seconds));
  }
  const PhaseSeconds more = clock.take();
  for (std::size_t p = 0; p < kPhases; ++p) seconds[p] += more[p];
  round.reduced = sums.take();
  if (comm.is_root()) add_totals(round, all, simulation.layout());
  clock.take();  // this accounting is no part of any round
  return round;
}

}  // namespace

void CountingSum::all_reduce(std::span<std::int64_t> device) {
  bytes_ += static_cast<std::int64_t>(device.size_bytes());
  sums_.all_reduce(device);
}

void CountingSum::all_reduce(std::span<std::uint32_t> device) {
  bytes_ += static_cast<std::int64_t>(device.size_bytes());
  sums_.all_reduce(device);
}

std::int64_t CountingSum::take() {
  const std::int64_t bytes = bytes_;
  bytes_ = 0;
  return bytes;
}

double MeasuredRound::seconds() const { return total(ranks.front().seconds); }

MeasuredRepeat measure_rounds(Simulation& simulation, RunWriter& writer, Communicator& comm,
                              CountingSum& sums, int warmup, int rounds) {
  MeasuredRepeat repeat;
  comm.barrier();
  simulation.clock().take();  // what went before the first round
  for (int t = 0; t < warmup; ++t)
    repeat.warmup.push_back(run_round(t, simulation, writer, comm, sums).seconds());
  std::vector<RankRecord> mine;
  for (int t = warmup; t < warmup + rounds; ++t) {
    repeat.rounds.push_back(run_round(t, simulation, writer, comm, sums));
    mine.push_back(repeat.rounds.back().ranks.front());
  }
  const auto all = comm.gather(bytes_of(mine));
  if (!comm.is_root()) return {};
  for (std::size_t t = 0; t < repeat.rounds.size(); ++t) {
    std::vector<RankRecord>& ranks = repeat.rounds[t].ranks;
    ranks.resize(all.size());
    for (std::size_t rank = 0; rank < all.size(); ++rank)
      std::memcpy(static_cast<void*>(&ranks[rank]), all[rank].data() + t * sizeof(RankRecord),
                  sizeof(RankRecord));
  }
  return repeat;
}

}  // namespace fedselect
