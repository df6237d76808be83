// One half-step: every row of a CSR matrix solved against the fixed side, in the basis where the fixed side's Gramian
// is diagonal. Here: the parallel loop, a row's weights, the choice of solver and what to do when one fails. Rows do
// not depend on each other, so the result does not depend on the number of threads.

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "model.h"
#include "objective.h"
#include "whiten.h"
#include "workspace.h"

namespace cymbals {
namespace {

constexpr int64_t kTileBytes = 4 * 1024 * 1024;  // longer rows are gathered again on every pass
constexpr int64_t kLongRow = 256;                // entries; longer rows are solved first, the longest first
constexpr int64_t kMostAhead = 1024;             // entries of the next rows fetched while one is solved ...
constexpr int64_t kLeastAhead = 32;              // ... at most, and where that row is short
constexpr int64_t kRowsAhead = 128;              // at most so many of them
constexpr int64_t kChunk = 32;                   // short rows that a thread takes at a time
constexpr int64_t kStreamAhead = 512;            // entries between the row being solved and those fetched from memory
constexpr int kMostSteps = 24;                   // a row expected to need more CG steps is solved exactly
// Policies of CYMBALS_COMPACT_LARGE. A side of fewer bytes, in float32, is read from a cache, and small problems keep
// all their digits; 8 significant bits are good for so many steps.
constexpr int64_t kLargeBytes = 2 * 1024 * 1024;
constexpr int32_t kCompactSteps = 8;
// 16 bits are left aside where one entry's a y'D^(-1)y is larger: it is met so closely that their rounding would show.
constexpr double kHeaviestCompact = 64;

int64_t most_ahead(int64_t n) { return std::clamp(n, kLeastAhead, kMostAhead); }

// Where a thread's numbers stand in its memory, which is one piece.
template <class T>
struct Layout {
    int64_t padded, ld, side, tile_rows, entries;

    Layout(int64_t f, int64_t pad, int64_t longest) {
        padded = round_up(f, pad);
        ld = padded + (padded * sizeof(T) % 512 == 0 ? kLine<T> : 0);  // keeps columns out of one cache set
        side = round_up(padded, 32);
        const int64_t fitting = std::min<int64_t>(kTileBytes / (ld * sizeof(T)), longest);
        tile_rows = round_up(std::max(fitting, padded), kGroup) + kGroup;
        entries = round_up(longest + most_ahead(longest) + kGroup, kLine<T>);
    }
    int64_t bytes() const {
        const int64_t numbers = round_up(tile_rows * ld, kLine<T>) + side * side + 12 * side + 4 * entries;
        return numbers * (int64_t)sizeof(T) + 2 * entries * (int64_t)sizeof(int64_t);
    }
};

// A thread's memory, and what it records of the chunk and the row in hand.
template <class T>
struct Space {
    Work<T> work;
    T *scale, *root, *rescale, *start, *weight, *q, *sorted_weight, *sorted_q;
    int64_t *where, *sorted_where;

    Log *log = nullptr;
    int64_t begin_time = 0, begin_ticks = 0;
    int64_t last = 0, gathered = 0;  // ticks when the row before ended, and when this one was gathered
    Amount done;                     // of a chunk

