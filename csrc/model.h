// What work costs by the book: flops, a multiply-add being two, and bytes, as csrc/README.md tells them. Padding to
// whole vectors and blocks is part of it: this is what kernels do, not what a textbook would.
#pragma once

#include <algorithm>

#include "kernels/kernels.h"

namespace cymbals {

struct Amount {
    double flops = 0, bytes = 0;
};
struct RowWork {
    Amount gather, solve;
};

template <class T>
class Model {
 public:
    Model(const Kernels<T> &kernels, int64_t f)
        : lanes_((double)kernels.lanes),
          group_(kernels.pad),
          edge_((double)std::max(kernels.lanes, kernels.strip)),
          strip_((double)kernels.strip),
          rank_(f),
          f_((double)((f + kernels.pad - 1) / kernels.pad * kernels.pad)),
          pairs_((double)((f + 2 * kernels.lanes - 1) / (2 * kernels.lanes) * 2 * kernels.lanes)) {}

    // Conjugate gradients, the first residual made while gathering; then one pass for each product with the rows.
    RowWork cg(int64_t n, const CgSteps &steps, bool compact, bool fits) const {
        const double m = filled(n), width = compact ? pairs_ : f_, sums = lanes_ - 1,
                     row = width * (compact ? 2 : (double)sizeof(T)), all = steps.all, back = all - steps.short_passes;
        const double weights = compact ? 1 : 0;
        RowWork w;
        w.gather = {(compact ? 0 : 2 * f_ * four(n)) + m * (4 * width + sums + 3 + 2 * weights) + 2 * f_,
                    (compact ? m : (double)four(n)) * (compact ? row : (double)rank_ * sizeof(T))};
        w.solve = {m * (all * (2 * width + sums + 4 + weights) + back * (2 * width + weights)) + 3 * f_ + all * 2 * f_ +
                       back * 8 * f_,
                   (all + back) * m * row};
        if (!fits) w.solve.flops += compact ? 0 : all * 2 * f_ * four(n);
        return w;
    }
    RowWork dual(int64_t n) const {
        const double edge = (double)((n + group_ - 1) / group_ * group_), m = (double)four(n);
        const double products = n * (double)n / 2 + 1.5 * n;  // blocks of four rows beside the diagonal
        RowWork w = gathered(n);
        w.solve = {products * (2 * f_ + lanes_ - 1) + cholesky(edge) + m * 2 * f_ + f_,
                   (0.75 * products + m) * f_ * (double)sizeof(T)};
        return w;
    }
    RowWork primal(int64_t n) const {
        const double m = (double)four(n), area = triangle(f_);
        RowWork w = gathered(n);
        w.solve = {m * (2 * f_ + 2 * area) + cholesky(f_) + f_, m * (f_ + area / strip_ + f_) * (double)sizeof(T)};
        return w;
    }
    // So many rows of the Gramian of n rows, from row `first` on.
    Amount gram(int64_t n, int64_t first, int64_t height) const {
        const double width = f_ - (double)first;
        return {2.0 * (double)n * (triangle(width) - triangle(width - (double)height)),
                (double)n * (double)(rank_ - first) * (double)sizeof(T)};
    }
    Amount rotate(int64_t n) const {
        return {2.0 * (double)four(n) * (double)rank_ * f_, 2.0 * (double)n * (double)rank_ * sizeof(T)};
    }
    // Squared lengths of n rows, read once, and their 16-bit copy.
    Amount whiten(int64_t n, bool compact) const {
        return {(double)n * (3 * (double)rank_ + lanes_ - 1 + (compact ? (double)rank_ : 0)),
                (double)n * ((double)rank_ * sizeof(T) + (compact ? 2 * pairs_ : 0))};
    }

 private:
    static int64_t four(int64_t n) { return (n + kBlock - 1) / kBlock * kBlock; }
    // Rows that passes of conjugate gradients work on: whole groups, and 4, 8 .. of the last.
    double filled(int64_t n) const {
        const int64_t rest = n % group_;
        int64_t last = rest > 0 ? kBlock : 0;
        while (last < rest) last *= 2;
        return (double)(n - rest + last);
    }
    // Elements of the upper triangle of n columns, in strips that begin at whole vectors.
    double triangle(double n) const { return n * n / 2 + n * edge_ / 2; }
    // A factorisation and its two solves.
    double cholesky(double n) const { return n * n * n / 3 + n * n * edge_ / 2 + 2 * n * n + n * (lanes_ - 1); }
    RowWork gathered(int64_t n) const {
        RowWork w;
        w.gather = {2 * f_ * (double)four(n), (double)four(n) * (double)rank_ * sizeof(T)};
        return w;
    }

    const double lanes_;
    const int64_t group_;
    const double edge_, strip_;
    const int64_t rank_;
    const double f_, pairs_;  // padded: to whole vectors, and to whole vectors of 16-bit pairs
};

}  // namespace cymbals
