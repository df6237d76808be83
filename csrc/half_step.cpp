// The functions of cymbals.h that solve rows: they check their arguments, and half_step.h does the work.

#include "half_step.h"

#include <cstddef>

namespace cymbals {
namespace {

bool good_options(ApiCall &call, const cymbals_solve_options *o) {
    return call.has_size("options", o, offsetof(cymbals_solve_options, prior)) &&  // callers may be older than prior
           call.between("options->solver", o->solver, CYMBALS_SOLVER_AUTO, CYMBALS_PRIMAL) &&
           call.between("options->cg_steps", o->cg_steps, 1) &&
           call.require(o->cg_tolerance >= 0 && std::isfinite(o->cg_tolerance),
                        "options->cg_tolerance is %g: it must be finite and not negative", o->cg_tolerance) &&
           call.between("options->compact", o->compact, CYMBALS_COMPACT_NEVER, CYMBALS_COMPACT_ALWAYS) &&
           call.require(o->relaxation > 0 && o->relaxation < 2,
                        "options->relaxation is %g: it must lie between 0 and 2", o->relaxation) &&
           call.require(o->row_reg || (o->reg >= 0 && std::isfinite(o->reg)),
                        "options->reg is %g: it must be finite and not negative", o->reg);
}

bool good_spectrum(ApiCall &call, const double *spectrum, int64_t f) {
    if (!call.not_null("spectrum", spectrum)) return false;
    for (int64_t j = 0; j < f; j++)
        if (!call.require(spectrum[j] >= 0 && std::isfinite(spectrum[j]),
                          "spectrum[%lld] is %g: it must be finite and not negative", (long long)j, spectrum[j]))
            return false;
    return true;
}

// A copy can be made of some rows only if they need not know the lengths of all rows.
bool has_gramian(ApiCall &call, const double *spectrum, int64_t f, double most_reg) {
    return call.require(*std::max_element(spectrum, spectrum + f) + most_reg > most_reg,
                        "spectrum is 0, or too small beside the regularization: there can be no copy of some rows");
}

// Checks the regularization of each row. That of an empty row is not used, and may be anything.
bool good_row_reg(ApiCall &call, const cymbals_csr &rows, const double *reg) {
    for (int64_t r = 0; reg && r < rows.n_rows; r++)
        if (!call.require(rows.indptr[r] == rows.indptr[r + 1] || (reg[r] >= 0 && std::isfinite(reg[r])),
                          "options->row_reg[%lld] is %g: it must be finite and not negative", (long long)r, reg[r]))
            return false;
    return true;
}

bool good_part(ApiCall &call, const cymbals_part *part) {
    return !part ||
           (call.has_size("options->part", part, offsetof(cymbals_part, copy)) &&  // callers may be older than copy
            call.require(part->least_reg >= 0 && part->least_reg <= part->most_reg && std::isfinite(part->most_reg),
                         "options->part: least_reg is %g and most_reg %g: they must be finite, not negative, "
                         "and in order",
                         part->least_reg, part->most_reg) &&
            call.between("options->part->prepared", part->prepared, 0, 1));
}

// Checks a 16-bit copy that the caller has made. Without one, the fixed side has all rows itself.
bool good_copy(ApiCall &call, const cymbals_solve_options &options, const cymbals_matrix &fixed, int64_t n_cols,
               const double *spectrum) {
    const cymbals_copy *copy = copy_of(options);
    if (!copy) return call.equal("fixed->n_rows", fixed.n_rows, "rows->n_cols", n_cols);
    const cymbals_part &part = *options.part;
    if (!call.has_size("options->part->copy", copy, sizeof(cymbals_copy)) ||
        !call.not_null("options->part->copy->pairs", copy->pairs) ||
        !call.not_null("options->part->copy->leverage", copy->leverage) ||
        !call.require(copy->rows || fixed.n_rows == 0, "options->part->copy->rows is null") ||
        !call.equal("options->part->copy->n_rows", copy->n_rows, "rows->n_cols", n_cols) ||
        !call.require(fixed.type == CYMBALS_FLOAT32 && !options.prior &&
                          (options.solver == CYMBALS_SOLVER_AUTO || options.solver == CYMBALS_CG),
                      "options->part->copy needs a float32 side, solver AUTO or CG, and no prior") ||
        !has_gramian(call, spectrum, fixed.n_cols, part.most_reg))
        return false;
    for (int64_t i = 0; i < fixed.n_rows; i++)
        if (!call.require(copy->rows[i] >= 0 && copy->rows[i] < n_cols && (i == 0 || copy->rows[i - 1] < copy->rows[i]),
                          "options->part->copy->rows[%lld] is %lld: they must ascend, and lie below n_rows",
                          (long long)i, (long long)copy->rows[i]))
            return false;
    return true;
}

bool good_prior(ApiCall &call, const cymbals_matrix *prior, int64_t n_rows, const cymbals_matrix &fixed) {
    return !prior || (call.matrix("options->prior", prior) &&
                      call.equal("options->prior->n_rows", prior->n_rows, "rows->n_rows", n_rows) &&
                      call.equal("options->prior->n_cols", prior->n_cols, "fixed->n_cols", fixed.n_cols) &&
                      call.equal("options->prior->type", prior->type, "fixed->type", fixed.type));
}

}  // namespace
}  // namespace cymbals

using namespace cymbals;

