// Solves the rows of a half-step, one after the other, on one thread: weighs a row's entries, has it solved by
// conjugate gradients or exactly, and tries again with more care if that fails.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "objective.h"
#include "row_memory.h"
#include "row_recorder.h"
#include "solver_choice.h"
#include "whiten.h"

namespace cymbals {

constexpr int64_t kLongRow = 256;      // entries; rows with more are solved first, the longest first
constexpr int64_t kStreamAhead = 512;  // entries between the row being solved and those fetched from memory
constexpr int64_t kRowsAhead = 128;    // while a row is solved, entries of at most this many later rows are fetched
// If |a| y'D^(-1)y of an entry is above this, y is read from the fixed side itself, not from the 16-bit copy. The
// solution fits such an entry so closely that the error of rounding y to 16 bits would show.
constexpr double kHeaviestCompact = CYMBALS_HEAVIEST_COMPACT;

// Callers whose options are older than a field have null there.
inline const cymbals_matrix *prior_of(const cymbals_solve_options &options) {
    return options.struct_size < offsetof(cymbals_solve_options, part) ? nullptr : options.prior;
}
inline const cymbals_part *part_of(const cymbals_solve_options &options) {
    return options.struct_size < sizeof options ? nullptr : options.part;
}
inline const cymbals_copy *copy_of(const cymbals_solve_options &options) {
    const cymbals_part *part = part_of(options);
    return part && part->struct_size >= sizeof *part ? part->copy : nullptr;
}

constexpr cymbals_solve_info kEmptyInfo = {0, 0, 0, 0, 0, 0, -1};

// What all rows of a half-step share. Threads only read it.
template <class T>
struct Problem {
    const cymbals_csr &rows;
    const cymbals_matrix &solved;  // the row solvers write its rows
    const Objective<T> objective;
    const cymbals_solve_options &options;
    const KernelTable &table;
    const Kernels<T> &kernels;
    const int64_t f;
    const cymbals_matrix *const prior;  // null, or the rows that the regularization pulls towards
    FixedSide<T> fixed;
    const CostModel<T> cost_model;
    const int64_t *order = nullptr;  // row numbers in the order in which they are solved
    double relaxation = 1;           // options.relaxation if fixed.resolved(), else 1
    // Costs of CG for rows of up to kLongRow entries, without the 16-bit copy and with it; null if nothing is recorded.
    // They are kept in a table because computing a cost takes a good part of the time that recording a row takes.
    Buffer<CgCost> short_row_costs = nullptr;

    Problem(const cymbals_csr &csr, const cymbals_matrix &y, const cymbals_matrix &x, const cymbals_objective &o,
            const double *spectrum, const cymbals_solve_options &opt, const KernelTable &kernel_table)
        : rows(csr),
          solved(x),
          objective(o),
          options(opt),
          table(kernel_table),
          kernels(kernels_of<T>(table)),
          f(y.n_cols),
          prior(prior_of(opt)),
          fixed(y, spectrum, kernels, copy_of(opt)),
          cost_model(kernels, f) {}

    int64_t length(int64_t r) const { return rows.indptr[r + 1] - rows.indptr[r]; }

    bool tabulate_short_rows(const RowLayout<T> &layout) {
        short_row_costs = buffer<CgCost>(2 * (kLongRow + 1));
        if (!short_row_costs) return false;
        RowScratch<T> scratch = {};
        scratch.tile_rows = layout.tile_rows, scratch.ld = layout.ld;
        for (int64_t n = 0; n <= kLongRow; n++)
            for (bool compact : {false, true})
                short_row_costs[compact * (kLongRow + 1) + n] =
                    cost_model.cg({n, compact, options.row_reg != nullptr, 0}, scratch);
        return true;
    }
    CgCost cg_cost(const Row<T> &row, const RowScratch<T> &scratch) const {
        const Gathered gathered = gathered_of(row);
        if (short_row_costs && row.n <= kLongRow && row.n_heavy == 0)
            return short_row_costs[gathered.compact * (kLongRow + 1) + row.n];
        return cost_model.cg(gathered, scratch);
    }
    Gathered gathered_of(const Row<T> &row) const {
        return {row.n, row.compact.rows != nullptr, row.compact.scale != nullptr, row.n_heavy};
    }
};

template <class T>
class RowSolver {
 public:
    explicit RowSolver(const Problem<T> &problem) : p(problem) {}
    RowSolver(const RowSolver &) = delete;
    RowSolver &operator=(const RowSolver &) = delete;

