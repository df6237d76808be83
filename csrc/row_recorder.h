// Records times, flops and bytes of the rows that one thread solves, if the workspace records. Otherwise there is no
// log, active() is false, and `note` may not be called.
#pragma once

#include "cost_model.h"
#include "record.h"

namespace cymbals {

class RowRecorder {
 public:
    // Starts recording. The same thread calls `finish` later. The solvers write to `gathered_` when they have gathered
    // a row.
    template <class T>
    void start(Log *log, RowScratch<T> *scratch) {
        log_ = log;
        scratch->gathered = log_ ? &gathered_ : nullptr;
        if (log_) begin_time_ = nanoseconds(), last_ = begin_ticks_ = ticks();
    }
    // Starts a chunk of rows: the thread calls it before the first of them, and the chunk's sums begin at 0.
    void start_chunk() {
        if (log_) last_ = ticks();
        chunk_ = {};
    }
    // Adds a row of n entries that was just solved, or an attempt to solve it that just failed.
    void note(int64_t n, Solver solver, bool solved, int64_t retried, const RowCost &cost, int32_t cg_steps) {
        const int64_t now = ticks();
        RowSums &sums = log_->ticking[63 - __builtin_clzll((uint64_t)n)][solver];
        if (gathered_ < last_) gathered_ = now;  // the solver gave up before it had gathered the row
        sums.rows += solved, sums.retried += retried;
        sums.entries += solved ? n : 0;
        sums.cg_steps += cg_steps;
        sums.gather_time += gathered_ - last_, sums.solve_time += now - gathered_;
        sums.gather_flops += cost.gather.flops, sums.gather_bytes += cost.gather.bytes;
        sums.solve_flops += cost.solve.flops, sums.solve_bytes += cost.solve.bytes;
        chunk_.flops += cost.gather.flops + cost.solve.flops;
        chunk_.bytes += cost.gather.bytes + cost.solve.bytes;
        last_ = now;
    }
    void finish() const {
        if (!log_) return;
        const int64_t passed = ticks() - begin_ticks_;
        log_->convert_ticks(passed > 0 ? (double)(nanoseconds() - begin_time_) / (double)passed : 0);
    }

    bool active() const { return log_; }
    const Cost &chunk() const { return chunk_; }

 private:
    Log *log_ = nullptr;
    int64_t begin_time_ = 0, begin_ticks_ = 0;
    int64_t last_ = 0, gathered_ = 0;  // ticks when the row before ended, and when this row was gathered
    Cost chunk_;
};

}  // namespace cymbals
