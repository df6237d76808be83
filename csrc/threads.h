// Guards against two weaknesses of the OpenMP runtime. In the child of a fork, after the parent ran in parallel, it
// waits forever. If the system refuses to start a thread, it ends the process. Calls ask here before they run in
// parallel.
#pragma once

#include <cstdint>

namespace cymbals {

// How many forks lead from the process that loaded the library to this one.
int32_t forks();
// Whether the library had run in parallel before the fork that made this process, or before an earlier one.
bool forked_after_parallel();
// How many of n threads the calling thread can have, itself included. The first call for so many threads starts and
// ends them; later calls for at most as many return at once.
int32_t startable(int32_t n);

}  // namespace cymbals