    bool allocate(Slot &slot, const Layout<T> &layout) {
        const int64_t vector = layout.side, line = kLine<T>;
        char *const memory = slot.take(layout.bytes());
        if (!memory) return false;
        work.padded = layout.padded, work.ld = layout.ld, work.side = layout.side, work.tile_rows = layout.tile_rows;
        work.gathered = nullptr;
        T *unused = reinterpret_cast<T *>(memory);
        auto take = [&unused](int64_t n) { return std::exchange(unused, unused + n); };
        work.tile = take(round_up(work.tile_rows * work.ld, line));
        work.matrix = take(vector * vector);
        for (T **v : {&work.z, &work.r, &work.p, &work.ap, &work.scaled, &work.sum, &scale, &root, &rescale, &start})
            std::fill_n(*v = take(vector), vector, T(0));
        work.t = take(2 * vector);
        for (T **v : {&weight, &q, &sorted_weight, &sorted_q}) *v = take(layout.entries);
        where = reinterpret_cast<int64_t *>(unused);
        sorted_where = where + layout.entries;
        return true;
    }
    // From here on to `settle`, on the calling thread.
    void record(Log *to) {
        log = to;
        work.gathered = log ? &gathered : nullptr;
        if (log) begin_time = nanoseconds(), begin_ticks = ticks();
    }
    void settle() const {
        if (!log) return;
        const int64_t passed = ticks() - begin_ticks;
        log->settle(passed > 0 ? (double)(nanoseconds() - begin_time) / (double)passed : 0);
    }
};

// Costs of solving a row of n entries, in multiply-adds at the speed of a register-tiled product; the factors
// say how much slower each kind of work runs (measured on AVX2, f 32 to 256).
struct Cost {
    double n, f;
    double gather() const { return 12 * n * f; }
    double cg_pass(bool fits) const { return (fits ? 2.5 : 6) * n * f + 60 * f; }
    double dual() const { return gather() + n * n * f + factorize(n) + 4 * n * f; }
    double primal() const { return gather() + 1.35 / 2 * n * f * f + factorize(f) + 4 * n * f; }
    static double factorize(double m) { return m * m * m / 3 + 20 * m * m + 1500 * m; }
};

// CG steps for an identity plus a matrix of this trace and rank from a start that knows nothing: a curve through what
// Last.fm counts took with alpha 1 and 40, linear and log, f 32 to 128.
double expected_steps(double trace, double rank) {
    const double log = std::log1p(trace);
    return std::min(1.5 + 0.45 * log * log, rank + 1);
}

// How many CG steps solver "auto" gives a row before it is solved exactly, 0 for none. Those that cost as much as the
// exact solution: so a wrong guess at most doubles the cost, and a good start, which nothing tells in advance, is used.
int cg_budget(const Cost &cost, double trace, double exact, bool fits) {
    const double affordable = (exact - cost.gather()) / cost.cg_pass(fits) - 1;
    const double expected = expected_steps(trace, std::min(cost.n, cost.f));
    return affordable < 1 || expected > 1.6 * affordable || expected > kMostSteps ? 0 : (int)std::min(affordable, 1e9);
}

// Whether the identity in I + W'W, of this trace, drowns in the rounding of W'W in float32, which nothing afterwards
// would tell. Such rows are solved in float64.
template <class T>
bool drowns(T trace) {
    return sizeof(T) == sizeof(float) && trace * std::numeric_limits<T>::epsilon() > T(0.1);
}

// Whether an implicit row's targets add up to so much that the rounding of its scores alone costs a good part of a
// cell's loss: no solution in T is right then.
template <class T>
bool too_heavy(T constant) {
    constexpr T epsilon = std::numeric_limits<T>::epsilon();
    return constant * epsilon * epsilon > T(0.1);
}

// Of a row that was not solved, or whose solution is not finite.
int32_t status_of(Solve outcome) {
    switch (outcome) {
        case Solve::indefinite:
            return CYMBALS_INDEFINITE;
        case Solve::too_heavy:
            return CYMBALS_TOO_HEAVY;
        case Solve::no_memory:
            return CYMBALS_NO_MEMORY;
        default:
            return CYMBALS_BAD_VALUE;
    }
}

template <class T>
class HalfStep {
 public:
    const cymbals_csr &rows;
    cymbals_matrix &solved;
    const Objective<T> objective;
    const cymbals_solve_options &options;
    const KernelTable &table;
    const Kernels<T> &kernels;
    const int64_t f;
    Call &call;
    FixedSide<T> fixed;
    const Model<T> model;

    HalfStep(const cymbals_csr &r, const cymbals_matrix &y, cymbals_matrix &x, const cymbals_objective &o,
             const double *spectrum, const cymbals_solve_options &opt, Call &c)
        : rows(r),
          solved(x),
          objective(o),
          options(opt),
          table(c.table()),
          kernels(kernels_of<T>(table)),
          f(y.n_cols),
          call(c),
          fixed(y, spectrum, kernels),
          model(kernels, f) {}

    int32_t run(cymbals_solve_info *info);
    int32_t run_row(cymbals_solve_info *info);

