// The cost model: the flops (a multiply-add is two) and bytes of the kernels' work, with the formulas of
// csrc/README.md. They include the padding to whole vectors and blocks, because kernels compute on the padding too.
// tests/core/test_counting.py compares the model with kernels that count their operations.
#pragma once

#include <algorithm>
#include <cmath>

#include "kernels/kernels.h"

namespace cymbals {

struct Cost {
    double flops = 0, bytes = 0;
};
struct RowCost {
    Cost gather, solve;
};
// Costs of a row that conjugate gradients solve: `gather` and `once` count once for the row, `step` for each step,
// `residual` for each step that computes a new residual.
struct CgCost {
    Cost gather, once, step, residual;

    RowCost of(const CgSteps &steps) const {
        const double all = steps.all, residuals = all - steps.short_passes;
        return {gather,
                {once.flops + all * step.flops + residuals * residual.flops,
                 once.bytes + all * step.bytes + residuals * residual.bytes}};
    }
};

// What a solver gathers: the rows of n entries, of the fixed side itself, or with `compact` of the 16-bit copy, of
// which n_heavy are of the fixed side itself. `scaled`: the copy is multiplied by numbers of the row that is solved.
struct Gathered {
    int64_t n;
    bool compact, scaled;
    int64_t n_heavy;
};

template <class T>
class CostModel {
 public:
    CostModel(const Kernels<T> &kernels, int64_t f)
        : group_(kernels.pad),
          lanes_((double)kernels.lanes),
          strip_((double)kernels.strip),
          rank_((double)f),
          whole_((double)down(f, kernels.lanes)),
          f_((double)up(f, kernels.pad)),
          whole_pairs_((double)down(f, 2 * kernels.lanes)),
          pairs_((double)up(f, 2 * kernels.lanes)) {
        const int64_t vectors = up(f, 2 * kernels.lanes) / (2 * kernels.lanes);
        in_registers_ = vectors <= kernels.registers / 8 && (vectors & (vectors - 1)) == 0;
    }

    // Conjugate gradients. Gathering includes the first residual. Each pass multiplies the rows with a vector. A pass
    // that computes a residual also adds up multiples of the rows.
    CgCost cg(const Gathered &row, const RowScratch<T> &scratch) const {
        const int64_t n = row.n;
        const bool compact = row.compact && row.n_heavy == 0;  // else the tile holds numbers of type T
        const double width = compact ? pairs_ : f_, m = filled(n), entries = (double)up(n, group_),
                     groups = entries / (double)group_;
        // products with the weights, which 16-bit rows do not include; and with `scale` if each row has its own
        // regularization
        const double weights = compact ? entries : 0, rescaling = compact && row.scaled ? f_ : 0;
        const double dots = 2 * m * width + entries * (lanes_ - 1) + weights + rescaling,
                     adds = (2 * m + groups) * width + weights + 2 * rescaling, total = lanes_ - 1;
        // flops that a pass takes in addition if it gathers the row
        const Cost rows = gather(m, row);
        const double gather = compact ? (in_registers_ ? m * lanes_ : 0) : rows.flops,
                     from_fixed = compact ? m * 2 * pairs_ : rows.bytes,
                     from_tile = m * (compact ? 2 * pairs_ : f_ * kBytes);
        const double room = (double)(scratch.tile_rows * scratch.ld);
        const bool fits = (compact ? entries * pairs_ / 2 : (double)((n + group_) * scratch.ld)) <= room;
        return {{whole_ + gather + dots + adds + 3 * entries + total, from_fixed},
                {3 * f_ + total, 0},
                {dots + 4 * entries + 2 * f_ + 2 * total + (fits ? 0 : gather), fits ? from_tile : from_fixed},
                {adds + 8 * f_ + 2 * total, fits ? from_tile : 0}};
    }
    RowCost dual(const Gathered &row) const {
        // Products of rows: each block of four rows is multiplied with its own and all later rows, two at a time. The
        // rows after the last block are multiplied with each other: one row with two others at a time, or with one.
        const int64_t n = row.n;
        const double m = (double)up(n, kBlock), blocks = (double)(n / kBlock), rest = (double)(n % kBlock),
                     odd = (double)(n % 2), beside = blocks * (double)n - 2 * blocks * (blocks - 1),
                     products = 4 * beside + rest * rest,
                     loads = 3 * beside + 2 * odd * blocks + rest * (1.5 * rest + 0.5 * odd);
        return {gather(m, row),
                {products * (2 * f_ + lanes_ - 1) + cholesky((double)up(n, group_)) + m * add_row() + f_,
                 (loads + m) * f_ * kBytes}};
    }
    RowCost primal(const Gathered &row) const {
        // The right operand of a register tile is loaded again for each strip of rows, the left operand for each strip
        // of columns.
        const double m = (double)up(row.n, kBlock), width = kTileVectors * lanes_, strips = std::ceil(f_ / width),
                     right = triangle(f_) / strip_, left = strips * (f_ - width * (strips - 1) / 2);
        return {gather(m, row),
                {m * (add_row() + 2 * triangle(f_)) + cholesky(f_) + f_, m * (f_ + right + left) * kBytes}};
    }
    // Rows `first` to first + height - 1 of the Gramian of a matrix with n rows.
    Cost gram(int64_t n, int64_t first, int64_t height) const {
        const double width = f_ - (double)first;
        return {2 * (double)n * (triangle(width) - triangle(width - (double)height)),
                (double)n * (rank_ - (double)first) * kBytes};
    }
    Cost rotate(int64_t n) const { return {2 * (double)up(n, kBlock) * rank_ * f_, 2 * (double)n * rank_ * kBytes}; }
    // The work for one row: its squared length, whitened if `scaled`, and with `compact` its 16-bit copy.
    Cost whiten(bool scaled, bool compact) const {
        return {(scaled ? 3 : 2) * whole_ + 4 * lanes_ - 1 + (compact ? whole_pairs_ : 0),
                rank_ * kBytes + (compact ? 2 * pairs_ : 0)};
    }

