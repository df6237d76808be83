// What the OpenMP runtime does not survive: a fork after it ran in parallel, after which it waits forever, and a thread
// that cannot be started, for which it ends the process. Calls ask here before they run in parallel.
#pragma once

#include <cstdint>

namespace cymbals {

// How often this process, and those it was forked from, were forked since the library was loaded.
int32_t forks();
// Whether a process that this one was forked from had run in parallel.
bool forked_after_parallel();
// How many of n threads the calling thread can have, itself among them. The first call for so many starts them all, for
// a moment; a call for no more answers at once.
int32_t startable(int32_t n);

}  // namespace cymbals
