#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/error.hpp"
#include "files/hdf5_reader.hpp"
#include "io/checkpoint.hpp"
#include "io/checkpoint_parts.hpp"

namespace fedselect {

namespace {

namespace fs = std::filesystem;
using checkpoint::kNoRow;

constexpr const char* kRemedy =
    "resume from the run's other checkpoint, or start the run again elsewhere";

std::uint64_t unsigned_attribute(const hdf5::Reader& file, const char* name) {
  return std::bit_cast<std::uint64_t>(file.integer_attribute(name));
}

void require_shape(const hdf5::Reader& file, const std::string& name, const hdf5::Shape& shape) {
  if (file.shape(name) != shape) file.refuse(name, "has another shape than this run needs");
}

/// A data set of so many single values.
template <class T>
std::vector<T> read_exactly(const hdf5::Reader& file, const std::string& name, std::size_t count) {
  require_shape(file, name, {count});
  return file.read<T>(name);
}

/// `first` if rows [first, first + count) are among `all`; kNoRow for none, where that is allowed.
hsize_t checked_row(const hdf5::Reader& file, const std::string& name, std::int64_t first,
                    std::int64_t count, hsize_t all) {
  const bool fits = first >= 0 && count >= 0 && static_cast<hsize_t>(first) <= all &&
                    static_cast<hsize_t>(count) <= all - static_cast<hsize_t>(first);
  if (!fits) file.refuse(name, "points out of its data");
  return static_cast<hsize_t>(first);
}

/// Reads clients' states, one at a time.
class ClientRows {
 public:
  ClientRows(const hdf5::Reader& file, const Simulation& simulation)
      : file_(file),
        clients_(simulation.clients()),
        vectors_(simulation.belongings().vectors.size()),
        scalars_(simulation.belongings().scalars.size()),
        padded_(simulation.layout().padded_size()),
        row_of_(find_rows()),
        hash_(column<std::uint64_t>("/clients/hash")),
        tested_(column<double>("/clients/tested_accuracy")),
        took_part_(column<std::uint8_t>("/clients/took_part")),
        mask_(column<std::int64_t>("/clients/mask")),
        next_mask_(column<std::int64_t>("/clients/next_mask")),
        personal_begin_(column<std::int64_t>("/clients/personal_begin")),
        personal_count_(column<std::int64_t>("/clients/personal_count")) {
    for (const auto* column : {&mask_, &next_mask_})
      for (const std::int64_t number : *column) ++users_[number];
    masks_ = file.rows("/masks");
    require_shape(file, "/masks", {masks_, words_for(padded_)});
    personal_ = file.rows("/personal");
    if (scalars_ > 0) require_shape(file, "/clients/scalars", {clients_, scalars_});
    if (vectors_ == 0) return;
    require_shape(file, "/clients/vector_row", {clients_, vectors_});
    kept_vectors_ = file.rows("/vectors");
    require_shape(file, "/vectors", {kept_vectors_, padded_});
  }

  double tested(int client) const { return tested_[row(client)]; }

  ClientState read(int client) {
    const std::size_t i = row(client);
    ClientState state;
    state.mask = mask(mask_[i]);
    state.next_mask = mask(next_mask_[i]);
    const std::int64_t count = personal_count_[i];
    const hsize_t begin =
        checked_row(file_, "/clients/personal_begin", personal_begin_[i], count, personal_);
    if (static_cast<std::size_t>(count) != (state.mask ? state.mask->count() : 0))
      file_.refuse("/clients/personal_count", "does not fit the clients' masks");
    const auto personal = file_.read_rows<float>("/personal", begin, static_cast<hsize_t>(count));
    state.personal.assign(personal.begin(), personal.end());
    if (took_part_[i] != 0) {
      if (scalars_ > 0) state.scalars = file_.read_rows<double>("/clients/scalars", i, 1);
      state.vectors.resize(vectors_);
      const auto rows = vectors_ > 0 ? file_.read_rows<std::int64_t>("/clients/vector_row", i, 1)
                                     : std::vector<std::int64_t>();
      for (std::size_t v = 0; v < vectors_; ++v) {
        if (rows[v] == kNoRow) continue;
        const auto values = file_.read_rows<float>(
            "/vectors", checked_row(file_, "/clients/vector_row", rows[v], 1, kept_vectors_), 1);
        state.vectors[v].assign(values.begin(), values.end());
      }
    }
    if (checkpoint::hash_of(client, tested_[i], state) != hash_[i])
      file_.refuse("/clients/hash", fmt::format("shows that client {} is damaged", client));
    return state;
  }

 private:
  template <class T>
  std::vector<T> column(const std::string& name) const {
    return read_exactly<T>(file_, name, clients_);
  }
  std::size_t row(int client) const { return row_of_[static_cast<std::size_t>(client)]; }

  std::vector<std::size_t> find_rows() const {
    const auto ids = column<std::int32_t>("/clients/id");
    std::vector<std::size_t> row_of(clients_, clients_);
    for (std::size_t i = 0; i < clients_; ++i) {
      const auto client = static_cast<std::size_t>(ids[i]);
      if (ids[i] < 0 || client >= clients_ || row_of[client] != clients_)
        file_.refuse("/clients/id", "must name each client once");
      row_of[client] = i;
    }
    return row_of;
  }