 private:
    int32_t prepare();
    bool sort_rows(int64_t *longest);
    template <class I, class V>
    bool load(int64_t place, int64_t stride, Space<T> &space, Row<T> *row, T *trace) const;
    void solve(int64_t place, int64_t stride, Space<T> &space, cymbals_solve_info *info, int32_t *failure) const;
    void solve_chunk(int64_t begin, int64_t end, int64_t stride, Space<T> &space, cymbals_solve_info *info,
                     int32_t *failure) const;
    void account(Space<T> &space, int64_t n, Way way, bool solved, int64_t retried, const RowWork &work,
                 int32_t cg_steps) const;
    int64_t length(int64_t r) const { return rows.indptr[r + 1] - rows.indptr[r]; }
    CgWork cg_work(const Row<T> &row, const Work<T> &work) const {
        const bool compact = row.compact.rows;
        if (short_rows && row.n <= kLongRow) return short_rows[compact * (kLongRow + 1) + row.n];
        return model.cg(row.n, compact, row.compact.scale, work);
    }
    bool note_short_rows(const Layout<T> &layout);

    int64_t *order = nullptr;  // rows as they are solved: the long ones by falling length, then the others as they come
    int64_t n_long = 0;
    double relaxation = 1;  // not of what is mostly rounding
    // What short rows of each length count for, from the matrix itself and from its copy: looking it up is a good part
    // of what the record of a row takes. Only where there is a record.
    Buffer<CgWork> short_rows;
    Solve exact(const Row<T> &row, T trace, const Work<T> &work, Way way, T *x, cymbals_solve_info *info) const;
    Solve in_double(const Row<T> &row, double ridge, T *x) const;
};

// Whether CG reads a copy of the fixed side in 16 bits.
template <class T>
bool copies(const cymbals_matrix &fixed, const cymbals_solve_options &options) {
    const bool uses_cg = options.solver == CYMBALS_CG || options.solver == CYMBALS_SOLVER_AUTO;
    if (!uses_cg || sizeof(T) != sizeof(float) || options.compact == CYMBALS_COMPACT_NEVER) return false;
    if (options.compact == CYMBALS_COMPACT_ALWAYS) return true;
    return fixed.n_rows * fixed.n_cols * (int64_t)sizeof(float) >= kLargeBytes &&
           (options.solver != CYMBALS_CG || options.cg_steps <= kCompactSteps);
}

template <class T>
int32_t HalfStep<T>::prepare() {
    double least_reg = options.reg, most_reg = options.reg;
    if (options.row_reg) {  // of rows that will be solved
        least_reg = std::numeric_limits<double>::infinity(), most_reg = 0;
        for (int64_t r = 0; r < rows.n_rows; r++) {
            if (rows.indptr[r] == rows.indptr[r + 1]) continue;
            least_reg = std::min(least_reg, options.row_reg[r]);
            most_reg = std::max(most_reg, options.row_reg[r]);
        }
        if (!(least_reg <= most_reg)) least_reg = 0;
    }
    return fixed.prepare(least_reg, most_reg, copies<T>(fixed.matrix(), options), call);
}

// The longest first, so that threads end together, and rows of like length in turn, so that fetching the entries of the
// next takes as long as solving this one. Short rows stay in their order, in which memory is read.
template <class T>
bool HalfStep<T>::sort_rows(int64_t *longest) {
    order = call.workspace().order.take_array<int64_t>(rows.n_rows);
    if (!order) return false;
    for (int64_t r = 0; r < rows.n_rows; r++)
        if (length(r) > kLongRow) order[n_long++] = r;
    std::sort(order, order + n_long,
              [this](int64_t a, int64_t b) { return length(a) != length(b) ? length(a) > length(b) : a < b; });
    *longest = n_long > 0 ? length(order[0]) : kLongRow;
    for (int64_t r = 0, to = n_long; r < rows.n_rows; r++)
        if (length(r) <= kLongRow) order[to++] = r;
    return true;
}

// The row at a place in the order as a Row, entries with a < 0 moved behind the others, and sum a |w|^2; rows at
// multiples of `stride` places from it are next. False: a weight is not finite.
template <class T>
template <class I, class V>
bool HalfStep<T>::load(int64_t place, int64_t stride, Space<T> &space, Row<T> *row, T *trace) const {
    const int64_t r = order[place], begin = rows.indptr[r], n = length(r);
    const I *indices = static_cast<const I *>(rows.indices) + begin;
    const V *values = static_cast<const V *>(rows.values) + begin;
    // What is read once, in order, between so much else that processors lose sight of the order.
    for (int64_t i = kStreamAhead; i < kStreamAhead + n; i += 16) {
        __builtin_prefetch(indices + i);
        __builtin_prefetch(values + i);
    }
    T *weight = space.weight, *q = space.q;
    int64_t *where = space.where;
    objective.each(values, n, [weight, q](int64_t i, const Cell<T> &cell) {
        weight[i] = cell.a;
        q[i] = cell.b;
    });
    for (int64_t i = 0; i < n; i++) where[i] = indices[i];
    const Weighed<T> weighed = kernels.weigh(weight, q, n, fixed.of_one_row() ? nullptr : where, fixed.leverage(),
                                             objective.kind == CYMBALS_EXPLICIT);
    int64_t n_negative = 0;
    if (weighed.least < 0) {
        for (int64_t i = 0; i < n; i++) n_negative += weight[i] < 0;
        int64_t at[2] = {0, n - n_negative};
        for (int64_t i = 0; i < n; i++) {
            const int64_t to = at[weight[i] < 0]++;
            space.sorted_where[to] = where[i];
            space.sorted_weight[to] = std::abs(weight[i]);
            space.sorted_q[to] = q[i];
        }
        where = space.sorted_where, weight = space.sorted_weight, q = space.sorted_q;
        std::fill_n(weight + n, kGroup, T(0));
        std::fill_n(q + n, kGroup, T(0));
    }
    int64_t n_next = 0;
    const int64_t furthest = std::min(rows.n_rows, place + kRowsAhead * stride);  // rows may be empty
    for (int64_t next = place + stride; next < furthest && n_next < most_ahead(n); next += stride) {
        const int64_t from = rows.indptr[order[next]], count = std::min(length(order[next]), most_ahead(n) - n_next);
        for (int64_t i = 0; i < count; i++) where[n + n_next + i] = static_cast<const I *>(rows.indices)[from + i];
        n_next += count;
    }
    std::fill_n(where + n + n_next, kGroup, where[0]);
    const int32_t *compact = weighed.heaviest <= kHeaviestCompact ? fixed.compact() : nullptr;
    *row = {f,
            {fixed.data(), fixed.stride(), space.scale, weight},
            {compact, fixed.compact_stride(), options.row_reg ? space.rescale : nullptr},
            space.root,
            where,
            q,
            n,
            n - n_negative,
            n_next,
            weighed.constant};
    *trace = weighed.trace;
    return weighed.finite;
}

// Solves one row the way its length, trace and the options say; what one way cannot solve, the next more careful one
// gets.
template <class T>
void HalfStep<T>::solve(int64_t place, int64_t stride, Space<T> &space, cymbals_solve_info *info,
                        int32_t *failure) const {
    const int64_t r = order[place];
    T *x = row_of<T>(solved, r);
    if (length(r) == 0) {
        std::fill_n(x, f, T(0));
        info->rows_empty++;
        return;
    }
    if (options.row_reg) fixed.diagonal(options.row_reg[r], space.scale, space.root, space.rescale);
    Row<T> row;
    T trace;
    const bool small_index = rows.index_type == CYMBALS_INT32, small_value = rows.value_type == CYMBALS_FLOAT32;
    const bool finite = small_index ? (small_value ? load<int32_t, float>(place, stride, space, &row, &trace)
                                                   : load<int32_t, double>(place, stride, space, &row, &trace))
                                    : (small_value ? load<int64_t, float>(place, stride, space, &row, &trace)
                                                   : load<int64_t, double>(place, stride, space, &row, &trace));
    std::copy_n(x, f, space.start);
    Solve outcome = Solve::not_converged;
    if (finite && objective.kind != CYMBALS_EXPLICIT && too_heavy(row.constant)) {
        outcome = Solve::too_heavy;
    } else if (finite) {
        const Cost cost{(double)row.n, (double)f};
        const double dual = row.n <= f ? cost.dual() : std::numeric_limits<double>::infinity();
        const double exact_cost = std::min(dual, cost.primal());
        int32_t solver = options.solver;
        Stop stop = {options.cg_steps, options.cg_steps, 0, 0, 0};
        if (solver == CYMBALS_SOLVER_AUTO && drowns(trace)) {
            solver = CYMBALS_EXACT;
        } else if (solver == CYMBALS_SOLVER_AUTO) {
            const int budget = cg_budget(cost, trace, exact_cost, row.n + kGroup <= space.work.tile_rows);
            stop = {std::max(budget, options.cg_steps), options.cg_steps, options.cg_tolerance,
                    options.cg_tolerance / 8, std::min(12.5 * options.cg_tolerance, 1.0)};
            solver = budget > 0 ? CYMBALS_CG : CYMBALS_EXACT;
        }
        if (solver == CYMBALS_CG) {
            CgSteps steps = {0, 0};
            outcome = kernels.solve_cg(row, space.work, stop, x, &steps);
            info->cg_steps += steps.all;
            info->rows_cg += outcome == Solve::done;
            info->rows_retried += outcome != Solve::done;
            if (space.log)
                account(space, row.n, kCg, outcome == Solve::done, outcome != Solve::done,
                        cg_work(row, space.work).of(steps), steps.all);
            solver = CYMBALS_EXACT;
        }
        if (solver == CYMBALS_EXACT) solver = dual == exact_cost ? CYMBALS_DUAL : CYMBALS_PRIMAL;
        row.compact.rows = nullptr;
        if (outcome != Solve::done) {
            const int64_t retried = info->rows_retried;
            const Way way = solver == CYMBALS_DUAL && row.n_positive == row.n && row.n <= f ? kDual : kPrimal;
            outcome = exact(row, trace, space.work, way, x, info);
            if (space.log)
                account(space, row.n, way, outcome == Solve::done, info->rows_retried - retried,
                        way == kDual ? model.dual(row.n) : model.primal(row.n), 0);
        }
    }
    const T by = (T)relaxation;
    int32_t strange = 0;
    for (int64_t j = 0; j < f; j++) {  // counted as integers, so that compilers make vectors of it
        x[j] = by == 1 ? x[j] : space.start[j] + by * (x[j] - space.start[j]);
        strange += std::abs(x[j]) <= std::numeric_limits<T>::max() ? 0 : 1;
    }
    if (outcome == Solve::done && strange == 0) return;
    if (info->failed_row >= 0 && info->failed_row < r) return;
    info->failed_row = r;
    *failure = status_of(outcome);
}

// Notes a row, or an attempt at it, that ends here.
template <class T>
void HalfStep<T>::account(Space<T> &space, int64_t n, Way way, bool solved, int64_t retried, const RowWork &work,
                          int32_t cg_steps) const {
    const int64_t now = ticks();
    RowSums &sums = space.log->ticking[63 - __builtin_clzll((uint64_t)n)][way];
    if (space.gathered < space.last) space.gathered = now;  // it did not come to gathering
    sums.rows += solved, sums.retried += retried;
    sums.entries += solved ? n : 0;
    sums.cg_steps += cg_steps;
    sums.gather_time += space.gathered - space.last, sums.solve_time += now - space.gathered;
    sums.gather_flops += work.gather.flops, sums.gather_bytes += work.gather.bytes;
    sums.solve_flops += work.solve.flops, sums.solve_bytes += work.solve.bytes;
    space.done.flops += work.gather.flops + work.solve.flops;
    space.done.bytes += work.gather.bytes + work.solve.bytes;
    space.last = now;
}

template <class T>
void HalfStep<T>::solve_chunk(int64_t begin, int64_t end, int64_t stride, Space<T> &space, cymbals_solve_info *info,
                              int32_t *failure) const {
    if (call.cancelled()) return;
    Stretch stretch = call.stretch();
    if (space.log) space.last = ticks();
    space.done = {};
    int64_t entries = 0;
    for (int64_t place = begin; place < end; place++) {
        solve(place, stride, space, info, failure);
        entries += length(order[place]);
    }
    stretch.did(end - begin, entries, space.done.flops, space.done.bytes);
    call.advance(end - begin, rows.n_rows);
}

template <class T>
Solve HalfStep<T>::exact(const Row<T> &row, T trace, const Work<T> &work, Way way, T *x,
                         cymbals_solve_info *info) const {
    const bool dual = way == kDual;
    Solve outcome = Solve::indefinite;
    if (!drowns(trace)) outcome = dual ? kernels.solve_dual(row, work, x) : kernels.solve_primal(row, work, x);
    if (outcome == Solve::indefinite && sizeof(T) == sizeof(float)) {
        info->rows_retried++;
        outcome = in_double(row, 0, x);
    }
    // Without negative weights only rounding can have made it so: a ridge of that size makes up for it.
    if (outcome == Solve::indefinite && row.n_positive == row.n && std::isfinite(trace)) {
        info->rows_retried++;
        outcome = in_double(row, 64 * (double)trace * std::numeric_limits<double>::epsilon(), x);
    }
    (dual ? info->rows_dual : info->rows_primal) += outcome == Solve::done;
    return outcome;
}

// The primal in float64, for a row whose system does not hold what it should in T. `ridge` joins the identity in I +
// W'W: as that divided by 1 + ridge, W and q are divided by the root.
template <class T>
Solve HalfStep<T>::in_double(const Row<T> &row, double ridge, T *x) const {
    const Kernels<double> &precise = table.f64;
    Slot memory;
    Space<double> space;
    Buffer<double> rows_copy = buffer<double>(row.n * f), x_copy = buffer<double>(f);
    if (!rows_copy || !x_copy || !space.allocate(memory, Layout<double>(f, precise.pad, row.n)))
        return Solve::no_memory;
    for (int64_t i = 0; i < row.n; i++) {
        space.where[i] = i;
        space.weight[i] = row.full.weight[i] / std::sqrt(1 + ridge);
        space.q[i] = row.q[i] / std::sqrt(1 + ridge);
        std::copy_n(row.full.rows + row.where[i] * row.full.stride, f, rows_copy.get() + i * f);
    }
    std::fill_n(space.q + row.n, kGroup, 0.0);
    for (int64_t j = 0; j < space.work.padded; j++) {
        space.root[j] = j < f ? (double)row.root[j] : 0;
        space.scale[j] = j < f ? 1 / space.root[j] : 0;
    }
    const Row<double> wide = {f,           {rows_copy.get(), f, space.scale, space.weight},
                              {},          space.root,
                              space.where, space.q,
                              row.n,       row.n_positive,
                              0,           0};
    const Solve outcome = precise.solve_primal(wide, space.work, x_copy.get());
    if (outcome == Solve::done) std::copy_n(x_copy.get(), f, x);
    return outcome;
}

template <class T>
bool HalfStep<T>::note_short_rows(const Layout<T> &layout) {
    short_rows = buffer<CgWork>(2 * (kLongRow + 1));
    if (!short_rows) return false;
    Work<T> work = {};
    work.tile_rows = layout.tile_rows, work.ld = layout.ld;
    for (int64_t n = 0; n <= kLongRow; n++)
        for (bool compact : {false, true})
            short_rows[compact * (kLongRow + 1) + n] = model.cg(n, compact, options.row_reg, work);
    return true;
}

// Sums of all threads; the lowest failed row.
void add_up(const cymbals_solve_info &part, int32_t failure, cymbals_solve_info *info, int32_t *status) {
    info->rows_empty += part.rows_empty;
    info->rows_cg += part.rows_cg;
    info->rows_dual += part.rows_dual;
    info->rows_primal += part.rows_primal;
    info->cg_steps += part.cg_steps;
    info->rows_retried += part.rows_retried;
    if (part.failed_row >= 0 && (info->failed_row < 0 || part.failed_row < info->failed_row)) {
        info->failed_row = part.failed_row;
        if (*status != CYMBALS_NO_MEMORY) *status = failure;
    }
}

constexpr cymbals_solve_info kNothing = {0, 0, 0, 0, 0, 0, -1};

template <class T>
int32_t HalfStep<T>::run(cymbals_solve_info *info) {
    *info = kNothing;
    int64_t longest;
    const int32_t prepared = sort_rows(&longest) ? prepare() : CYMBALS_NO_MEMORY;
    if (prepared != CYMBALS_OK) return prepared;

    if (fixed.resolved()) relaxation = options.relaxation;
    const Layout<T> layout(f, kernels.pad, longest);
    const int64_t n_threads = call.threads(), n_chunks = (rows.n_rows - n_long + kChunk - 1) / kChunk;
    if (call.log() && !note_short_rows(layout)) return CYMBALS_NO_MEMORY;
    int32_t status = CYMBALS_OK;
    call.start(rows.n_rows);
#pragma omp parallel num_threads(n_threads)
    {
        Space<T> space;
        const bool ready = space.allocate(call.workspace().threads[omp_get_thread_num()], layout);
        cymbals_solve_info mine = kNothing;
        int32_t failure = CYMBALS_OK;
        space.record(call.log());
        if (ready) fixed.diagonal(options.reg, space.scale, space.root, space.rescale);
#pragma omp for schedule(static, 1) nowait
        for (int64_t place = 0; place < n_long; place++)
            if (ready) solve_chunk(place, place + 1, n_threads, space, &mine, &failure);
#pragma omp for schedule(dynamic, 1) nowait
        for (int64_t chunk = 0; chunk < n_chunks; chunk++) {
            const int64_t begin = n_long + chunk * kChunk;
            if (ready) solve_chunk(begin, std::min(begin + kChunk, rows.n_rows), 1, space, &mine, &failure);
        }
        space.settle();
#pragma omp critical
        {
            add_up(mine, failure, info, &status);
            if (!ready) status = CYMBALS_NO_MEMORY;
        }
    }
    return call.cancelled() && status != CYMBALS_NO_MEMORY ? (int32_t)CYMBALS_CANCELLED : status;
}

// The one row that `rows` holds.
template <class T>
int32_t HalfStep<T>::run_row(cymbals_solve_info *info) {
    *info = kNothing;
    const int64_t n = length(0);
    int64_t first = 0;
    Space<T> space;
    order = &first;
    int64_t *const where = call.workspace().order.take_array<int64_t>(n);
    if (!where || !space.allocate(call.workspace().threads[0], Layout<T>(f, kernels.pad, n))) return CYMBALS_NO_MEMORY;
    for (int64_t i = 0; i < n; i++) where[i] = index_at(rows, i);
    const int32_t prepared = fixed.prepare_row(options.reg, where, n, call);
    if (prepared != CYMBALS_OK) return prepared;
    if (fixed.resolved()) relaxation = options.relaxation;
    int32_t failure = CYMBALS_OK;
    fixed.diagonal(options.reg, space.scale, space.root, space.rescale);
    space.record(call.log());
    {
        Stretch stretch = call.stretch();
        space.last = space.begin_ticks;
        solve(0, 1, space, info, &failure);
        stretch.did(1, n, space.done.flops, space.done.bytes);
    }
    space.settle();
    return failure;
}

bool good_options(Call &call, const cymbals_solve_options *o) {
    return call.sized("options", o, sizeof(cymbals_solve_options)) &&
           call.between("options->solver", o->solver, CYMBALS_SOLVER_AUTO, CYMBALS_PRIMAL) &&
           call.between("options->cg_steps", o->cg_steps, 1) &&
           call.that(o->cg_tolerance >= 0 && std::isfinite(o->cg_tolerance),
                     "options->cg_tolerance is %g: it must be finite and not negative", o->cg_tolerance) &&
           call.between("options->compact", o->compact, CYMBALS_COMPACT_NEVER, CYMBALS_COMPACT_ALWAYS) &&
           call.that(o->relaxation > 0 && o->relaxation < 2, "options->relaxation is %g: it must lie between 0 and 2",
                     o->relaxation) &&
           call.that(o->row_reg || (o->reg >= 0 && std::isfinite(o->reg)),
                     "options->reg is %g: it must be finite and not negative", o->reg);
}

bool good_spectrum(Call &call, const double *spectrum, int64_t f) {
    if (!call.given("spectrum", spectrum)) return false;
    for (int64_t j = 0; j < f; j++)
        if (!call.that(spectrum[j] >= 0 && std::isfinite(spectrum[j]),
                       "spectrum[%lld] is %g: it must be finite and not negative", (long long)j, spectrum[j]))
            return false;
    return true;
}

// Of rows that will be solved.
bool good_row_reg(Call &call, const cymbals_csr &rows, const double *reg) {
    for (int64_t r = 0; reg && r < rows.n_rows; r++)
        if (!call.that(rows.indptr[r] == rows.indptr[r + 1] || (reg[r] >= 0 && std::isfinite(reg[r])),
                       "options->row_reg[%lld] is %g: it must be finite and not negative", (long long)r, reg[r]))
            return false;
    return true;
}

}  // namespace
}  // namespace cymbals

