// The fixed side as the rows of a half-step see it: the diagonal D = alpha0 * spectrum + reg that whitens it, the
// squared length of each whitened row, and a copy of them all in 16 bits.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "common.h"

namespace cymbals {

template <class T>
class FixedSide {
 public:
    FixedSide(const cymbals_matrix &matrix, const double *spectrum, const Kernels<T> &kernels)
        : matrix_(matrix), spectrum_(spectrum), kernels_(kernels), padded_(round_up(matrix.n_cols, kernels.pad)) {}

    // The 16-bit copy goes to `memory` where that has room for it.
    int32_t prepare(double least_reg, double most_reg, bool compact, void *memory, int64_t bytes, int32_t n_threads);

    // D^(-1/2), D^(1/2) and, for the 16-bit copy, D^(-1/2) over the one that it was whitened with.
    void diagonal(double reg, T *scale, T *root, T *rescale) const {
        for (int64_t j = 0; j < padded_; j++) {
            root[j] = std::sqrt(d(j, reg));
            scale[j] = root[j] > 0 ? 1 / root[j] : 0;
            rescale[j] = scale[j] * std::sqrt(d(j, least_reg_));
        }
    }

    // Whether every column is known much better than to rounding: D is nowhere near its floor.
    bool resolved() const {
        return 1000 * floor_ < *std::min_element(spectrum_, spectrum_ + matrix_.n_cols) + least_reg_;
    }

    const T *data() const { return static_cast<const T *>(matrix_.data); }
    int64_t stride() const { return matrix_.stride; }
    const T *leverage() const { return leverage_.get(); }  // squared lengths, whitened with the least regularization
    const int32_t *compact() const { return compact_; }    // null where not asked for
    int64_t compact_stride() const { return round_up(padded_, 32) / 2; }  // whole cache lines of pairs

 private:
    T d(int64_t j, double reg) const { return j < matrix_.n_cols ? (T)std::max(spectrum_[j] + reg, floor_) : T(0); }

    template <class F>
    void for_blocks(int32_t n_threads, F visit) const {
        constexpr int64_t rows = 256;  // stay in the second-level cache from one kernel to the next
#pragma omp parallel for schedule(static) num_threads(n_threads)
        for (int64_t begin = 0; begin < matrix_.n_rows; begin += rows)
            visit(begin, std::min(rows, matrix_.n_rows - begin));
    }

    const cymbals_matrix &matrix_;
    const double *spectrum_;
    const Kernels<T> &kernels_;
    const int64_t padded_;
    double least_reg_ = 0, floor_ = 0;
    Buffer<T> leverage_;
    Buffer<int32_t> own_;
    int32_t *compact_ = nullptr;
};

template <class T>
int32_t FixedSide<T>::prepare(double least_reg, double most_reg, bool compact, void *given, int64_t bytes,
                              int32_t n_threads) {
    const int64_t f = matrix_.n_cols, n = matrix_.n_rows;
    Buffer<T> memory = buffer<T>(3 * padded_);
    leverage_ = large_buffer<T>(n);
    if (compact) {
        const int64_t offset = -(int64_t) reinterpret_cast<uintptr_t>(given) & 63, size = n * compact_stride();
        if (given && bytes >= offset && (bytes - offset) / (int64_t)sizeof(int32_t) >= size)
            compact_ = reinterpret_cast<int32_t *>(static_cast<char *>(given) + offset);
        else
            compact_ = (own_ = large_buffer<int32_t>(size)).get();
    }
    if (!memory || !leverage_ || (compact && !compact_)) return CYMBALS_NO_MEMORY;
    const auto norms = [&](int64_t begin, int64_t count, const T *scale) {
        kernels_.row_norms(&leverage_[begin], row_of<T>(matrix_, begin), stride(), count, f, scale);
    };
    // Columns that should be 0 hold rounding of about epsilon times the largest; D must stay above its square, or
    // whitening would make weights of it. More would regularize directions that the data do determine.
    constexpr double epsilon = std::numeric_limits<T>::epsilon();
    const double largest = *std::max_element(spectrum_, spectrum_ + f) + most_reg;
    least_reg_ = least_reg;
    // Nor can a decomposition in float64 tell eigenvalues below its own rounding from 0.
    constexpr double unresolved = std::numeric_limits<double>::epsilon();
    floor_ = largest * f * std::max(16 * epsilon * epsilon, unresolved);
    if (!(largest > most_reg)) {  // no Gramian: relative to the rows themselves, and a ridge if nothing else is there
        for_blocks(n_threads, [&](int64_t begin, int64_t count) { norms(begin, count, nullptr); });
        double longest = 0;
        for (int64_t i = 0; i < n; i++) longest = std::max(longest, (double)leverage_[i]);
        floor_ = std::max(floor_, longest * f * epsilon * (most_reg > 0 ? epsilon : 1));
        if (!(floor_ > 0)) floor_ = 1;
    }
    T *const scale = memory.get();
    diagonal(least_reg, scale, scale + padded_, scale + 2 * padded_);
    for_blocks(n_threads, [&](int64_t begin, int64_t count) {
        norms(begin, count, scale);
        if (compact)
            kernels_.compress(&compact_[begin * compact_stride()], compact_stride(), row_of<T>(matrix_, begin),
                              stride(), count, f, scale);
    });
    return CYMBALS_OK;
}

}  // namespace cymbals
