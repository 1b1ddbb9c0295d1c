#pragma once

#include "comm/communicator.hpp"

namespace fedselect::testing {

/// All ranks of the test job. Every rank runs every test.
Communicator& world();

}  // namespace fedselect::testing
