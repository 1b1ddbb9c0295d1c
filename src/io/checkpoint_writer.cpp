#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <optional>
#include <utility>

#include "io/checkpoint.hpp"
#include "io/checkpoint_parts.hpp"
#include "io/shared_file.hpp"
#include "io/stored_layout.hpp"

namespace fedselect {

namespace {

using checkpoint::kNoRow;

std::int64_t as_signed(std::uint64_t bits) { return std::bit_cast<std::int64_t>(bits); }

/// What the rows of a rank's clients need room for, and the masks that clients have in common.
struct Counts {
  std::int64_t clients = 0;
  std::int64_t personal = 0;
  std::int64_t own_masks = 0;
  std::int64_t vectors = 0;  ///< that are kept
  std::size_t vectors_per_client = 0;
  std::size_t vector_size = 0;
  std::size_t scalars_per_client = 0;
  std::vector<MaskPtr> common_masks;

  std::int64_t masks() const { return own_masks + static_cast<std::int64_t>(common_masks.size()); }
};

const ClientState& read(Simulation& simulation, int client) {
  return std::as_const(simulation.store()).state(client);
}

Counts count(Simulation& simulation, std::size_t vector_size) {
  const Belongings belongings = simulation.belongings();
  Counts counts{.clients = static_cast<std::int64_t>(simulation.shard().size()),
                .vectors_per_client = belongings.vectors.size(),
                .vector_size = vector_size,
                .scalars_per_client = belongings.scalars.size(),
                .common_masks = {}};
  auto& common = counts.common_masks;
  for (const int client : simulation.shard()) {
    const ClientState& state = read(simulation, client);
    counts.personal += static_cast<std::int64_t>(state.personal.size());
    for (const auto& vector : state.vectors) counts.vectors += vector.empty() ? 0 : 1;
    for (const MaskPtr& mask : {state.mask, state.next_mask})
      if (mask && !mask->is_common())
        ++counts.own_masks;
      else if (mask && std::find(common.begin(), common.end(), mask) == common.end())
        common.push_back(mask);
    simulation.store().trim();
  }
  return counts;
}

/// The rows of a rank's clients.
class ClientRows {
 public:
  ClientRows(SharedFile& file, Simulation& simulation, const Counts& counts)
      : simulation_(simulation),
        counts_(counts),
        id_(file.declare<std::int32_t>("/clients/id", counts.clients)),
        hash_(file.declare<std::uint64_t>("/clients/hash", counts.clients)),
        tested_(file.declare<double>("/clients/tested_accuracy", counts.clients)),
        took_part_(file.declare<std::uint8_t>("/clients/took_part", counts.clients)),
        mask_(file.declare<std::int64_t>("/clients/mask", counts.clients)),
        next_mask_(file.declare<std::int64_t>("/clients/next_mask", counts.clients)),
        personal_begin_(file.declare<std::int64_t>("/clients/personal_begin", counts.clients)),
        personal_count_(file.declare<std::int64_t>("/clients/personal_count", counts.clients)),
        personal_(file.declare<float>("/personal", counts.personal)),
        words_(
            file.declare<std::uint64_t>("/masks", counts.masks(), words_for(counts.vector_size))) {
    if (counts.scalars_per_client > 0)
      scalars_ =
          &file.declare<double>("/clients/scalars", counts.clients, counts.scalars_per_client);
    if (counts.vectors_per_client == 0) return;
    vector_row_ = &file.declare<std::int64_t>("/clients/vector_row", counts.clients,
                                              counts.vectors_per_client);
    vectors_ = &file.declare<float>("/vectors", counts.vectors, counts.vector_size);
  }

  void write() {
    for (const MaskPtr& mask : counts_.common_masks) words_.append(mask->words());
    for (const int client : simulation_.shard()) {
      write(client, read(simulation_, client));
      simulation_.store().trim();
    }
  }

 private:
  void write(int client, const ClientState& state) {
    const double tested = simulation_.tested_accuracy(client);
    id_.append_value(static_cast<std::int32_t>(client));
    hash_.append_value(checkpoint::hash_of(client, tested, state));
    tested_.append_value(tested);
    const bool took_part = state.vectors.size() == counts_.vectors_per_client &&
                           state.scalars.size() == counts_.scalars_per_client;
    took_part_.append_value(static_cast<std::uint8_t>(took_part));
    mask_.append_value(write_mask(state.mask));
    next_mask_.append_value(write_mask(state.next_mask));
    personal_begin_.append_value(personal_.first() + personal_written_);
    personal_count_.append_value(static_cast<std::int64_t>(state.personal.size()));
    personal_.append(std::span(state.personal));
    personal_written_ += static_cast<std::int64_t>(state.personal.size());
    if (scalars_ != nullptr)
      scalars_->append(took_part ? state.scalars : std::vector<double>(counts_.scalars_per_client));
    for (std::size_t v = 0; v < counts_.vectors_per_client; ++v) {
      const bool is_kept = took_part && !state.vectors[v].empty();
      vector_row_->append_value(is_kept ? vectors_->first() + vectors_written_++ : kNoRow);
      if (is_kept) vectors_->append(std::span(state.vectors[v]));
    }
  }

  /// Its row. Common masks come first.
  std::int64_t write_mask(const MaskPtr& mask) {
    if (!mask) return kNoRow;
    const auto& common = counts_.common_masks;
    if (mask->is_common())
      return words_.first() + (std::find(common.begin(), common.end(), mask) - common.begin());
    words_.append(mask->words());
    return words_.first() + static_cast<std::int64_t>(common.size()) + own_masks_written_++;
  }