using namespace cymbals;

extern "C" int32_t cymbals_half_step(cymbals_workspace *workspace, const cymbals_csr *rows,
                                     const cymbals_objective *objective, const cymbals_matrix *fixed,
                                     const double *spectrum, cymbals_matrix *solved,
                                     const cymbals_solve_options *options, cymbals_solve_info *info) {
    Call call(workspace, CYMBALS_PHASE_SOLVE);
    if (!call.ready() || !call.csr("rows", rows, true) || !good_objective(call, objective) ||
        !call.matrix("fixed", fixed) || !good_spectrum(call, spectrum, fixed->n_cols) ||
        !call.matrix("solved", solved) || !good_options(call, options) || !call.given("info", info) ||
        !call.equal("solved->n_rows", solved->n_rows, "rows->n_rows", rows->n_rows) ||
        !call.equal("fixed->n_rows", fixed->n_rows, "rows->n_cols", rows->n_cols) ||
        !call.equal("solved->n_cols", solved->n_cols, "fixed->n_cols", fixed->n_cols) ||
        !call.equal("solved->type", solved->type, "fixed->type", fixed->type) ||
        !good_row_reg(call, *rows, options->row_reg))
        return CYMBALS_BAD_ARGUMENT;
    call.threads(10.0 * (double)rows->indptr[rows->n_rows] * (double)fixed->n_cols);
    const int32_t status = with_float(fixed->type, [&](auto zero) {
        return HalfStep<decltype(zero)>(*rows, *fixed, *solved, *objective, spectrum, *options, call).run(info);
    });
    return call.end(status, info->failed_row);
}

