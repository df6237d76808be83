// Guards against two weaknesses of the OpenMP runtime. If a process runs in parallel and then forks, the child waits
// forever when it runs in parallel. If the system refuses to start a thread, the runtime ends the process. Every call
// uses these functions before it runs in parallel.
#pragma once

#include <cstdint>

namespace cymbals {

// The number of forks between the process that loaded the library and this one.
int32_t forks();
// Whether the library had run in parallel before the fork that made this process, or before an earlier one.
bool forked_after_parallel();
// How many of n threads the calling thread can have, itself included. If n is larger than in all earlier calls of this
// thread, the function starts n - 1 threads and ends them again, to see whether that succeeds. Otherwise it returns at
// once.
int32_t startable(int32_t n);

}  // namespace cymbals
