// An audit log. Its lines hold hashes of the lines before them, which no invention gets right: "?"
// in the place of one stands for the right one.

#include "base/sha256.hpp"
#include "io/audit_log.hpp"
#include "target.hpp"

using namespace fedselect;

namespace {

/// The log with the hashes put in.
std::string chained(std::string_view text) {
  constexpr std::string_view kParent = "\"parent\":\"?\"";
  std::string log;
  std::string parent(64, '0');
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string line(text.substr(begin, end - begin));
    if (const std::size_t at = line.find(kParent); at != std::string::npos)
      line.replace(at + kParent.size() - 2, 1, parent);
    parent = hex(sha256(std::as_bytes(std::span(line))));
    log += line;
    if (end < text.size()) log += '\n';
    begin = end + 1;
  }
  return log;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::InputFolder folder;
  const auto log =
      folder.write("audit.jsonl", chained({reinterpret_cast<const char*>(data), size}));
  fuzz::accepts([&] {
    const auto entries = read_audit_log(log);
    rounds_of(entries, log);
    if (!entries.empty())
      AuditLog(log, "", "cpu",
               {{static_cast<std::int64_t>(entries.size()), entries.back().hash}, 0, false});
  });
  return 0;
}