    // The caller calls `allocate`, then `start`, then `solve` for each row. If `allocate` fails, it calls neither of
    // the others.
    bool allocate(Slot &slot, const RowLayout<T> &layout) { return memory.allocate(slot, layout); }
    void start(Log *log) {
        recorder.start(log, &memory.scratch);
        p.fixed.diagonal(p.options.reg, memory.scale, memory.root, memory.rescale);
    }

    // Solves row number order[place]. The next row that this thread solves is order[place + stride]; meanwhile the
    // entries of the rows from there on are fetched.
    void solve(int64_t place, int64_t stride);

    RowRecorder recorder;
    cymbals_solve_info info = kEmptyInfo;
    int32_t failure = CYMBALS_OK;  // why row info.failed_row failed

 private:
    Outcome load(int64_t place, int64_t stride, Row<T> *row, T *trace);
    template <class I, class V>
    Outcome load(int64_t place, int64_t stride, Row<T> *row, T *trace);
    template <class I, class V>
    bool read_entries(int64_t r);
    void set_shift(int64_t r, double reg);
    T shifted_score(int64_t index) const;
    int64_t sort_by_sign(int64_t n);
    int64_t mark_heavy(const Entries<T> &entries, int64_t n) const;
    template <class I>
    int64_t append_next_rows(int64_t place, int64_t stride, int64_t n, int64_t *indices) const;
    Outcome choose_and_solve(const Row<T> &row, T trace, T *x);
    Outcome solve_cg(const Row<T> &row, const Stop &stop, T *x);
    Outcome solve_exact(const Row<T> &row, T trace, Solver solver, T *x);
    Outcome exact_with_retries(const Row<T> &row, T trace, Solver solver, T *x);
    Outcome solve_in_double(const Row<T> &row, double ridge, T *x) const;
    void read_fixed(const Row<T> &row, int64_t index, double *y) const;
    bool relax(T *x) const;
    void fail(int64_t r, Outcome outcome);

