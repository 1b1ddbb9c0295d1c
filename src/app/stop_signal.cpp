#include "app/stop_signal.hpp"

#include <unistd.h>

#include <array>
#include <csignal>
#include <utility>

namespace fedselect {

namespace {

volatile std::sig_atomic_t received = 0;

constexpr std::array<std::pair<int, const char*>, 4> kSignals{
    {{SIGTERM, "SIGTERM"}, {SIGINT, "SIGINT"}, {SIGUSR1, "SIGUSR1"}, {SIGUSR2, "SIGUSR2"}}};
constexpr int kSignalExit = 128;

extern "C" void note_signal(int number) {
  if (received != 0) _exit(kSignalExit + number);
  received = number;
}

}  // namespace

void watch_stop_signals() {
  struct sigaction action {};
  action.sa_handler = note_signal;
  action.sa_flags = SA_RESTART;
  for (const auto& [number, name] : kSignals) sigaction(number, &action, nullptr);
}

bool stop_requested() { return received != 0; }

std::string stop_signal() {
  for (const auto& [number, name] : kSignals)
    if (number == received) return name;
  return {};
}

}  // namespace fedselect