  /// Clients that had a mask in common have it so again.
  MaskPtr mask(std::int64_t number) {
    if (number == kNoRow) return nullptr;
    const bool is_common = users_[number] > 1;
    if (const auto known = common_masks_.find(number); known != common_masks_.end())
      return known->second;
    auto words =
        file_.read_rows<Word>("/masks", checked_row(file_, "/clients/mask", number, 1, masks_), 1);
    auto mask = std::make_shared<const Mask>(std::move(words), is_common);
    if (is_common) common_masks_[number] = mask;
    return mask;
  }

  const hdf5::Reader& file_;
  std::size_t clients_;
  std::size_t vectors_;
  std::size_t scalars_;
  std::size_t padded_;
  std::vector<std::size_t> row_of_;
  std::vector<std::uint64_t> hash_;
  std::vector<double> tested_;
  std::vector<std::uint8_t> took_part_;
  std::vector<std::int64_t> mask_;
  std::vector<std::int64_t> next_mask_;
  std::vector<std::int64_t> personal_begin_;
  std::vector<std::int64_t> personal_count_;
  hsize_t masks_ = 0;
  hsize_t personal_ = 0;
  hsize_t kept_vectors_ = 0;
  std::unordered_map<std::int64_t, int> users_;  ///< of each mask
  std::map<std::int64_t, MaskPtr> common_masks_;
};

/// Arrays that a server has or has not: state of its optimizer.
constexpr std::array kMoments{"first_moment", "second_moment"};

bool is_moment(const std::string& name) {
  return std::find(kMoments.begin(), kMoments.end(), name) != kMoments.end();
}

/// The arrays of a server like this one, with what the file says of them.
ServerState read_server(const hdf5::Reader& file, const Server& server) {
  const ServerState model = server.state();
  ServerState state;
  for (const auto& [name, values] : model.arrays)
    if (!is_moment(name))
      state.arrays[name] = read_exactly<float>(file, "/server/" + name, values.size());
  const std::string steps_name = "/server/optimizer_steps";
  state.optimizer_steps = file.read<std::int32_t>(steps_name);
  if (state.optimizer_steps.empty()) return state;
  if (state.optimizer_steps.size() != 2) file.refuse(steps_name, "must hold two numbers, or none");
  const std::size_t size = model.arrays.at("model").size();
  for (int i = 0; i < static_cast<int>(kMoments.size()); ++i) {
    const std::string name = kMoments[static_cast<std::size_t>(i)];
    state.arrays[name] =
        read_exactly<float>(file, "/server/" + name, i < server.moments() ? size : 0);
  }
  return state;
}

/// Sums like `models`.
std::vector<SumState> read_sums(const hdf5::Reader& file, const std::vector<SumState>& models) {
  std::vector<SumState> sums;
  for (std::size_t i = 0; i < models.size(); ++i) {
    const std::string folder = fmt::format("/open_round/sum{}/", i);
    SumState sum;
    sum.low = read_exactly<std::int64_t>(file, folder + "low", models[i].low.size());
    sum.high = read_exactly<std::int64_t>(file, folder + "high", models[i].high.size());
    for (const std::int64_t weight :
         read_exactly<std::int64_t>(file, folder + "weight", models[i].weight.size()))
      sum.weight.push_back(static_cast<std::uint32_t>(weight));
    sums.push_back(std::move(sum));
  }
  return sums;
}

void require_once(const hdf5::Reader& file, const std::string& name,
                  std::vector<std::int32_t> clients) {
  std::sort(clients.begin(), clients.end());
  if (std::adjacent_find(clients.begin(), clients.end()) != clients.end())
    file.refuse(name, "names a client twice");
}

/// What the clients that this rank hosts brought.
OpenRound read_open_round(const hdf5::Reader& file, Simulation& simulation) {
  const auto shard = simulation.shard();
  const auto is_mine = [&](int client) {
    return std::binary_search(shard.begin(), shard.end(), client);
  };
  OpenRound mine{.records = {}, .messages = Messages(simulation.belongings().message)};
  for (const ClientRecord& record : checkpoint::read_records(file, simulation.clients()))
    if (is_mine(record.client)) mine.records.push_back(record);
  const auto read = [&](const std::string& name, Messages& messages) {
    const auto senders = file.read<std::int32_t>(name + "_client");
    require_shape(file, name, {senders.size(), messages.size()});
    const auto hashes = read_exactly<std::uint64_t>(file, name + "_hash", senders.size());
    require_once(file, name + "_client", senders);
    for (std::size_t i = 0; i < senders.size(); ++i) {
      if (!is_mine(senders[i])) continue;
      const auto row = file.read_rows<float>(name, i, 1);
      if (checkpoint::hash_of(senders[i], row) != hashes[i])
        file.refuse(name, fmt::format("is damaged where client {} stands", senders[i]));
      messages.add(senders[i], row);
    }
  };
  if (mine.messages.size() > 0) read(checkpoint::kMessages, mine.messages);
  mine.uploads = simulation.server().new_uploads();
  for (std::size_t i = 0; i < mine.uploads.size(); ++i) {
    const std::string name = checkpoint::upload_name(i);
    read(name, mine.uploads[i]);
    for (std::size_t k = 0; k < mine.uploads[i].count(); ++k)
      for (const float value : mine.uploads[i][k])
        if (std::abs(value) >= ops::FixedPoint::kMagnitudeLimit)
          file.refuse(name, "holds a value that no client sends");
  }
  return mine;
}

}  // namespace

std::vector<ClientRecord> checkpoint::read_records(const hdf5::Reader& file, std::size_t clients) {
  constexpr const char* kName = "/open_round/records";
  const hsize_t rows = file.rows(kName);
  require_shape(file, kName, {rows, sizeof(ClientRecord)});
  const auto bytes = file.read<std::uint8_t>(kName);
  std::vector<ClientRecord> records(rows);
  if (rows > 0) std::memcpy(static_cast<void*>(records.data()), bytes.data(), bytes.size());
  const auto hashes = read_exactly<std::uint64_t>(file, "/open_round/records_hash", records.size());
  std::vector<std::int32_t> ids;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const int client = records[i].client;
    if (hash_of(records[i]) != hashes[i])
      file.refuse(kName, fmt::format("is damaged in row {}", i));
    if (client < 0 || static_cast<std::size_t>(client) >= clients)
      file.refuse(kName, "tells of a client that is not in the federation");
    ids.push_back(client);
  }
  require_once(file, kName, std::move(ids));
  return records;
}