    const Problem<T> &p;
    RowMemory<T> memory;
};

template <class T>
void RowSolver<T>::solve(int64_t place, int64_t stride) {
    const int64_t r = p.order[place];
    T *x = row_of<T>(p.solved, r);
    if (p.length(r) == 0) {
        if (p.prior)
            std::copy_n(row_of<T>(*p.prior, r), p.f, x);
        else
            std::fill_n(x, p.f, T(0));
        info.rows_empty++;
        return;
    }
    if (p.options.row_reg) p.fixed.diagonal(p.options.row_reg[r], memory.scale, memory.root, memory.rescale);
    if (p.prior) {
        set_shift(r, p.options.row_reg ? p.options.row_reg[r] : p.options.reg);
        for (int64_t j = 0; j < p.f; j++) x[j] -= memory.shift[j];
    }
    Row<T> row;
    T trace;
    Outcome outcome = load(place, stride, &row, &trace);
    std::copy_n(x, p.f, memory.start);
    if (outcome == Outcome::done && p.objective.kind != CYMBALS_EXPLICIT && weights_too_heavy(row.constant))
        outcome = Outcome::too_heavy;
    else if (outcome == Outcome::done)
        outcome = choose_and_solve(row, trace, x);
    if (!relax(x) || outcome != Outcome::done) fail(r, outcome);
    for (int64_t j = 0; p.prior && j < p.f; j++) x[j] += memory.shift[j];
}

template <class T>
Outcome RowSolver<T>::load(int64_t place, int64_t stride, Row<T> *row, T *trace) {
    const bool small_value = p.rows.value_type == CYMBALS_FLOAT32;
    if (p.rows.index_type == CYMBALS_INT32)
        return small_value ? load<int32_t, float>(place, stride, row, trace)
                           : load<int32_t, double>(place, stride, row, trace);
    return small_value ? load<int64_t, float>(place, stride, row, trace)
                       : load<int64_t, double>(place, stride, row, trace);
}

// Fills *row for row number order[place], and sets *trace to the sum of |a| y'D^(-1)y over its entries. Returns
// not_converged if a weight or a weighted target is not finite or a heavy entry's row is missing, and bad_index if an
// index is out of range.
template <class T>
template <class I, class V>
Outcome RowSolver<T>::load(int64_t place, int64_t stride, Row<T> *row, T *trace) {
    const int64_t r = p.order[place], n = p.length(r);
    Entries<T> entries = memory.entries;
    if (!read_entries<I, V>(r)) return Outcome::bad_index;
    const WeightSums<T> sums =
        p.kernels.weigh(entries.weight, entries.q, n, p.fixed.of_one_row() ? nullptr : entries.indices,
                        p.fixed.leverage(), p.objective.kind == CYMBALS_EXPLICIT);
    int64_t n_negative = 0;
    if (sums.least < 0) {
        n_negative = sort_by_sign(n);
        entries = memory.sorted;
    }
    const bool any_heavy = p.fixed.compact() && !(sums.heaviest <= kHeaviestCompact);
    const int64_t n_heavy = any_heavy ? mark_heavy(entries, n) : 0;
    if (n_heavy < 0) return Outcome::not_converged;
    const int64_t n_next = append_next_rows<I>(place, stride, n, entries.indices);
    *row = {p.f,
            {p.fixed.data(), p.fixed.stride(), memory.scale, entries.weight},
            {p.fixed.compact(), p.fixed.compact_stride(), p.options.row_reg ? memory.rescale : nullptr},
            memory.root,
            entries.indices,
            entries.q,
            n,
            n - n_negative,
            n_next,
            sums.constant,
            n_heavy};
    *trace = sums.trace;
    return sums.finite ? Outcome::done : Outcome::not_converged;
}

// Copies the indices of row r to memory.entries, and computes there the weights and weighted targets of its values.
// Returns false if an index is not a row of the fixed side.
template <class T>
template <class I, class V>
bool RowSolver<T>::read_entries(int64_t r) {
    const int64_t begin = p.rows.indptr[r], n = p.length(r);
    const I *from = static_cast<const I *>(p.rows.indices) + begin;
    const V *values = static_cast<const V *>(p.rows.values) + begin;
    // Both are read once, in order, but interleaved with other accesses that defeat the hardware prefetcher.
    for (int64_t i = kStreamAhead; i < kStreamAhead + n; i += 16) {
        __builtin_prefetch(from + i);
        __builtin_prefetch(values + i);
    }
    T *weight = memory.entries.weight, *q = memory.entries.q;
    int64_t *indices = memory.entries.indices;
    p.objective.each(values, n, [weight, q](int64_t i, const Cell<T> &cell) {
        weight[i] = cell.a;
        q[i] = cell.b;
    });
    I least = from[0], largest = from[0];
    for (int64_t i = 0; i < n; i++) {
        const I index = from[i];
        indices[i] = index;
        least = std::min(least, index), largest = std::max(largest, index);
    }
    if (least < 0 || largest >= p.rows.n_cols) return false;
    for (int64_t i = 0; p.prior && i < n; i++) q[i] -= weight[i] * shifted_score(indices[i]);
    return true;
}

// Sets memory.shift for row r with the regularization `reg`. With a prior m, a row x solves
//   (D + sum a y y') x = sum b y + reg m,
// where D = spectrum + reg. With x = s + d and the shift s = reg D^(-1) m, the row d solves
//   (D + sum a y y') d = sum (b - a s'y) y.
// So only the weighted targets differ from those of a row without a prior.
template <class T>
void RowSolver<T>::set_shift(int64_t r, double reg) {
    const T *const prior = row_of<T>(*p.prior, r);
    for (int64_t j = 0; j < p.f; j++) memory.shift[j] = (T)reg * memory.scale[j] * memory.scale[j] * prior[j];
}

// s'y for a row y of the fixed side.
template <class T>
T RowSolver<T>::shifted_score(int64_t index) const {
    const T *const y = p.fixed.data() + index * p.fixed.stride();
    T sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < p.f; j++) sum += memory.shift[j] * y[j];
    return sum;
}

// Copies the entries to memory.sorted: first the entries with a weight of 0 or more, then those with a negative weight.
// Returns the number of entries with a negative weight.
template <class T>
int64_t RowSolver<T>::sort_by_sign(int64_t n) {
    const Entries<T> &from = memory.entries, &sorted = memory.sorted;
    int64_t n_negative = 0;
    for (int64_t i = 0; i < n; i++) n_negative += from.weight[i] < 0;
    int64_t next[2] = {0, n - n_negative};
    for (int64_t i = 0; i < n; i++) {
        const int64_t to = next[from.weight[i] < 0]++;
        sorted.indices[to] = from.indices[i];
        sorted.weight[to] = std::abs(from.weight[i]);
        sorted.q[to] = from.q[i];
    }
    std::fill_n(sorted.weight + n, kGroup, T(0));
    std::fill_n(sorted.q + n, kGroup, T(0));
    return n_negative;
}

