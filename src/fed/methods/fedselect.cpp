#include <fmt/format.h>

#include "fed/methods.hpp"

namespace fedselect {

namespace {

enum class LimitRule { check_before, clamp };
constexpr std::array<std::string_view, 2> kLimitRuleNames{"check-before", "clamp"};
enum class Eligible { weights, matrix, all };
constexpr std::array<std::string_view, 3> kEligibleNames{"weights", "matrix", "all"};
enum class Reference { last_growth, round_start };
constexpr std::array<std::string_view, 2> kReferenceNames{"last-growth", "round-start"};

/// FedSelect of arXiv 2404.02478 (CVPR 2024). The mask persists and grows: in growth rounds
/// GradSelect adds the fraction p of the shared parameters that changed most, up to a
/// personalization limit. A parameter newly selected starts its personal life from the global mean.
class FedSelect final : public Algorithm {
 public:
  void describe(Fields& fields) override {
    fields.real("rate", growth_.rate, kPositiveFraction,
                "personalization rate p: fraction of the shared parameters added by a growth");
    fields.real("limit", growth_.limit, kFraction, "personalization limit alpha");
    fields.choice("limit_rule", limit_rule_, kLimitRuleNames,
                  "grow while the fraction is at most the limit, or never above it");
    fields.choice("scope", growth_.scope, kSelectionScopeNames,
                  "fraction of each tensor or of all");
    fields.choice("eligible", eligible_, kEligibleNames,
                  "tensors whose parameters may become personal");
    fields.integer("growth_every", growth_every_, kCount, "rounds between growths");
    fields.integer("growth_first", growth_first_, kNonNegative, "first round of growth, from 0");
    fields.choice("reference", reference_, kReferenceNames, "change is measured since then");
    fields.choice("ties", growth_.ties, kTiesNames, "what happens at equal changes");
    fields.choice("norm_statistics", norm_statistics_, kNormStatisticsNames,
                  "running statistics of batch norm stay with the client, or are averaged");
    fields.choice("alternation", alternation_, kAlternationNames, "order of LocalAlt's passes");
    fields.choice("weighting", weighting_, kWeightingNames, "a client's weight in the mean");
    fields.choice("evaluate_at", evaluate_at_, kEvaluateAtNames, "which model is tested");
    growth_.clamp = limit_rule_ == LimitRule::clamp;
    fields.check(
        !growth_.clamp || growth_.ties == ops::Ties::exact, "ties",
        "\"threshold\" takes all equal changes, which limit_rule = \"clamp\" forbids where "
        "they pass the limit: set one of the two to its default");
  }

  void prepare(const ParameterLayout& layout) override {
    if (norm_statistics_ == NormStatistics::local && !layout.statistics().empty())
      statistics_ = Mask::of_tensors(
          layout, [](const Tensor& tensor) { return tensor.kind == TensorKind::statistic; });
    eligible_mask_ = Mask::of_tensors(layout, [this](const Tensor& tensor) {
      if (tensor.kind == TensorKind::statistic) return false;
      return eligible_ == Eligible::all ||
             (tensor.kind == TensorKind::weight &&
              (eligible_ == Eligible::weights || tensor.shape.size() > 1));
    });
  }

  void client_step(ClientGroup& clients, Trainer& trainer, std::int64_t passes) const override {
    if (statistics_) clients.personalize_first(statistics_);
    trainer.alternate(passes, alternation_);  // LocalAlt
    if (!grows_in(clients.round())) return;
    if (reference_ == Reference::round_start) {
      clients.grow_mask(growth_, eligible_mask_, clients.start());
      return;
    }
    clients.grow_mask(growth_, eligible_mask_, clients.vector(kLastGrowth));
    clients.remember(kLastGrowth);
  }

  std::string caveat(std::int64_t rounds) const override {
    if (growth_first_ < rounds) return {};
    return fmt::format("no mask will grow: growth_first = {} of rounds 0 to {}", growth_first_,
                       rounds - 1);
  }
  Belongings belongings() const override {
    if (reference_ == Reference::round_start) return {};
    return {.vectors = {VectorKind::from_initial_model}};
  }
  TestedOn tested_on() const override { return evaluate_at_; }
  Weighting weighting() const override { return weighting_; }

 private:
  static constexpr std::size_t kLastGrowth = 0;

  bool grows_in(int round) const {
    return round >= growth_first_ && (round - growth_first_) % growth_every_ == 0;
  }

  Growth growth_{.rate = 0.25, .limit = 0.8};
  LimitRule limit_rule_ = LimitRule::check_before;
  Eligible eligible_ = Eligible::weights;
  std::int64_t growth_every_ = 3;
  std::int64_t growth_first_ = 3;
  Reference reference_ = Reference::last_growth;
  Alternation alternation_ = Alternation::interleaved;
  Weighting weighting_ = Weighting::uniform;
  TestedOn evaluate_at_ = TestedOn::after_local;
  NormStatistics norm_statistics_ = NormStatistics::local;
  MaskPtr eligible_mask_;
  MaskPtr statistics_;  ///< null if none are local
};

}  // namespace

std::unique_ptr<Algorithm> make_fedselect() { return std::make_unique<FedSelect>(); }

}  // namespace fedselect