 private:
    // `to` is a power of two.
    static int64_t down(int64_t n, int64_t to) { return n & -to; }
    static int64_t up(int64_t n, int64_t to) { return down(n + to - 1, to); }
    // The number of tile rows that a pass of conjugate gradients computes on: all rows of whole groups, and 4, 8 or 16
    // rows of the last group if it is not whole.
    double filled(int64_t n) const {
        const int64_t whole = down(n, group_);
        if (whole == n) return (double)n;
        const uint64_t least = (uint64_t)(n - whole - 1) | (kBlock - 1);
        return (double)(whole + ((int64_t)1 << (64 - __builtin_clzll(least))));
    }
    // Gathering a row into m rows of the tile. Those that fill it up are read from the fixed side, too, but not from
    // the copy.
    Cost gather(double m, const Gathered &row) const {
        const double full = row.compact ? (double)row.n_heavy : m, compact = row.compact ? (double)row.n - full : 0;
        return {2 * full * whole_ + compact * f_ * (1 + row.scaled), full * rank_ * kBytes + compact * 2 * pairs_};
    }
    // Adding a multiple of a row to a vector. Four rows are added at a time, in two sums.
    double add_row() const { return 2.25 * f_; }
    // Elements of the upper triangle of n columns, computed in strips of rows that begin at whole vectors.
    double triangle(double n) const { return n * (n + std::max(lanes_, strip_)) / 2; }
    // A Cholesky factorisation, and the two triangular solves.
    double cholesky(double n) const {
        return n * (n * n / 3 + n * lanes_ / 2 + lanes_ * lanes_ / 6) + n * (2 * n - lanes_ - 1);
    }

    static constexpr double kBytes = sizeof(T);
    const int64_t group_;
    const double lanes_, strip_;
    const double rank_, whole_, f_;     // the rank; rounded down to whole vectors; rounded up to whole groups
    const double whole_pairs_, pairs_;  // the rank, rounded down and up to whole vectors of 16-bit pairs
    bool in_registers_;                 // whether 16-bit rows are multiplied while they are copied
};

}  // namespace cymbals