// Marks the entries that read the fixed side itself, although there is a copy: see Row. Returns their number, or -1 if
// the fixed side does not have the row of one of them.
template <class T>
int64_t RowSolver<T>::mark_heavy(const Entries<T> &entries, int64_t n) const {
    int64_t n_heavy = 0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t index = entries.indices[i];
        if (entries.weight[i] * entries.weight[i] * p.fixed.leverage()[index] <= kHeaviestCompact) continue;
        const int64_t at = p.fixed.place_of(index);
        if (at < 0) return -1;
        entries.indices[i] = ~at;
        n_heavy++;
    }
    return n_heavy;
}

// Appends to the n indices of this row the indices of the rows that this thread solves next, which kernels prefetch,
// and then kGroup copies of this row's first index. Returns the number of indices taken from the next rows.
template <class T>
template <class I>
int64_t RowSolver<T>::append_next_rows(int64_t place, int64_t stride, int64_t n, int64_t *indices) const {
    int64_t n_next = 0;
    // Many rows may be empty, so the search for entries ends after kRowsAhead rows.
    const int64_t furthest = std::min(p.rows.n_rows, place + kRowsAhead * stride);
    for (int64_t next = place + stride; next < furthest && n_next < most_ahead(n); next += stride) {
        const int64_t from = p.rows.indptr[p.order[next]];
        const int64_t count = std::min(p.length(p.order[next]), most_ahead(n) - n_next);
        for (int64_t i = 0; i < count; i++) {  // a bad index is found later, when its own row is read
            const int64_t index = static_cast<const I *>(p.rows.indices)[from + i];
            indices[n + n_next + i] = (uint64_t)index < (uint64_t)p.rows.n_cols ? index : 0;
        }
        n_next += count;
    }
    std::fill_n(indices + n + n_next, kGroup, indices[0]);
    return n_next;
}

template <class T>
Outcome RowSolver<T>::choose_and_solve(const Row<T> &row, T trace, T *x) {
    const SolverChoice choice = choose_solver(p.options, row, trace, row.n + kGroup <= memory.scratch.tile_rows);
    if (choice.cg && solve_cg(row, choice.stop, x) == Outcome::done) return Outcome::done;
    return solve_exact(row, trace, choice.exact, x);
}

template <class T>
Outcome RowSolver<T>::solve_cg(const Row<T> &row, const Stop &stop, T *x) {
    CgSteps steps = {0, 0};
    const Outcome outcome = p.kernels.solve_cg(row, memory.scratch, stop, x, &steps);
    const bool done = outcome == Outcome::done;
    info.cg_steps += steps.all;
    info.rows_cg += done;
    info.rows_retried += !done;
    if (recorder.active()) recorder.note(row.n, kCg, done, !done, p.cg_cost(row, memory.scratch).of(steps), steps.all);
    return outcome;
}

template <class T>
Outcome RowSolver<T>::solve_exact(const Row<T> &row, T trace, Solver solver, T *x) {
    const int64_t retried = info.rows_retried;
    const Outcome outcome = exact_with_retries(row, trace, solver, x);
    const bool done = outcome == Outcome::done;
    (solver == kDual ? info.rows_dual : info.rows_primal) += done;
    if (recorder.active())
        recorder.note(row.n, solver, done, info.rows_retried - retried,
                      solver == kDual ? p.cost_model.dual(p.gathered_of(row)) : p.cost_model.primal(p.gathered_of(row)),
                      0);
    return outcome;
}

// Solves the row exactly, in up to three attempts. The next attempt is made if the one before was skipped or found the
// system indefinite:
// 1. `solver` in T; skipped if float32 would round the identity away.
// 2. The primal in float64; only if T is float32.
// 3. The primal in float64 with a small ridge; only if no weight is negative.
template <class T>
Outcome RowSolver<T>::exact_with_retries(const Row<T> &row, T trace, Solver solver, T *x) {
    Outcome outcome = Outcome::indefinite;
    if (!identity_is_lost(trace))
        outcome = solver == kDual ? p.kernels.solve_dual(row, memory.scratch, x)
                                  : p.kernels.solve_primal(row, memory.scratch, x);
    if (outcome == Outcome::indefinite && sizeof(T) == sizeof(float)) {
        info.rows_retried++;
        outcome = solve_in_double(row, 0, x);
    }
    // Without negative weights, the exact system is positive definite, and only rounding can make it indefinite. A
    // ridge as large as the rounding errors corrects this.
    if (outcome == Outcome::indefinite && row.n_positive == row.n && std::isfinite(trace)) {
        info.rows_retried++;
        outcome = solve_in_double(row, 64 * (double)trace * std::numeric_limits<double>::epsilon(), x);
    }
    return outcome;
}