void require_rounds(const fs::path& version, const CheckpointHeader& header, int rounds) {
  if (header.rounds == rounds && !header.round_is_open) return;
  throw InputError(fmt::format(
      "{}: holds the state after round {}{}, not after round {}: it was renamed or exchanged: put "
      "the right file there, or remove it",
      version.string(), header.rounds, header.round_is_open ? " and a part of the next" : "",
      rounds));
}

Checkpoint::Checkpoint(fs::path path)
    : file_(std::make_unique<hdf5::Reader>(std::move(path), kRemedy)) {
  const hdf5::Reader& file = *file_;
  if (!file.has_attribute("format") || file.text_attribute("format") != checkpoint::kFormat)
    file.refuse("format", "says that this is no checkpoint");
  const std::int64_t version = file.integer_attribute("version");
  if (version < 1 || version > checkpoint::kVersion)
    file.refuse("version", "is that of another version of fedselect");
  const std::int64_t rounds = file.integer_attribute("rounds");
  if (rounds < 0 || rounds > std::numeric_limits<int>::max())
    file.refuse("rounds", "is not a number of rounds");
  header_ = {.rounds = static_cast<int>(rounds),
             .config = file.read_text("/config"),
             .data_hash = unsigned_attribute(file, "data_hash"),
             .journal = {.bytes = unsigned_attribute(file, "journal_bytes"),
                         .hash = unsigned_attribute(file, "journal_hash")},
             .audit = {.entries = file.integer_attribute("audit_entries"),
                       .head = file.text_attribute("audit_head")},
             .round_is_open = file.integer_attribute("round_is_open") != 0,
             .round_is_merged = version > 1 && file.integer_attribute("round_is_merged") != 0};
  if (header_.round_is_merged && !header_.round_is_open)
    file.refuse("round_is_merged", "is so of a round that is not open");
}

Checkpoint::~Checkpoint() = default;

void Checkpoint::restore(Simulation& simulation) const {
  const hdf5::Reader& file = *file_;
  const ServerState server = read_server(file, simulation.server());
  simulation.server().restore(server);
  simulation.abandon_round();
  ClientRows rows(file, simulation);
  std::vector<double> tested;
  for (const int client : simulation.shard()) {
    simulation.store().state(client) = rows.read(client);
    simulation.store().trim();
    tested.push_back(rows.tested(client));
  }
  const std::int64_t tested_round = file.integer_attribute("tested_round");
  if (tested_round < -1 || tested_round >= std::max(header_.rounds, 1))
    file.refuse("tested_round", "is not a round before this checkpoint");
  simulation.restore_tested(static_cast<int>(tested_round), tested);

  std::vector<SumState> sums;
  if (header_.round_is_open) {
    OpenRound open = read_open_round(file, simulation);
    open.is_merged = header_.round_is_merged;
    simulation.restore_open_round(header_.rounds, std::move(open));
  }
  if (header_.round_is_open && !header_.round_is_merged) {
    sums = read_sums(file, simulation.server().sums());
    simulation.restore_sums(sums);
  }
  std::optional<checkpoint::Stage> stage;
  if (file.integer_attribute("version") > 1)
    stage = {.rounds = header_.rounds,
             .round_is_open = header_.round_is_open,
             .round_is_merged = header_.round_is_merged};
  if (checkpoint::hash_of(server, sums, stage) != unsigned_attribute(file, "server_hash"))
    file.refuse("server_hash", "shows that the server's part is damaged");
}

}  // namespace fedselect
