// One half-step: solves every row of a CSR matrix against the fixed side, in the basis where the fixed side's Gramian
// is diagonal. This file has the parallel loop over the rows. Rows do not depend on each other, so the result does not
// depend on the number of threads.
#pragma once

#include "row_solver.h"

namespace cymbals {

constexpr int64_t kChunk = 32;  // short rows that a thread takes at a time

template <class T>
class HalfStep {
 public:
    HalfStep(const cymbals_csr &rows, const cymbals_matrix &y, const cymbals_matrix &x,
             const cymbals_objective &objective, const double *spectrum, const cymbals_solve_options &options,
             ApiCall &c)
        : problem(rows, y, x, objective, spectrum, options, c.table()), call(c) {}

    int32_t run(cymbals_solve_info *info);
    // Solves the row of a matrix that has only one, on the calling thread.
    int32_t run_row(cymbals_solve_info *info);

    // The memory in bytes that `run` keeps in the workspace with the number of threads of `call`.
    static int64_t bytes(const cymbals_csr &rows, const cymbals_matrix &fixed, const cymbals_solve_options &options,
                         ApiCall &call);

 private:
    bool sort_rows(int64_t *longest);
    int32_t prepare_fixed();
    void solve_chunk(RowSolver<T> &solver, int64_t begin, int64_t end, int64_t stride);

