// A workspace: how its calls run, the memory that they keep, what they recorded. And Call, which every function of
// cymbals.h that takes one begins with: it checks arguments and says what is wrong with them.
#pragma once

#include <omp.h>

#include <algorithm>
#include <atomic>

#include "common.h"
#include "record.h"
#include "threads.h"

namespace cymbals {

// Memory that stays from one call to the next and only grows; its contents do not.
class Slot {
 public:
    char *take(int64_t bytes) {
        if (bytes > bytes_ || !memory_) {  // of no bytes, too: null means that there is no memory
            memory_.reset();
            memory_ = large_buffer<char>(bytes);
            bytes_ = memory_ ? bytes : 0;
        }
        return memory_.get();
    }
    template <class T>
    T *take_array(int64_t n) {
        return n < 0 || (uint64_t)n > PTRDIFF_MAX / sizeof(T) ? nullptr
                                                              : reinterpret_cast<T *>(take(n * (int64_t)sizeof(T)));
    }
    int64_t bytes() const { return bytes_; }

 private:
    Buffer<char> memory_;
    int64_t bytes_ = 0;
};

}  // namespace cymbals

struct cymbals_workspace {
    cymbals_workspace_options options;
    const cymbals::KernelTable *table;
    int32_t forks;      // when it was made
    int32_t startable;  // threads: fewer than asked for where the system refused some
    std::unique_ptr<cymbals::Slot[]> threads;
    cymbals::Slot order, leverage, compact;  // of half-steps
    std::unique_ptr<cymbals::Log[]> logs;    // one a thread and one for whole calls; null where nothing is recorded
    cymbals::Buffer<cymbals_span> spans;     // of all logs, as handed out
    cymbals::Buffer<cymbals_row_class> classes;
    std::atomic<bool> busy{false};
    char message[256] = "";
};

namespace cymbals {

constexpr int32_t kNoPhase = -1;  // of a call that leaves no record

class ApiCall {
 public:
    ApiCall(cymbals_workspace *workspace, int32_t phase);
    ~ApiCall();
    ApiCall(const ApiCall &) = delete;
    ApiCall &operator=(const ApiCall &) = delete;

    // Each is false, and has said why, where an argument will not do.
    bool ready();  // there is a workspace whose threads are here, and no other call uses it
    bool not_null(const char *name, const void *pointer);
    bool between(const char *name, int64_t value, int64_t least, int64_t most = INT64_MAX);
    bool equal(const char *name, int64_t value, const char *other, int64_t wanted);
    bool matrix(const char *name, const cymbals_matrix *m);
    bool csr(const char *name, const cymbals_csr *c, bool values);
    bool has_size(const char *name, const void *options, size_t size);  // a struct of at least this size
    bool require(bool holds, const char *format, ...) __attribute__((format(printf, 3, 4)));

    // The call's status, with a message for those that are no argument's fault.
    int32_t end(int32_t status, int64_t row = -1);

    // How many threads work: no more than so many multiply-adds are worth, for a call that may be short.
    int32_t threads(double multiply_adds) { return n_threads_ = worth(n_threads_, multiply_adds); }
    // The same without a word on the work. Before a parallel region: it makes sure that the threads can be had.
    int32_t threads();
    cymbals_workspace &workspace() { return *workspace_; }
    const KernelTable &table() const { return *workspace_->table; }

    // In a parallel region: the calling thread's stretch of a phase, and its log, which may be null.
    Span span(int32_t phase) { return Span(log(), phase, omp_get_thread_num(), n_threads_); }
    Span span() { return span(phase_); }
    Log *log() { return workspace_->logs ? &workspace_->logs[omp_get_thread_num()] : nullptr; }

    // Tell the caller's progress function, which may cancel: before the first row of so many, and in a parallel region,
    // when some are done.
    void start(int64_t total);
    void advance(int64_t rows, int64_t total);
    bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

 private:
    cymbals_workspace *workspace_;  // null where another call has it
    const int32_t phase_;
    int32_t n_threads_ = 1;
    bool startable_ = false;  // as many as n_threads_
    int64_t begin_ = 0;
    std::atomic<int64_t> done_{0};
    std::atomic<bool> cancelled_{false};
};

}  // namespace cymbals
