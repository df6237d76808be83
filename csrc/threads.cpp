// Counts forks, and tests whether the system can start threads.

#include "threads.h"

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>

namespace cymbals {
namespace {

std::atomic<int32_t> fork_count{0};
std::atomic<bool> ran_in_parallel{false}, alone{false};

void after_fork() {
    fork_count++;
    if (ran_in_parallel) alone = true;
}
const int registered = pthread_atfork(nullptr, nullptr, after_fork);

// The size in bytes that OMP_STACKSIZE sets for the stacks of OpenMP threads; 0 if it is not set. It is parsed as the
// OpenMP runtime parses it.
size_t stack_size() {
    const char *const text = std::getenv("OMP_STACKSIZE");
    if (!text) return 0;
    char *unit;
    const unsigned long long number = std::strtoull(text, &unit, 10);
    while (*unit == ' ') unit++;
    const int shift = *unit == 'B' || *unit == 'b'   ? 0
                      : *unit == 'M' || *unit == 'm' ? 20
                      : *unit == 'G' || *unit == 'g' ? 30
                                                     : 10;
    return number < (1ull << 40) ? (size_t)number << shift : 0;
}

void *wait_for(void *gate) {
    pthread_mutex_lock(static_cast<pthread_mutex_t *>(gate));
    pthread_mutex_unlock(static_cast<pthread_mutex_t *>(gate));
    return nullptr;
}

// Starts up to n threads that exist at the same time, ends them, and returns how many started.
int32_t try_to_start(int32_t n) {
    const std::unique_ptr<pthread_t[]> threads(new (std::nothrow) pthread_t[n]);
    pthread_mutex_t gate;
    pthread_attr_t attributes;
    if (!threads || pthread_mutex_init(&gate, nullptr) != 0) return 0;
    if (pthread_attr_init(&attributes) != 0) return pthread_mutex_destroy(&gate), 0;
    if (const size_t bytes = stack_size()) pthread_attr_setstacksize(&attributes, bytes);
    int32_t started = 0;
    pthread_mutex_lock(&gate);
    while (started < n && pthread_create(&threads[started], &attributes, wait_for, &gate) == 0) started++;
    pthread_mutex_unlock(&gate);
    for (int32_t t = 0; t < started; t++) pthread_join(threads[t], nullptr);
    if (started < n) usleep(20'000);  // the system still counts threads for a moment after they end
    pthread_attr_destroy(&attributes);
    pthread_mutex_destroy(&gate);
    return started;
}

}  // namespace

int32_t forks() { return fork_count.load(std::memory_order_relaxed); }

bool forked_after_parallel() { return alone.load(std::memory_order_relaxed); }

int32_t startable(int32_t n) {
    // thread_local, because each calling thread has its own OpenMP threads
    thread_local int32_t tried = 1, started = 1;
    if (n > 1) ran_in_parallel.store(true, std::memory_order_relaxed);
    if (n > tried) tried = n, started = 1 + try_to_start(n - 1);
    return n < started ? n : started;
}

}  // namespace cymbals
