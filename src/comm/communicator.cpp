#include "comm/communicator.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <exception>
#include <limits>
#include <stdexcept>

#include "base/aligned.hpp"
#include "base/error.hpp"

namespace fedselect {

namespace {

class SelfCommunicator final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  int node_rank() const override { return 0; }
  std::unique_ptr<Communicator> split(int /*part*/) override { return make_self_communicator(); }
  void barrier() override {}
  void all_reduce_sum(std::span<std::int64_t> /*values*/) override {}
  void all_reduce_sum(std::span<std::uint32_t> /*values*/) override {}
  std::int64_t all_reduce_min(std::int64_t value) override { return value; }
  void broadcast(std::vector<std::byte>& /*bytes*/, int /*root*/) override {}
  std::vector<std::vector<std::byte>> gather(std::span<const std::byte> bytes) override {
    return {{bytes.begin(), bytes.end()}};
  }
  std::vector<std::vector<std::byte>> exchange(
      const std::vector<std::vector<std::byte>>& to) override {
    return to;
  }
  void send(std::span<const std::byte> /*bytes*/, int /*to*/) override { no_peer(); }
  std::vector<std::byte> receive(int /*from*/) override { no_peer(); }
  std::optional<int> find_sender() override { return std::nullopt; }
  std::shared_ptr<const std::byte> share_on_node(
      std::size_t bytes, const std::function<void(std::span<std::byte>)>& fill) override {
    auto memory = std::make_shared<AlignedVector<std::byte>>(bytes);
    agree(*this, [&] { fill(*memory); });  // errors as any number of ranks would have them
    return {memory, memory->data()};
  }
  std::vector<std::string> host_names() override {
    std::array<char, 256> name{};
    gethostname(name.data(), name.size() - 1);
    return {name.data()};
  }
  [[noreturn]] void abort(int exit_code) override { std::_Exit(exit_code); }

 private:
  [[noreturn]] static void no_peer() { throw std::logic_error("one process has no peer"); }
};

enum class Failure : char { input = 'i', key = 'k', system = 's', agreed = 'a' };

}  // namespace

std::unique_ptr<Communicator> make_self_communicator() {
  return std::make_unique<SelfCommunicator>();
}

void agree(Communicator& comm, const std::function<void()>& action) {
  std::string report;  // the kind of failure, then the message; empty if all went well
  const auto fail = [&](Failure kind, const char* what) {
    report = static_cast<char>(kind) + std::string(what);
  };
  try {
    action();
  } catch (const KeyError& error) {
    fail(Failure::key, fmt::format("{}\n{}", error.key(), error.what()).c_str());
  } catch (const InputError& error) {
    fail(Failure::input, error.what());
  } catch (const AgreedFailure& error) {
    fail(Failure::agreed, error.what());
  } catch (const std::exception& error) {
    fail(Failure::system, error.what());
  }
  constexpr auto kNobody = std::numeric_limits<std::int64_t>::max();
  const auto first = comm.all_reduce_min(report.empty() ? kNobody : comm.rank());
  if (first == kNobody) return;
  const auto text = std::as_bytes(std::span(report));
  std::vector<std::byte> bytes(text.begin(), text.end());
  comm.broadcast(bytes, static_cast<int>(first));
  const std::string heard(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (heard.front() == static_cast<char>(Failure::input)) throw InputError(heard.substr(1));
  if (heard.front() == static_cast<char>(Failure::key)) {
    const auto end = heard.find('\n');
    throw KeyError(heard.substr(1, end - 1), heard.substr(end + 1));
  }
  if (heard.front() == static_cast<char>(Failure::agreed)) throw AgreedFailure(heard.substr(1));
  throw AgreedFailure(fmt::format("rank {}: {}", first, heard.substr(1)));
}

}  // namespace fedselect
