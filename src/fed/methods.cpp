#include "fed/methods.hpp"

#include <algorithm>
#include <array>

namespace fedselect {

namespace {

constexpr std::array kMethods{
    Method{"fedselect-ltn", "mask searched afresh each round by GradLTN, then LocalAlt",
           "arXiv 2306.13264", make_fedselect_ltn},
    Method{"fedselect", "mask grown by GradSelect up to a personalization limit, LocalAlt",
           "arXiv 2404.02478, CVPR 2024", make_fedselect},
    Method{"fedavg", "one global model, no personalization", "McMahan et al., AISTATS 2017",
           make_fedavg},
    Method{"fedavg-ft", "fedavg, each client fine-tunes before its test",
           "Cheng et al., arXiv 2108.07313", make_fedavg_ft},
    Method{"local", "every client trains alone", "baseline", make_local},
    Method{"fedper", "the head is personal, body and head train together",
           "Arivazhagan et al., arXiv 1912.00818", make_fedper},
    Method{"fedrep", "the head is personal and trains first, then the body",
           "Collins et al., ICML 2021", make_fedrep},
};

}  // namespace

std::span<const Method> methods() { return kMethods; }

const Method* find_method(std::string_view name) {
  const auto* found = std::find_if(kMethods.begin(), kMethods.end(),
                                   [&](const Method& method) { return method.name == name; });
  return found == kMethods.end() ? nullptr : found;
}

}  // namespace fedselect
