#include "sweep/record.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.hpp"
#include "files/regular_file.hpp"
#include "io/manifest.hpp"

namespace fedselect::sweep {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

/// JSON has no NaN.
Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

double real(const Json& line, const char* key) {
  const Json& value = line.at(key);
  return value.is_null() ? Record::kNone : value.get<double>();
}

}  // namespace

std::string write_record(const Record& record) {
  const Json line{{"time", record.time},
                  {"trial", record.trial},
                  {"status", kStatusNames[static_cast<std::size_t>(record.status)]},
                  {"rounds", record.rounds},
                  {"accuracy", number(record.accuracy)},
                  {"worst_accuracy", number(record.worst_accuracy)},
                  {"personal_share", number(record.personal_share)},
                  {"bytes", record.bytes},
                  {"gradients", record.gradients},
                  {"diverged", record.diverged},
                  {"seconds", record.seconds},
                  {"message", record.message}};
  return line.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Record read_record(std::string_view text, const std::string& where) {
  try {
    const Json line = Json::parse(text);
    const auto status = line.at("status").get<std::string>();
    const auto found = std::find(kStatusNames.begin(), kStatusNames.end(), status);
    require(found != kStatusNames.end(), where + ": unknown status " + status);
    return {.time = line.value("time", ""),
            .trial = line.at("trial"),
            .status = static_cast<Record::Status>(found - kStatusNames.begin()),
            .rounds = line.at("rounds"),
            .accuracy = real(line, "accuracy"),
            .worst_accuracy = real(line, "worst_accuracy"),
            .personal_share = real(line, "personal_share"),
            .bytes = line.at("bytes"),
            .gradients = line.at("gradients"),
            .diverged = line.at("diverged"),
            .seconds = line.at("seconds"),
            .message = line.at("message")};
  } catch (const Json::exception& error) {
    throw InputError(
        fmt::format("{}: is no record of a trial ({}): remove the line, then its trial "
                    "runs again",
                    where, error.what()));
  }
}

Journal::Journal(std::string folder, std::string writer)
    : folder_((fs::path(std::move(folder)) / "journal").string()),
      own_((fs::path(folder_) / (std::move(writer) + ".jsonl")).string()) {
  std::error_code error;
  fs::create_directories(folder_, error);
  require(!error, fmt::format("{}: cannot make this folder ({}): choose another one with --out",
                              folder_, error.message()));
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(folder_))
    if (entry.path().extension() == ".jsonl") paths.push_back(entry.path().string());
  std::sort(paths.begin(), paths.end());
  for (const std::string& path : paths) read(path);
  std::stable_sort(records_.begin(), records_.end(),
                   [](const Record& a, const Record& b) { return a.time < b.time; });
}

void Journal::read(const std::string& path) {
  std::ifstream file = open_regular_file(path);
  require(file.is_open(), path + ": can't be read");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::size_t begin = 0;
  std::size_t end = 0;
  for (int number = 1; (end = text.find('\n', begin)) != std::string::npos; ++number) {
    const auto where = fmt::format("{}:{}", path, number);
    records_.push_back(read_record(std::string_view(text).substr(begin, end - begin), where));
    begin = end + 1;
  }
  // What a killed program left unfinished must not stand before our own lines.
  if (path == own_ && begin < text.size()) fs::resize_file(path, begin);
}

void Journal::add(Record record) {
  record.time = time_now();
  if (!file_) file_.emplace(own_, fs::exists(own_) ? RawFile::Mode::append : RawFile::Mode::create);
  file_->append(write_record(record) + "\n");
  file_->sync();
  records_.push_back(std::move(record));
}

}  // namespace fedselect::sweep
