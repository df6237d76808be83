// One half-step: every row of a CSR matrix solved against the fixed side, in the basis where the fixed side's Gramian
// is diagonal. Here: the parallel loop, a row's weights, the choice of solver and what to do when one fails. Rows do
// not depend on each other, so the result does not depend on the number of threads.

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "common.h"
#include "objective.h"

namespace cymbals {
namespace {

constexpr int64_t kTileBytes = 4 * 1024 * 1024;  // longer rows are gathered again on every pass
constexpr int64_t kMostAhead = 256;              // of the next row's entries fetched while a row is solved
constexpr int kMostSteps = 24;                   // a row that needs more CG steps is solved exactly

// A thread's memory, in one piece.
template <class T>
struct Workspace {
    Buffer<char> memory;
    Work<T> work;
    T *scale, *root, *weight, *q, *sorted_weight, *sorted_q;
    int64_t *where, *sorted_where, *next;

    bool allocate(int64_t f, int64_t pad, int64_t longest) {
        const int64_t padded = round_up(f, pad), line = 64 / (int64_t)sizeof(T);
        work.padded = padded;
        work.ld = padded + (padded * sizeof(T) % 512 == 0 ? line : 0);  // keeps columns out of one cache set
        work.side = round_up(padded, line);
        work.tile_rows = std::max<int64_t>(kTileBytes / (work.ld * sizeof(T)), padded) / kBlock * kBlock + 2 * kBlock;
        const int64_t vector = work.side, entries = round_up(longest + kBlock, line);
        const int64_t numbers = round_up(work.tile_rows * work.ld, line) + vector * vector + 8 * vector + 4 * entries;
        memory = buffer<char>(numbers * (int64_t)sizeof(T) + (2 * entries + kMostAhead) * (int64_t)sizeof(int64_t));
        if (!memory) return false;
        T *unused = reinterpret_cast<T *>(memory.get());
        auto take = [&unused](int64_t n) { return std::exchange(unused, unused + n); };
        work.tile = take(round_up(work.tile_rows * work.ld, line));
        work.matrix = take(vector * vector);
        for (T **v : {&work.z, &work.r, &work.p, &work.ap, &scale, &root}) *v = take(vector);
        work.t = take(2 * vector);
        for (T **v : {&weight, &q, &sorted_weight, &sorted_q}) *v = take(entries);
        where = reinterpret_cast<int64_t *>(unused);
        sorted_where = where + entries;
        next = sorted_where + entries;
        return true;
    }
};

// Costs of solving a row of n entries, in multiply-adds at the speed of a register-tiled product; the factors
// say how much slower each kind of work runs (measured on AVX2, f 32 to 256).
struct Cost {
    double n, f;
    double gather() const { return 6 * n * f; }
    double cg(double steps, bool fits) const {
        return (steps + 1) * (2 * n * f + 30 * f + (fits ? 0 : gather())) + gather();
    }
    double dual() const { return gather() + n * n * f + n * n * n / 3 + 12 * n * n + 2 * n * f; }
    double primal() const { return gather() + n * f * f / 2 + f * f * f / 3 + 12 * f * f + 2 * n * f; }
};

// CG steps for an identity plus a matrix of this trace and rank: a curve through what Last.fm counts took with alpha 1
// and 40, linear and log, f 32 to 128. A row that needs more than kMostSteps is solved exactly, so a wrong guess costs
// time only.
double expected_steps(double trace, double rank) {
    const double log = std::log1p(trace);
    return std::min(1.5 + 0.45 * log * log, rank + 1);
}

template <class T>
class HalfStep {
 public:
    const cymbals_csr &rows;
    const cymbals_matrix &fixed;
    cymbals_matrix &solved;
    const Objective<T> objective;
    const double *spectrum;
    const cymbals_solve_options &options;
    const KernelTable &table;
    const Kernels<T> &kernels;
    const int64_t f;
    double floor = 0;    // of D
    Buffer<T> leverage;  // |D^(-1/2) y|^2 of the fixed side's rows, with the least regularization

    HalfStep(const cymbals_csr &r, const cymbals_matrix &y, cymbals_matrix &x, const cymbals_objective &o,
             const double *d, const cymbals_solve_options &opt, const KernelTable &k)
        : rows(r),
          fixed(y),
          solved(x),
          objective(o),
          spectrum(d),
          options(opt),
          table(k),
          kernels(kernels_of<T>(k)),
          f(y.n_cols) {}

    int32_t run(cymbals_solve_info *info, int32_t n_threads);

