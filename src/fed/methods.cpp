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
    Method{"fedprox", "fedavg, clients held to the global model by a proximal term",
           "Li et al., MLSys 2020", make_fedprox},
    Method{"scaffold", "fedavg, steps corrected by control variates",
           "Karimireddy et al., ICML 2020", make_scaffold},
    Method{"ditto", "fedavg, and a second, personal model held to the global one",
           "Li et al., ICML 2021", make_ditto},
    Method{"pfedme", "personal models by Moreau envelopes of the global one",
           "T Dinh et al., NeurIPS 2020", make_pfedme},
    Method{"per-fedavg", "a global model that is good after one local step (first-order MAML)",
           "Fallah et al., NeurIPS 2020", make_per_fedavg},
    Method{"apfl", "a learned mixture of a personal and the global model",
           "Deng et al., arXiv 2003.13461", make_apfl},
    Method{"local", "every client trains alone", "baseline", make_local},
    Method{"fedper", "the head is personal, body and head train together",
           "Arivazhagan et al., arXiv 1912.00818", make_fedper},
    Method{"fedrep", "the head is personal and trains first, then the body",
           "Collins et al., ICML 2021", make_fedrep},
    Method{"lg-fedavg", "the lower layers are personal, the last ones shared",
           "Liang et al., arXiv 2001.01523", make_lg_fedavg},
    Method{"fedbabu", "only the body trains; body and head are fine-tuned before a test",
           "Oh et al., ICLR 2022", make_fedbabu},
    Method{"fedbn", "norm layers are personal", "Li et al., ICLR 2021", make_fedbn},
    Method{"fedalt", "named layers are personal and train first, then the shared ones",
           "Pillutla et al., ICML 2022", make_fedalt},
    Method{"fedsim", "named layers are personal, all train together", "Pillutla et al., ICML 2022",
           make_fedsim},
    Method{"fedpac",
           "features held to global class centroids, personal heads combined by the server",
           "Xu et al., ICLR 2023", make_fedpac},
    Method{"lotteryfl", "clients prune by magnitude and begin anew from the initial model",
           "Li et al., SEC 2021", make_lotteryfl},
    Method{"sub-fedavg", "clients prune trained weights by magnitude and go on",
           "Vahidian et al., ICDCSW 2021", make_sub_fedavg},
};

}  // namespace

std::span<const Method> methods() { return kMethods; }

const Method* find_method(std::string_view name) {
  const auto* found = std::find_if(kMethods.begin(), kMethods.end(),
                                   [&](const Method& method) { return method.name == name; });
  return found == kMethods.end() ? nullptr : found;
}

}  // namespace fedselect
