#include "fed/traffic.hpp"

#include "base/bits.hpp"

namespace fedselect {

namespace {

constexpr std::int64_t kBytesPerValue = 4;

std::int64_t parameters(const ParameterLayout& layout) {
  return static_cast<std::int64_t>(layout.size());
}

std::int64_t values(const ParameterLayout& layout) {
  return static_cast<std::int64_t>(layout.size() + layout.statistic_size());
}

}  // namespace

std::int64_t bytes_to_client(const ParameterLayout& layout, const Algorithm& algorithm,
                             std::int64_t personal) {
  const Belongings belongings = algorithm.belongings();
  const auto told = static_cast<std::int64_t>(belongings.notice + belongings.reply);
  return kBytesPerValue *
         (values(layout) - personal + algorithm.server_vectors() * parameters(layout) + told);
}

std::int64_t bytes_from_client(const ParameterLayout& layout, const Algorithm& algorithm,
                               std::int64_t personal, bool sends_mask) {
  const Belongings belongings = algorithm.belongings();
  const auto message = static_cast<std::int64_t>(belongings.message);
  return kBytesPerValue *
             (values(layout) - personal + belongings.contributions * parameters(layout) + message) +
         (sends_mask ? static_cast<std::int64_t>(bytes_for(layout.size())) : 0);
}

std::int64_t bytes_of_model(const ParameterLayout& layout) {
  return kBytesPerValue * values(layout);
}

}  // namespace fedselect