extern "C" int32_t cymbals_half_step_bytes(cymbals_workspace *workspace, const cymbals_csr *rows,
                                           const cymbals_matrix *fixed, const cymbals_solve_options *options,
                                           int64_t *bytes) {
    Call call(workspace, CYMBALS_PHASE_OTHER);
    if (!call.ready() || !call.csr("rows", rows, false) || !call.matrix("fixed", fixed) ||
        !good_options(call, options) || !call.given("bytes", bytes) ||
        !call.equal("fixed->n_rows", fixed->n_rows, "rows->n_cols", rows->n_cols))
        return CYMBALS_BAD_ARGUMENT;
    call.threads(10.0 * (double)rows->indptr[rows->n_rows] * (double)fixed->n_cols);
    int64_t longest = kLongRow;
    for (int64_t r = 0; r < rows->n_rows; r++) longest = std::max(longest, rows->indptr[r + 1] - rows->indptr[r]);
    return with_float(fixed->type, [&](auto zero) {
        using T = decltype(zero);
        const Kernels<T> &kernels = kernels_of<T>(call.table());
        *bytes = call.threads() * Layout<T>(fixed->n_cols, kernels.pad, longest).bytes() +
                 rows->n_rows * (int64_t)sizeof(int64_t) + fixed->n_rows * (int64_t)sizeof(T) +
                 (copies<T>(*fixed, *options) ? FixedSide<T>::compact_bytes(*fixed) : 0);
        return (int32_t)CYMBALS_OK;
    });
}

