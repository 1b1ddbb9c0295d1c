#pragma once

namespace fedselect {

/// Throws SystemError with the call, MPI's text of the code, and the rank, unless it is success.
void check_mpi(int code, const char* call);
#define FEDSELECT_CHECK_MPI(call) ::fedselect::check_mpi(call, #call)

}  // namespace fedselect
