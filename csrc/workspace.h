// The workspace of cymbals.h: options, memory that is kept between calls, and records. Also ApiCall, with which every
// function begins that computes with a workspace: it checks the arguments and writes the message that says what is
// wrong.
#pragma once

#include <omp.h>

#include <algorithm>
#include <atomic>

#include "common.h"
#include "record.h"
#include "threads.h"

namespace cymbals {

// Memory that a workspace keeps between calls. It only grows; its contents are lost when it is taken again.
class Slot {
 public:
    char *take(int64_t bytes) {
        if (bytes > bytes_ || !memory_) {  // allocates even for 0 bytes: null signals failure
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

// What the slots `leverage` and `compact` hold: a fixed side that a half-step has prepared. No columns: nothing.
struct PreparedFixed {
    int64_t n_rows = 0, n_cols = 0;
    int32_t type = 0;
    bool compact = false;
    double least_reg = 0, floor = 0;
};

}  // namespace cymbals

struct cymbals_workspace {
    cymbals_workspace_options options;
    const cymbals::KernelTable *table;
    int32_t forks;      // forks() when the workspace was made
    int32_t startable;  // number of threads: below options.n_threads if the system refused some
    std::unique_ptr<cymbals::Slot[]> threads;
    cymbals::Slot order, leverage, compact;  // memory of half-steps
    cymbals::PreparedFixed prepared;
    std::unique_ptr<cymbals::Log[]> logs;  // one for each thread, then one for calls; null if nothing is recorded
    cymbals::Buffer<cymbals_span> spans;   // the spans of all logs, as cymbals_workspace_spans returns them
    cymbals::Buffer<cymbals_row_class> classes;
    std::atomic<bool> busy{false};
    char message[256] = "";
};

namespace cymbals {

constexpr int64_t kMostColumns = 1 << 20;  // of a dense matrix, so that products of sizes stay far below 2^63
constexpr int32_t kNoPhase = -1;           // the phase of a call that leaves no record

class ApiCall {
 public:
    ApiCall(cymbals_workspace *workspace, int32_t phase);
    ~ApiCall();
    ApiCall(const ApiCall &) = delete;
    ApiCall &operator=(const ApiCall &) = delete;

    // Each checks an argument. If it is wrong, the result is false, and the workspace's message says why.
    bool ready();  // false: no workspace, another call uses it, or its threads do not exist after a fork
    bool not_null(const char *name, const void *pointer);
    bool between(const char *name, int64_t value, int64_t least, int64_t most = INT64_MAX);
    bool equal(const char *name, int64_t value, const char *other, int64_t wanted);
    bool matrix(const char *name, const cymbals_matrix *m);
    bool csr(const char *name, const cymbals_csr *c, bool values);
    bool has_size(const char *name, const void *options, size_t size);  // struct_size is at least this
    bool require(bool holds, const char *format, ...) __attribute__((format(printf, 3, 4)));

    // Returns the status, and writes a message for it if there is none yet.
    int32_t end(int32_t status, int64_t row = -1);

    // Reduces the number of threads if the call has few multiply-adds, and returns it.
    int32_t threads(double multiply_adds) { return n_threads_ = worth(n_threads_, multiply_adds); }
    // The number of threads. Call it before a parallel region: it makes sure that the system can start them.
    int32_t threads();
    cymbals_workspace &workspace() { return *workspace_; }
    const KernelTable &table() const { return *workspace_->table; }

    // For use in a parallel region: a span of the calling thread, and the thread's log (null if nothing is recorded).
    Span span(int32_t phase) { return Span(log(), phase, omp_get_thread_num(), n_threads_); }
    Span span() { return span(phase_); }
    Log *log() { return workspace_->logs ? &workspace_->logs[omp_get_thread_num()] : nullptr; }

    // These call the caller's progress function, which may cancel the call. `start` is called before the first row, and
    // `advance` in a parallel region after some rows.
    void start(int64_t total);
    void advance(int64_t rows, int64_t total);
    bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

 private:
    cymbals_workspace *workspace_;  // null if another call uses it
    const int32_t phase_;
    int32_t n_threads_ = 1;
    bool startable_ = false;  // whether it is known that the system can start n_threads_
    int64_t begin_ = 0;
    std::atomic<int64_t> done_{0};
    std::atomic<bool> cancelled_{false};
};

}  // namespace cymbals
