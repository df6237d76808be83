// The records of a workspace with record = 1: the spans of each thread, and sums over rows by length and solver. Each
// thread writes to a log of its own.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "common.h"
#include "probes.h"

namespace cymbals {

inline int64_t nanoseconds() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

constexpr int32_t kLengths = 64;  // classes of row lengths, one for each power of two
enum Solver : int32_t { kCg, kDual, kPrimal, kSolvers };

// Sums over rows of one length class and solver. Times are in ticks until the thread ends its part of a half-step.
struct RowSums {
    int64_t rows, entries, cg_steps, retried, gather_time, solve_time;
    double gather_flops, gather_bytes, solve_flops, solve_bytes;
};

struct Log {
    Buffer<cymbals_span> spans;
    int64_t n = 0, room = 0, lost = 0;
    RowSums sums[kLengths][kSolvers] = {}, ticking[kLengths][kSolvers] = {};

    void add(const cymbals_span &span) {
        if (n == room) {
            const int64_t more = std::max<int64_t>(256, 2 * room);
            Buffer<cymbals_span> larger = buffer<cymbals_span>(more);
            if (!larger) {
                lost++;
                return;
            }
            std::copy_n(spans.get(), n, larger.get());
            spans = std::move(larger), room = more;
        }
        spans[n++] = span;
    }

    // Adds `ticking` to `sums`, with times converted to nanoseconds. `tick` is the length of a tick.
    void convert_ticks(double tick) {
        for (int32_t length = 0; length < kLengths; length++)
            for (int32_t solver = 0; solver < kSolvers; solver++) {
                const RowSums &from = ticking[length][solver];
                RowSums &to = sums[length][solver];
                to.rows += from.rows, to.entries += from.entries;
                to.cg_steps += from.cg_steps, to.retried += from.retried;
                to.gather_time += (int64_t)((double)from.gather_time * tick);
                to.solve_time += (int64_t)((double)from.solve_time * tick);
                to.gather_flops += from.gather_flops, to.gather_bytes += from.gather_bytes;
                to.solve_flops += from.solve_flops, to.solve_bytes += from.solve_bytes;
            }
        std::memset(static_cast<void *>(ticking), 0, sizeof ticking);
    }
};

// Measures one thread from the construction of the Span to its destruction. Then it adds a cymbals_span to the log, if
// there is a log.
class Span {
 public:
    Span(Log *log, int32_t phase, int32_t thread, int32_t n_threads) : log_(log), phase_(phase) {
        CYMBALS_PROBE(span_begin, phase, thread);
        if (log_) span_ = {nanoseconds(), 0, 0, 0, 0, 0, phase, thread, n_threads, 0};
    }
    ~Span() {
        CYMBALS_PROBE(span_end, phase_, span_.rows);
        if (!log_) return;
        span_.end = nanoseconds();
        log_->add(span_);
    }
    Span(const Span &) = delete;
    Span &operator=(const Span &) = delete;

    void add(int64_t rows, int64_t entries, double flops, double bytes) {
        span_.rows += rows, span_.entries += entries, span_.flops += flops, span_.bytes += bytes;
    }

 private:
    Log *const log_;
    const int32_t phase_;
    cymbals_span span_ = {};
};

}  // namespace cymbals
