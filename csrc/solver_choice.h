// Chooses the solver of each row: conjugate gradients, or one of the two exact solvers. The choice depends only on the
// row, the fixed side and the options. It never depends on measured times, so a fit is the same on every run.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "common.h"
#include "record.h"

namespace cymbals {

constexpr int kMostSteps = 24;  // a row that is expected to need more CG steps is solved exactly
// CYMBALS_COMPACT_LARGE makes no 16-bit copy of a float32 side with fewer bytes than this, because such a side is read
// from a cache anyway. With solver CG and more steps than kCompactSteps it makes none either, because the 8 significant
// bits of the copy are too few for the accuracy of so many steps.
constexpr int64_t kLargeBytes = 2 * 1024 * 1024;
constexpr int32_t kCompactSteps = 8;

// Time to solve a row of n entries at rank f, in multiply-adds of a register-tiled product. The factors say how much
// slower each kind of work runs than such a product (measured on AVX2, f 32 to 256).
struct SolveTime {
    double n, f;
    double gather() const { return 12 * n * f; }
    double cg_pass(bool fits) const { return (fits ? 2.5 : 6) * n * f + 60 * f; }
    double dual() const { return gather() + n * n * f + factorize(n) + 4 * n * f; }
    double primal() const { return gather() + 1.35 / 2 * n * f * f + factorize(f) + 4 * n * f; }
    static double factorize(double m) { return m * m * m / 3 + 20 * m * m + 1500 * m; }
};

// The expected number of CG steps for a system I + A, where A has this trace and rank, if the start is no better than
// 0. The curve is fitted to the steps taken on Last.fm counts with alpha 1 and 40, linear and log, f 32 to 128.
inline double expected_steps(double trace, double rank) {
    const double log = std::log1p(trace);
    return std::min(1.5 + 0.45 * log * log, rank + 1);
}

// How many CG steps CYMBALS_SOLVER_AUTO tries before it solves a row exactly; 0: no CG. This many steps take as long as
// the exact solution, so a wrong choice at most doubles the time. A row with a good start needs fewer steps, but a good
// start cannot be recognized in advance.
inline int cg_budget(const SolveTime &time, double trace, double exact, bool fits) {
    const double affordable = (exact - time.gather()) / time.cg_pass(fits) - 1;
    const double expected = expected_steps(trace, std::min(time.n, time.f));
    return affordable < 1 || expected > 1.6 * affordable || expected > kMostSteps ? 0 : (int)std::min(affordable, 1e9);
}

// Whether the rounding of float32 removes the identity from I + W'W, given the trace of W'W. The solution would be
// wrong and nothing would show it, so such rows are solved in float64.
template <class T>
bool identity_is_lost(T trace) {
    return sizeof(T) == sizeof(float) && trace * std::numeric_limits<T>::epsilon() > T(0.1);
}

// Whether the weighted targets of an implicit row are too large for T. `constant` is their sum. The limit is where
// rounding the scores to T changes the row's loss by a tenth of the loss of a cell with weight 1 and score 0. Beyond
// it, no solution in T is right.
template <class T>
bool weights_too_heavy(T constant) {
    constexpr T epsilon = std::numeric_limits<T>::epsilon();
    return constant * epsilon * epsilon > T(0.1);
}

// Whether rows are solved with a copy of the fixed side in 16 bits.
template <class T>
bool uses_compact(const cymbals_matrix &fixed, const cymbals_solve_options &options) {
    const bool uses_cg = options.solver == CYMBALS_CG || options.solver == CYMBALS_SOLVER_AUTO;
    if (!uses_cg || sizeof(T) != sizeof(float) || options.compact == CYMBALS_COMPACT_NEVER) return false;
    if (options.compact == CYMBALS_COMPACT_ALWAYS) return true;
    return fixed.n_rows * fixed.n_cols * (int64_t)sizeof(float) >= kLargeBytes &&
           (options.solver != CYMBALS_CG || options.cg_steps <= kCompactSteps);
}

struct SolverChoice {
    bool cg;       // whether to try conjugate gradients first
    Stop stop;     // when they stop
    Solver exact;  // the exact solver, used without conjugate gradients or if they fail
};

// Chooses the solver of a row. `trace` is the trace of W'W; `fits` tells whether the tile can hold the row.
template <class T>
SolverChoice choose_solver(const cymbals_solve_options &options, const Row<T> &row, T trace, bool fits) {
    const SolveTime time{(double)row.n, (double)row.f};
    const double dual = row.n <= row.f ? time.dual() : std::numeric_limits<double>::infinity();
    const double exact = std::min(dual, time.primal());
    SolverChoice choice = {options.solver == CYMBALS_CG, {options.cg_steps, options.cg_steps, 0, 0, 0}, kPrimal};
    if (options.solver == CYMBALS_SOLVER_AUTO && !identity_is_lost(trace)) {
        const int budget = cg_budget(time, trace, exact, fits);
        choice.stop = {std::max(budget, options.cg_steps), options.cg_steps, options.cg_tolerance,
                       options.cg_tolerance / 8, std::min(12.5 * options.cg_tolerance, 1.0)};
        choice.cg = budget > 0;
    }
    // The dual needs weights that are not negative, and at most as many entries as the rank.
    const bool possible = row.n_positive == row.n && row.n <= row.f;
    const bool wanted = options.solver == CYMBALS_PRIMAL ? false : options.solver == CYMBALS_DUAL || dual == exact;
    if (possible && wanted) choice.exact = kDual;
    return choice;
}

}  // namespace cymbals