 private:
    int32_t prepare(int32_t n_threads);
    void diagonal(double reg, T *scale, T *root) const;
    template <class I, class V>
    bool load(int64_t begin, int64_t end, Workspace<T> &space, Row<T> *row, T *trace) const;
    void solve(int64_t r, Workspace<T> &space, cymbals_solve_info *info, int32_t *failure) const;
    Solve exact(const Row<T> &row, const Work<T> &work, int32_t solver, T *x, cymbals_solve_info *info) const;
    Solve in_double(const Row<T> &row, T *x) const;
};

// D^(-1/2) and D^(1/2), D = spectrum + reg, floored: a zero of D says that nothing is known in that direction.
template <class T>
void HalfStep<T>::diagonal(double reg, T *scale, T *root) const {
    const int64_t padded = round_up(f, kernels.pad);
    for (int64_t j = 0; j < padded; j++) {
        const T d = j < f ? (T)std::max(spectrum[j] + reg, floor) : 0;
        root[j] = std::sqrt(d);
        scale[j] = d > 0 ? 1 / root[j] : 0;
    }
}

template <class T>
int32_t HalfStep<T>::prepare(int32_t n_threads) {
    double least_reg = options.reg, most_reg = options.reg;
    if (options.row_reg && rows.n_rows > 0) {
        const auto bounds = std::minmax_element(options.row_reg, options.row_reg + rows.n_rows);
        least_reg = *bounds.first, most_reg = *bounds.second;
    }
    leverage = buffer<T>(fixed.n_rows);
    Buffer<T> scale = buffer<T>(round_up(f, kernels.pad)), root = buffer<T>(round_up(f, kernels.pad));
    if (!leverage || !scale || !root) return CYMBALS_NO_MEMORY;
    const auto norms = [&](const T *by) {
#pragma omp parallel for schedule(static) num_threads(n_threads)
        for (int64_t block = 0; block < (fixed.n_rows + 1023) / 1024; block++) {
            const int64_t begin = block * 1024, n = std::min<int64_t>(1024, fixed.n_rows - begin);
            kernels.row_norms(leverage.get() + begin, row_of<T>(fixed, begin), fixed.stride, n, f, by);
        }
    };
    // Columns that should be 0 hold rounding of about epsilon times the largest; D must stay above its square, or
    // whitening would make weights of it. More would regularize directions that the data do determine.
    constexpr double epsilon = std::numeric_limits<T>::epsilon();
    const double largest = *std::max_element(spectrum, spectrum + f) + most_reg;
    floor = 16 * largest * f * epsilon * epsilon;
    if (!(largest > 0)) {  // neither Gramian nor regularization: a ridge relative to the rows themselves
        norms(nullptr);
        const double row = fixed.n_rows > 0 ? *std::max_element(leverage.get(), leverage.get() + fixed.n_rows) : 0;
        floor = row > 0 ? row * f * epsilon : 1;
    }
    diagonal(least_reg, scale.get(), root.get());
    norms(scale.get());
    return CYMBALS_OK;
}

// Entries begin to end as a Row, those with a < 0 moved behind the others, and sum a |w|^2. False: a weight is not
// finite.
template <class T>
template <class I, class V>
bool HalfStep<T>::load(int64_t begin, int64_t end, Workspace<T> &space, Row<T> *row, T *trace) const {
    // In the dual a weight of 0 must not divide; such an entry weighs less than rounding.
    constexpr T least = std::numeric_limits<T>::epsilon() * std::numeric_limits<T>::epsilon();
    const I *indices = static_cast<const I *>(rows.indices) + begin;
    const V *values = static_cast<const V *>(rows.values) + begin;
    const int64_t n = end - begin;
    T *const weight = space.weight, *q = space.q;
    for (int64_t i = 0; i < n; i++) {
        const Cell<T> cell = objective((T)values[i]);
        weight[i] = cell.a;
        q[i] = cell.b;
    }
    int32_t negative = 0, strange = 0;
    for (int64_t i = 0; i < n; i++) {  // on its own, so that compilers make vectors of it
        constexpr T infinity = std::numeric_limits<T>::infinity();
        const T a = weight[i], size = std::max(std::abs(a), least), root = std::sqrt(size), target = q[i] / root;
        weight[i] = a < 0 ? -root : root;
        q[i] = target;
        negative += a < 0;
        strange |= !(size < infinity) | !(std::abs(target) < infinity);
    }
    T total = 0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t where = indices[i];
        space.where[i] = where;
        total += weight[i] * weight[i] * leverage[where];
    }
    *row = {row_of<T>(fixed, 0), fixed.stride, f, space.scale, space.root, space.where, space.weight, q, n,
            n - negative,        space.next,   0};
    if (negative > 0) {
        q = space.sorted_q;
        int64_t at[2] = {0, n - negative};
        for (int64_t i = 0; i < n; i++) {
            const int64_t to = at[space.weight[i] < 0]++;
            space.sorted_where[to] = space.where[i];
            space.sorted_weight[to] = std::abs(space.weight[i]);
            q[to] = space.q[i];
        }
        row->where = space.sorted_where, row->weight = space.sorted_weight, row->q = q;
    }
    std::fill_n(q + n, kBlock, T(0));
    *trace = total;
    return !strange;
}

// Solves one row the way its length, trace and the options say; what one way cannot solve, the next more careful one
// gets.
template <class T>
void HalfStep<T>::solve(int64_t r, Workspace<T> &space, cymbals_solve_info *info, int32_t *failure) const {
    const int64_t begin = rows.indptr[r], end = rows.indptr[r + 1];
    T *x = row_of<T>(solved, r);
    if (begin == end) {
        std::fill_n(x, f, T(0));
        info->rows_empty++;
        return;
    }
    if (options.row_reg) diagonal(options.row_reg[r], space.scale, space.root);
    Row<T> row;
    T trace;
    const bool small_index = rows.index_type == CYMBALS_INT32, small_value = rows.value_type == CYMBALS_FLOAT32;
    const bool finite = small_index ? (small_value ? load<int32_t, float>(begin, end, space, &row, &trace)
                                                   : load<int32_t, double>(begin, end, space, &row, &trace))
                                    : (small_value ? load<int64_t, float>(begin, end, space, &row, &trace)
                                                   : load<int64_t, double>(begin, end, space, &row, &trace));
    if (r + 1 < rows.n_rows) {
        row.n_next = std::min(rows.indptr[r + 2] - end, kMostAhead);
        for (int64_t i = 0; i < row.n_next; i++) space.next[i] = index_at(rows, end + i);
    }
    Solve outcome = Solve::not_converged;
    if (finite) {
        int32_t solver = options.solver;
        const Cost cost{(double)row.n, (double)f};
        if (solver == CYMBALS_SOLVER_AUTO) {
            const double steps = expected_steps(trace, (double)std::min(row.n, f));
            const bool fits = row.n + 2 * kBlock <= space.work.tile_rows;
            const double exact_cost = row.n <= f ? std::min(cost.dual(), cost.primal()) : cost.primal();
            solver = steps <= kMostSteps && cost.cg(steps, fits) < exact_cost ? CYMBALS_SOLVER_AUTO : CYMBALS_EXACT;
        }
        if (solver == CYMBALS_EXACT) solver = cost.dual() < cost.primal() ? CYMBALS_DUAL : CYMBALS_PRIMAL;
        if (solver == CYMBALS_CG || solver == CYMBALS_SOLVER_AUTO) {
            const bool fixed_steps = solver == CYMBALS_CG;
            int steps = 0;
            outcome = kernels.solve_cg(row, space.work,
                                       fixed_steps ? options.cg_steps : std::max(options.cg_steps, kMostSteps),
                                       fixed_steps ? T(0) : (T)options.cg_tolerance, x, &steps);
            info->cg_steps += steps;
            info->rows_cg += outcome == Solve::done;
            solver = cost.dual() < cost.primal() ? CYMBALS_DUAL : CYMBALS_PRIMAL;
            info->rows_retried += outcome != Solve::done;
        }
        if (outcome != Solve::done) outcome = exact(row, space.work, solver, x, info);
    }
    T check = 0;
    for (int64_t j = 0; j < f; j++) check += x[j] * 0;
    if (outcome == Solve::done && check == 0) return;
    *failure = outcome == Solve::indefinite ? CYMBALS_INDEFINITE : CYMBALS_BAD_VALUE;
    if (info->failed_row < 0 || r < info->failed_row) info->failed_row = r;
}

template <class T>
Solve HalfStep<T>::exact(const Row<T> &row, const Work<T> &work, int32_t solver, T *x, cymbals_solve_info *info) const {
    const bool dual = solver == CYMBALS_DUAL && row.n_positive == row.n && row.n <= f;
    Solve outcome = dual ? kernels.solve_dual(row, work, x) : kernels.solve_primal(row, work, x);
    if (outcome == Solve::indefinite && sizeof(T) == sizeof(float)) {
        info->rows_retried++;
        outcome = in_double(row, x);
    }
    (dual ? info->rows_dual : info->rows_primal) += outcome == Solve::done;
    return outcome;
}

// The primal once more in float64, for a row whose float32 system lost its definiteness to rounding.
template <class T>
Solve HalfStep<T>::in_double(const Row<T> &row, T *x) const {
    const Kernels<double> &precise = table.f64;
    Workspace<double> space;
    Buffer<double> rows_copy = buffer<double>(row.n * f), x_copy = buffer<double>(f);
    if (!rows_copy || !x_copy || !space.allocate(f, precise.pad, row.n)) return Solve::indefinite;
    for (int64_t i = 0; i < row.n; i++) {
        space.where[i] = i;
        space.weight[i] = row.weight[i];
        space.q[i] = row.q[i];
        std::copy_n(row.fixed + row.where[i] * row.stride, f, rows_copy.get() + i * f);
    }
    std::fill_n(space.q + row.n, kBlock, 0.0);
    for (int64_t j = 0; j < space.work.padded; j++) {
        space.root[j] = j < f ? (double)row.root[j] : 0;
        space.scale[j] = j < f ? 1 / space.root[j] : 0;
    }
    const Row<double> wide = {rows_copy.get(), f,       f,     space.scale,    space.root, space.where,
                              space.weight,    space.q, row.n, row.n_positive, nullptr,    0};
    const Solve outcome = precise.solve_primal(wide, space.work, x_copy.get());
    if (outcome == Solve::done) std::copy_n(x_copy.get(), f, x);
    return outcome;
}

template <class T>
int32_t HalfStep<T>::run(cymbals_solve_info *info, int32_t n_threads) {
    int64_t longest = 0;
    for (int64_t r = 0; r < rows.n_rows; r++) longest = std::max(longest, rows.indptr[r + 1] - rows.indptr[r]);
    const int32_t prepared = prepare(n_threads);
    if (prepared != CYMBALS_OK) return prepared;

    *info = {0, 0, 0, 0, 0, 0, -1};
    int32_t status = CYMBALS_OK;
#pragma omp parallel num_threads(n_threads)
    {
        Workspace<T> space;
        const bool ready = space.allocate(f, kernels.pad, longest);
        cymbals_solve_info mine = {0, 0, 0, 0, 0, 0, -1};
        int32_t failure = ready ? CYMBALS_OK : CYMBALS_NO_MEMORY;
        if (ready) diagonal(options.reg, space.scale, space.root);
#pragma omp for schedule(dynamic, 16)
        for (int64_t r = 0; r < rows.n_rows; r++)
            if (ready) solve(r, space, &mine, &failure);
#pragma omp critical
        {
            info->rows_empty += mine.rows_empty;
            info->rows_cg += mine.rows_cg;
            info->rows_dual += mine.rows_dual;
            info->rows_primal += mine.rows_primal;
            info->cg_steps += mine.cg_steps;
            info->rows_retried += mine.rows_retried;
            if (mine.failed_row >= 0 && (info->failed_row < 0 || mine.failed_row < info->failed_row))
                info->failed_row = mine.failed_row;
            status = std::max(status, failure);
        }
    }
    return status;
}

}  // namespace
}  // namespace cymbals

extern "C" int32_t cymbals_half_step(const cymbals_csr *rows, const cymbals_objective *objective,
                                     const cymbals_matrix *fixed, const double *spectrum, cymbals_matrix *solved,
                                     const cymbals_solve_options *options, cymbals_solve_info *info, int32_t n_threads,
                                     int32_t simd) {
    using namespace cymbals;
    if (!good(rows, true) || !good(objective) || !good(fixed) || !good(solved) || !spectrum || !info || !options ||
        options->struct_size < sizeof(cymbals_solve_options) || n_threads < 1 || solved->n_rows != rows->n_rows ||
        fixed->n_rows != rows->n_cols || solved->n_cols != fixed->n_cols || solved->type != fixed->type ||
        options->solver < CYMBALS_SOLVER_AUTO || options->solver > CYMBALS_PRIMAL || options->cg_steps < 1)
        return CYMBALS_BAD_ARGUMENT;
    int32_t status;
    const KernelTable *table = kernel_table(simd, &status);
    if (!table) return status;
    return with_float(fixed->type, [&](auto zero) {
        return HalfStep<decltype(zero)>(*rows, *fixed, *solved, *objective, spectrum, *options, *table)
            .run(info, n_threads);
    });
}