// Solves the primal (see Row) in float64, with `ridge` added to the identity: ((1 + ridge) I + W'SW) z = W'q. The
// kernel solves a system with I, so both sides are divided by 1 + ridge: W and q are each divided by its square root.
template <class T>
Outcome RowSolver<T>::solve_in_double(const Row<T> &row, double ridge, T *x) const {
    const Kernels<double> &kernels = p.table.f64;
    Slot slot;
    RowMemory<double> wide_memory;
    Buffer<double> rows_copy = buffer<double>(row.n * p.f), x_copy = buffer<double>(p.f);
    if (!rows_copy || !x_copy || !wide_memory.allocate(slot, RowLayout<double>(p.f, kernels.pad, row.n)))
        return Outcome::no_memory;
    const Entries<double> &entries = wide_memory.entries;
    for (int64_t i = 0; i < row.n; i++) {
        entries.indices[i] = i;
        entries.weight[i] = row.full.weight[i] / std::sqrt(1 + ridge);
        entries.q[i] = row.q[i] / std::sqrt(1 + ridge);
        read_fixed(row, row.indices[i], rows_copy.get() + i * p.f);
    }
    std::fill_n(entries.q + row.n, kGroup, 0.0);
    for (int64_t j = 0; j < wide_memory.scratch.padded; j++) {
        wide_memory.root[j] = j < p.f ? (double)row.root[j] : 0;
        wide_memory.scale[j] = j < p.f ? 1 / wide_memory.root[j] : 0;
    }
    const Row<double> wide = {p.f,
                              {rows_copy.get(), p.f, wide_memory.scale, entries.weight},
                              {},
                              wide_memory.root,
                              entries.indices,
                              entries.q,
                              row.n,
                              row.n_positive,
                              0,
                              0,
                              0};
    const Outcome outcome = kernels.solve_primal(wide, wide_memory.scratch, x_copy.get());
    if (outcome == Outcome::done) std::copy_n(x_copy.get(), p.f, x);
    return outcome;
}

// Sets y to the row of the fixed side that an entry names. From the copy, whitening is undone.
template <class T>
void RowSolver<T>::read_fixed(const Row<T> &row, int64_t index, double *y) const {
    if (!row.compact.rows || index < 0) {
        std::copy_n(row.full.rows + (index < 0 ? ~index : index) * row.full.stride, p.f, y);
        return;
    }
    T *const whitened = memory.scratch.t;
    p.kernels.expand(whitened, row.compact.rows + index * row.compact.stride, p.f);
    for (int64_t j = 0; j < p.f; j++)
        y[j] = (double)whitened[j] * row.root[j] * (row.compact.scale ? row.compact.scale[j] : 1);
}

// Sets x to start + relaxation * (x - start). Returns false if a number is not finite.
template <class T>
bool RowSolver<T>::relax(T *x) const {
    const T by = (T)p.relaxation;
    int32_t not_finite = 0;  // an integer count, so that compilers vectorize the loop
    for (int64_t j = 0; j < p.f; j++) {
        x[j] = by == 1 ? x[j] : memory.start[j] + by * (x[j] - memory.start[j]);
        not_finite += std::abs(x[j]) <= std::numeric_limits<T>::max() ? 0 : 1;
    }
    return not_finite == 0;
}

// Notes that row r failed, and why, unless a lower row has failed already.
template <class T>
void RowSolver<T>::fail(int64_t r, Outcome outcome) {
    if (info.failed_row >= 0 && info.failed_row < r) return;
    info.failed_row = r;
    failure = outcome == Outcome::indefinite  ? CYMBALS_INDEFINITE
              : outcome == Outcome::too_heavy ? CYMBALS_TOO_HEAVY
              : outcome == Outcome::no_memory ? CYMBALS_NO_MEMORY
              : outcome == Outcome::bad_index ? CYMBALS_BAD_INDEX
                                              : CYMBALS_BAD_VALUE;
}

}  // namespace cymbals