    Problem<T> problem;
    ApiCall &call;
    int64_t n_long = 0;  // the first n_long rows of problem.order have more than kLongRow entries
};

// Sets the order in which rows are solved. Long rows come first, the longest first. So all threads end at about the
// same time. Rows that follow each other then also have similar lengths, so fetching the entries of the next row takes
// about as long as solving this one. Short rows keep the order of the matrix, so that memory is read in order.
template <class T>
bool HalfStep<T>::sort_rows(int64_t *longest) {
    const int64_t n_rows = problem.rows.n_rows;
    const auto length = [this](int64_t r) { return problem.length(r); };
    int64_t *const order = call.workspace().order.take_array<int64_t>(n_rows);
    if (!order) return false;
    for (int64_t r = 0; r < n_rows; r++)
        if (length(r) > kLongRow) order[n_long++] = r;
    std::sort(order, order + n_long,
              [&](int64_t a, int64_t b) { return length(a) != length(b) ? length(a) > length(b) : a < b; });
    *longest = n_long > 0 ? length(order[0]) : kLongRow;
    for (int64_t r = 0, to = n_long; r < n_rows; r++)
        if (length(r) <= kLongRow) order[to++] = r;
    problem.order = order;
    return true;
}

// Whitens the fixed side with the least regularization of all rows that are not empty.
template <class T>
int32_t HalfStep<T>::prepare_fixed() {
    const cymbals_solve_options &options = problem.options;
    const bool compact = uses_compact<T>(problem.fixed.matrix(), options);
    if (const cymbals_part *part = part_of(options))
        return part->prepared && !copy_of(options)
                   ? problem.fixed.reuse(part->least_reg, compact, call)
                   : problem.fixed.prepare(part->least_reg, part->most_reg, compact, call);
    double least_reg = options.reg, most_reg = options.reg;
    if (options.row_reg) {
        least_reg = std::numeric_limits<double>::infinity(), most_reg = 0;
        for (int64_t r = 0; r < problem.rows.n_rows; r++) {
            if (problem.length(r) == 0) continue;
            least_reg = std::min(least_reg, options.row_reg[r]);
            most_reg = std::max(most_reg, options.row_reg[r]);
        }
        if (!(least_reg <= most_reg)) least_reg = 0;  // all rows are empty
    }
    return problem.fixed.prepare(least_reg, most_reg, compact, call);
}

// Solves rows order[begin] to order[end - 1]. `stride` is the distance in the order between two rows that this thread
// solves one after the other. It is needed for prefetching: in chunks of one row, it is the number of threads.
template <class T>
void HalfStep<T>::solve_chunk(RowSolver<T> &solver, int64_t begin, int64_t end, int64_t stride) {
    if (call.cancelled()) return;
    Span span = call.span();
    solver.recorder.start_chunk();
    int64_t entries = 0;
    for (int64_t place = begin; place < end; place++) {
        solver.solve(place, stride);
        entries += problem.length(problem.order[place]);
    }
    span.add(end - begin, entries, solver.recorder.chunk().flops, solver.recorder.chunk().bytes);
    call.advance(end - begin, problem.rows.n_rows);
}

// Adds the counts of one thread to the counts of all threads; keeps the lowest row that failed, and its status.
inline void merge_info(const cymbals_solve_info &part, int32_t failure, cymbals_solve_info *info, int32_t *status) {
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

template <class T>
int32_t HalfStep<T>::run(cymbals_solve_info *info) {
    int64_t longest;
    const int32_t prepared = sort_rows(&longest) ? prepare_fixed() : CYMBALS_NO_MEMORY;
    if (prepared == CYMBALS_BAD_ARGUMENT) return prepared;
    *info = kEmptyInfo;
    if (prepared != CYMBALS_OK) return prepared;

    if (problem.fixed.resolved()) problem.relaxation = problem.options.relaxation;
    const RowLayout<T> layout(problem.f, problem.kernels.pad, longest);
    const int64_t n_rows = problem.rows.n_rows, n_threads = call.threads();
    const int64_t n_chunks = (n_rows - n_long + kChunk - 1) / kChunk;
    if (call.log() && !problem.tabulate_short_rows(layout)) return CYMBALS_NO_MEMORY;
    int32_t status = CYMBALS_OK;
    call.start(n_rows);
#pragma omp parallel num_threads(n_threads)
    {
        RowSolver<T> solver(problem);
        const bool ready = solver.allocate(call.workspace().threads[omp_get_thread_num()], layout);
        if (ready) solver.start(call.log());
#pragma omp for schedule(static, 1) nowait
        for (int64_t place = 0; place < n_long; place++)
            if (ready) solve_chunk(solver, place, place + 1, n_threads);
#pragma omp for schedule(dynamic, 1) nowait
        for (int64_t chunk = 0; chunk < n_chunks; chunk++) {
            const int64_t begin = n_long + chunk * kChunk;
            if (ready) solve_chunk(solver, begin, std::min(begin + kChunk, n_rows), 1);
        }
        solver.recorder.finish();
#pragma omp critical
        {
            merge_info(solver.info, solver.failure, info, &status);
            if (!ready) status = CYMBALS_NO_MEMORY;
        }
    }
    return call.cancelled() && status != CYMBALS_NO_MEMORY ? (int32_t)CYMBALS_CANCELLED : status;
}

template <class T>
int32_t HalfStep<T>::run_row(cymbals_solve_info *info) {
    *info = kEmptyInfo;
    const int64_t n = problem.length(0), first = 0;
    problem.order = &first;
    RowSolver<T> solver(problem);
    int64_t *const indices = call.workspace().order.take_array<int64_t>(n);
    if (!indices || !solver.allocate(call.workspace().threads[0], RowLayout<T>(problem.f, problem.kernels.pad, n)))
        return CYMBALS_NO_MEMORY;
    for (int64_t i = 0; i < n; i++) indices[i] = index_at(problem.rows, i);
    const int32_t prepared = problem.fixed.prepare_row(problem.options.reg, indices, n, call);
    if (prepared != CYMBALS_OK) return prepared;
    if (problem.fixed.resolved()) problem.relaxation = problem.options.relaxation;
    solver.start(call.log());
    {
        Span span = call.span();
        solver.solve(0, 1);
        span.add(1, n, solver.recorder.chunk().flops, solver.recorder.chunk().bytes);
    }
    solver.recorder.finish();
    *info = solver.info;
    return solver.failure;
}

template <class T>
int64_t HalfStep<T>::bytes(const cymbals_csr &rows, const cymbals_matrix &fixed, const cymbals_solve_options &options,
                           ApiCall &call) {
    int64_t longest = kLongRow;
    for (int64_t r = 0; r < rows.n_rows; r++) longest = std::max(longest, rows.indptr[r + 1] - rows.indptr[r]);
    return call.threads() * RowLayout<T>(fixed.n_cols, kernels_of<T>(call.table()).pad, longest).bytes() +
           rows.n_rows * (int64_t)sizeof(int64_t) + fixed.n_rows * (int64_t)sizeof(T) +
           (uses_compact<T>(fixed, options) ? FixedSide<T>::compact_bytes(fixed) : 0);
}

}  // namespace cymbals
