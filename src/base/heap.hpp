#pragma once

/// What the C library does with memory that was freed. Nothing of it has an effect where that isn't
/// glibc.
namespace fedselect {

/// Long arrays go back to the system when they are freed. Else what a round keeps comes to lie in
/// the gaps that they leave, and the next round's don't fit there. Call it first of all.
void return_long_arrays();

/// Gives all whole pages that were freed back to the system, so that they count as resident no
/// more. Takes a look at every gap.
void release_freed();

}  // namespace fedselect
