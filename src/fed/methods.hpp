#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "fed/algorithm.hpp"

namespace fedselect {

/// An entry of the table of methods.
struct Method {
  std::string_view name;     ///< as the config writes it
  std::string_view summary;  ///< one line
  std::string_view source;   ///< paper
  std::unique_ptr<Algorithm> (*make)();
};

/// All methods, in the order in which they are listed to users.
std::span<const Method> methods();
/// The method of that name; null if there is none.
const Method* find_method(std::string_view name);

// One function a file of methods/.
std::unique_ptr<Algorithm> make_fedselect_ltn();
std::unique_ptr<Algorithm> make_fedselect();
std::unique_ptr<Algorithm> make_fedavg();
std::unique_ptr<Algorithm> make_fedavg_ft();
std::unique_ptr<Algorithm> make_fedprox();
std::unique_ptr<Algorithm> make_scaffold();
std::unique_ptr<Algorithm> make_ditto();
std::unique_ptr<Algorithm> make_pfedme();
std::unique_ptr<Algorithm> make_per_fedavg();
std::unique_ptr<Algorithm> make_apfl();
std::unique_ptr<Algorithm> make_local();
std::unique_ptr<Algorithm> make_fedper();
std::unique_ptr<Algorithm> make_fedrep();
std::unique_ptr<Algorithm> make_lg_fedavg();
std::unique_ptr<Algorithm> make_fedbabu();
std::unique_ptr<Algorithm> make_fedbn();
std::unique_ptr<Algorithm> make_fedalt();
std::unique_ptr<Algorithm> make_fedsim();
std::unique_ptr<Algorithm> make_fedpac();
std::unique_ptr<Algorithm> make_lotteryfl();
std::unique_ptr<Algorithm> make_sub_fedavg();

}  // namespace fedselect