extern "C" int32_t cymbals_half_step(cymbals_workspace *workspace, const cymbals_csr *rows,
                                     const cymbals_objective *objective, const cymbals_matrix *fixed,
                                     const double *spectrum, cymbals_matrix *solved,
                                     const cymbals_solve_options *options, cymbals_solve_info *info) {
    ApiCall call(workspace, CYMBALS_PHASE_SOLVE);
    if (!call.ready() || !call.csr("rows", rows, true) || !good_objective(call, objective) ||
        !call.matrix("fixed", fixed) || !good_spectrum(call, spectrum, fixed->n_cols) ||
        !call.matrix("solved", solved) || !good_options(call, options) || !call.not_null("info", info) ||
        !call.equal("solved->n_rows", solved->n_rows, "rows->n_rows", rows->n_rows) ||
        !call.equal("solved->n_cols", solved->n_cols, "fixed->n_cols", fixed->n_cols) ||
        !call.equal("solved->type", solved->type, "fixed->type", fixed->type) ||
        !good_row_reg(call, *rows, options->row_reg) || !good_prior(call, prior_of(*options), rows->n_rows, *fixed) ||
        !good_part(call, part_of(*options)) || !good_copy(call, *options, *fixed, rows->n_cols, spectrum))
        return CYMBALS_BAD_ARGUMENT;
    call.threads(10.0 * (double)rows->indptr[rows->n_rows] * (double)fixed->n_cols);
    const int32_t status = with_float(fixed->type, [&](auto zero) {
        return HalfStep<decltype(zero)>(*rows, *fixed, *solved, *objective, spectrum, *options, call).run(info);
    });
    return call.end(status, status == CYMBALS_BAD_ARGUMENT ? -1 : info->failed_row);
}

extern "C" int32_t cymbals_compress(cymbals_workspace *workspace, const cymbals_matrix *fixed, const double *spectrum,
                                    double least_reg, double most_reg, int32_t *pairs, float *leverage) {
    ApiCall call(workspace, CYMBALS_PHASE_WHITEN);
    if (!call.ready() || !call.matrix("fixed", fixed) || !good_spectrum(call, spectrum, fixed->n_cols) ||
        !call.not_null("pairs", pairs) || !call.not_null("leverage", leverage) ||
        !call.require(fixed->type == CYMBALS_FLOAT32, "fixed->type is %d: it must be CYMBALS_FLOAT32",
                      (int)fixed->type) ||
        !call.require(least_reg >= 0 && least_reg <= most_reg && std::isfinite(most_reg),
                      "least_reg is %g and most_reg %g: they must be finite, not negative, and in order", least_reg,
                      most_reg) ||
        !has_gramian(call, spectrum, fixed->n_cols, most_reg))
        return CYMBALS_BAD_ARGUMENT;
    call.threads(3.0 * (double)fixed->n_rows * (double)fixed->n_cols);
    FixedSide<float> side(*fixed, spectrum, kernels_of<float>(call.table()));
    return call.end(side.whiten(least_reg, most_reg, leverage, pairs, call));
}

extern "C" int32_t cymbals_half_step_bytes(cymbals_workspace *workspace, const cymbals_csr *rows,
                                           const cymbals_matrix *fixed, const cymbals_solve_options *options,
                                           int64_t *bytes) {
    ApiCall call(workspace, CYMBALS_PHASE_OTHER);
    if (!call.ready() || !call.csr("rows", rows, false) || !call.matrix("fixed", fixed) ||
        !good_options(call, options) || !call.not_null("bytes", bytes) ||
        !call.equal("fixed->n_rows", fixed->n_rows, "rows->n_cols", rows->n_cols))
        return CYMBALS_BAD_ARGUMENT;
    call.threads(10.0 * (double)rows->indptr[rows->n_rows] * (double)fixed->n_cols);
    return with_float(fixed->type, [&](auto zero) {
        *bytes = HalfStep<decltype(zero)>::bytes(*rows, *fixed, *options, call);
        return (int32_t)CYMBALS_OK;
    });
}

extern "C" int32_t cymbals_solve_row(cymbals_workspace *workspace, int64_t n, const void *indices, int32_t index_type,
                                     const void *values, int32_t value_type, const cymbals_objective *objective,
                                     const cymbals_matrix *fixed, const double *spectrum, void *solved,
                                     const cymbals_solve_options *options, cymbals_solve_info *info) {
    ApiCall call(workspace, CYMBALS_PHASE_SOLVE);
    if (!call.ready() || !call.between("n", n, 0) ||
        !call.require(n == 0 || (indices && values), "indices or values is null") ||
        !call.between("index_type", index_type, CYMBALS_INT32, CYMBALS_INT64) ||
        !call.between("value_type", value_type, CYMBALS_FLOAT32, CYMBALS_FLOAT64) || !good_objective(call, objective) ||
        !call.matrix("fixed", fixed) || !good_spectrum(call, spectrum, fixed->n_cols) ||
        !call.not_null("solved", solved) || !good_options(call, options) || !call.not_null("info", info) ||
        !call.require(!options->row_reg, "options->row_reg is not null: a single row is regularized by options->reg") ||
        !good_prior(call, prior_of(*options), 1, *fixed))
        return CYMBALS_BAD_ARGUMENT;
    const int64_t indptr[2] = {0, n};
    const cymbals_csr row = {sizeof row, 1, fixed->n_rows, indptr, indices, index_type, values, value_type};
    cymbals_matrix x = {sizeof x, solved, 1, fixed->n_cols, fixed->n_cols, fixed->type};
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = index_at(row, i);
        if (!call.require(at >= 0 && at < fixed->n_rows, "indices[%lld] is %lld: it must be a row of fixed, below %lld",
                          (long long)i, (long long)at, (long long)fixed->n_rows))
            return CYMBALS_BAD_ARGUMENT;
    }
    call.threads(0);
    const int32_t status = with_float(fixed->type, [&](auto zero) {
        return HalfStep<decltype(zero)>(row, *fixed, x, *objective, spectrum, *options, call).run_row(info);
    });
    return call.end(status);
}