extern "C" int32_t cymbals_solve_row(cymbals_workspace *workspace, int64_t n, const void *indices, int32_t index_type,
                                     const void *values, int32_t value_type, const cymbals_objective *objective,
                                     const cymbals_matrix *fixed, const double *spectrum, void *solved,
                                     const cymbals_solve_options *options, cymbals_solve_info *info) {
    Call call(workspace, CYMBALS_PHASE_SOLVE);
    if (!call.ready() || !call.between("n", n, 0) ||
        !call.that(n == 0 || (indices && values), "indices or values is null") ||
        !call.between("index_type", index_type, CYMBALS_INT32, CYMBALS_INT64) ||
        !call.between("value_type", value_type, CYMBALS_FLOAT32, CYMBALS_FLOAT64) || !good_objective(call, objective) ||
        !call.matrix("fixed", fixed) || !good_spectrum(call, spectrum, fixed->n_cols) ||
        !call.given("solved", solved) || !good_options(call, options) || !call.given("info", info) ||
        !call.that(!options->row_reg, "options->row_reg is not null: a single row is regularized by options->reg"))
        return CYMBALS_BAD_ARGUMENT;
    const int64_t indptr[2] = {0, n};
    const cymbals_csr row = {sizeof row, 1, fixed->n_rows, indptr, indices, index_type, values, value_type};
    cymbals_matrix x = {sizeof x, solved, 1, fixed->n_cols, fixed->n_cols, fixed->type};
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = index_at(row, i);
        if (!call.that(at >= 0 && at < fixed->n_rows, "indices[%lld] is %lld: it must be a row of fixed, below %lld",
                       (long long)i, (long long)at, (long long)fixed->n_rows))
            return CYMBALS_BAD_ARGUMENT;
    }
    call.threads(0);
    const int32_t status = with_float(fixed->type, [&](auto zero) {
        return HalfStep<decltype(zero)>(row, *fixed, x, *objective, spectrum, *options, call).run_row(info);
    });
    return call.end(status);
}
