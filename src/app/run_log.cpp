#include "app/run_log.hpp"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>

namespace fedselect {

namespace {

spdlog::level::level_enum level_on_stderr(RunLog::Voice voice) {
  switch (voice) {
    case RunLog::Voice::mute:
    case RunLog::Voice::file: return spdlog::level::off;
    case RunLog::Voice::quiet: return spdlog::level::warn;
    case RunLog::Voice::terminal: return spdlog::level::info;
    case RunLog::Voice::lines: break;
  }
  return spdlog::level::debug;
}

}  // namespace

RunLog::RunLog(Voice voice)
    : voice_(voice), logger_("run", std::make_shared<spdlog::sinks::stderr_color_sink_st>()) {
  logger_.sinks().front()->set_level(level_on_stderr(voice));
  logger_.sinks().front()->set_pattern("%H:%M:%S %^%v%$");
  logger_.set_level(voice == Voice::mute ? spdlog::level::off : spdlog::level::debug);
  logger_.flush_on(spdlog::level::debug);
}

void RunLog::open(const std::filesystem::path& folder) {
  if (voice_ == Voice::mute) return;
  const auto path = (folder / "log.txt").string();
  auto file = std::make_shared<spdlog::sinks::basic_file_sink_st>(path);
  file->set_pattern("%Y-%m-%d %H:%M:%S %v");
  logger_.sinks().push_back(std::move(file));
}

void RunLog::close() { logger_.sinks().resize(1); }

}  // namespace fedselect
