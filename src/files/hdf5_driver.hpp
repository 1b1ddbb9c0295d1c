#pragma once

#include <hdf5.h>

namespace fedselect::hdf5 {

/// Makes files opened with `access` (a file access property list) go through our driver instead of
/// HDF5's own.
///
/// The library can't take a failing disk: a write that fails while it closes a data set leaves it
/// in a state in which it crashes, at the latest in MPI_Finalize. So this driver notes the errno of
/// the first failing write in `error`, drops that write and all later ones, and tells the library
/// that all is well. Whoever writes must look at `error`, which must outlive the file. The files
/// are ordinary HDF5 files. It needs no file locks, which some file systems of clusters lack.
/// Returns a negative value if the library refuses.
herr_t use_patient_driver(hid_t access, int* error);

}  // namespace fedselect::hdf5