  using Rows = SharedFile::Rows;
  Simulation& simulation_;
  Counts counts_;
  Rows& id_;
  Rows& hash_;
  Rows& tested_;
  Rows& took_part_;
  Rows& mask_;
  Rows& next_mask_;
  Rows& personal_begin_;
  Rows& personal_count_;
  Rows& personal_;
  Rows& words_;
  Rows* scalars_ = nullptr;
  Rows* vector_row_ = nullptr;
  Rows* vectors_ = nullptr;
  std::int64_t own_masks_written_ = 0;
  std::int64_t personal_written_ = 0;
  std::int64_t vectors_written_ = 0;
};

/// What a rank's clients brought to the open round.
class OpenRows {
 public:
  OpenRows(SharedFile& file, const OpenRound& round)
      : round_(round),
        records_(file.declare<std::uint8_t>("/open_round/records",
                                            static_cast<std::int64_t>(round.records.size()),
                                            sizeof(ClientRecord))),
        records_hash_(file.declare<std::uint64_t>(
            "/open_round/records_hash", static_cast<std::int64_t>(round.records.size()))) {
    if (round.messages.size() > 0) declare(file, checkpoint::kMessages, round.messages);
    for (std::size_t i = 0; i < round.uploads.size(); ++i)
      declare(file, checkpoint::upload_name(i), round.uploads[i]);
  }
  void write() {
    records_.append(round_.records);
    for (const ClientRecord& record : round_.records)
      records_hash_.append_value(checkpoint::hash_of(record));
    for (const auto& [messages, clients, values, hashes] : messages_)
      for (std::size_t i = 0; i < messages->count(); ++i) {
        clients->append_value(static_cast<std::int32_t>(messages->client(i)));
        values->append((*messages)[i]);
        hashes->append_value(checkpoint::hash_of(messages->client(i), (*messages)[i]));
      }
  }

 private:
  struct Rows {
    const Messages* messages;
    SharedFile::Rows* clients;
    SharedFile::Rows* values;
    SharedFile::Rows* hashes;
  };
  void declare(SharedFile& file, const std::string& name, const Messages& messages) {
    const auto count = static_cast<std::int64_t>(messages.count());
    messages_.push_back({&messages, &file.declare<std::int32_t>(name + "_client", count),
                         &file.declare<float>(name, count, messages.size()),
                         &file.declare<std::uint64_t>(name + "_hash", count)});
  }
  const OpenRound& round_;
  SharedFile::Rows& records_;
  SharedFile::Rows& records_hash_;
  std::vector<Rows> messages_;
};

template <class T>
void write_whole(hdf5::File& file, const std::string& name, const std::vector<T>& values) {
  file.write(name, {values.size()}, std::span<const T>(values), hdf5::Storage::plain);
}

void write_sums(hdf5::File& file, const std::vector<SumState>& sums) {
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const std::string folder = fmt::format("/open_round/sum{}/", i);
    write_whole(file, folder + "low", sums[i].low);
    write_whole(file, folder + "high", sums[i].high);
    write_whole(file, folder + "weight",
                std::vector<std::int64_t>(sums[i].weight.begin(), sums[i].weight.end()));
  }
}

}  // namespace

void write_checkpoint(const std::filesystem::path& path, const std::filesystem::path& previous,
                      const CheckpointHeader& header, Simulation& simulation, Communicator& comm,
                      const CheckpointLog& log) {
  const std::optional<OpenRound>& open = simulation.open_round();
  const auto sums = open && !open->is_merged ? simulation.total_sums() : std::vector<SumState>{};
  const ServerState server = simulation.server().state();
  const checkpoint::Stage stage{.rounds = header.rounds,
                                .round_is_open = open.has_value(),
                                .round_is_merged = open && open->is_merged};

  SharedFile file(path, comm);
  Counts counts;
  agree(comm, [&] { counts = count(simulation, server.arrays.at("model").size()); });
  ClientRows clients(file, simulation, counts);
  std::optional<OpenRows> brought;
  if (open) brought.emplace(file, *open);
  file.open([&](hdf5::File& own) {
    own.set_attribute("format", checkpoint::kFormat);
    own.set_attribute("version", checkpoint::kVersion);
    own.set_attribute("rounds", stage.rounds);
    own.set_attribute("round_is_open", static_cast<std::int64_t>(stage.round_is_open));
    own.set_attribute("round_is_merged", static_cast<std::int64_t>(stage.round_is_merged));
    own.set_attribute("tested_round", static_cast<std::int64_t>(simulation.tested_round()));
    own.set_attribute("data_hash", as_signed(header.data_hash));
    own.set_attribute("journal_bytes", as_signed(header.journal.bytes));
    own.set_attribute("journal_hash", as_signed(header.journal.hash));
    own.set_attribute("audit_entries", header.audit.entries);
    own.set_attribute("audit_head", header.audit.head);
    own.set_attribute("server_hash", as_signed(checkpoint::hash_of(server, sums, stage)));
    own.write_text("/config", header.config);
    write_layout(own, simulation.layout());
    for (const auto& [name, values] : server.arrays) write_whole(own, "/server/" + name, values);
    write_whole(own, "/server/optimizer_steps", server.optimizer_steps);
    write_sums(own, sums);
  });
  agree(comm, [&] {
    clients.write();
    if (brought) brought->write();
  });
  file.seal();
  if (log) {
    const std::string digest = file.digest();
    agree(comm, [&] {
      if (comm.is_root()) log(digest);
    });
  }
  file.commit(previous);
}

}  // namespace fedselect
