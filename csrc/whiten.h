// The fixed side, prepared for a half-step: the diagonal D = spectrum + reg that whitens it, the squared length of each
// whitened row, and a whitened copy in 16 bits.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "cost_model.h"
#include "workspace.h"

namespace cymbals {

template <class T>
class FixedSide {
 public:
    static constexpr int64_t kPairs = 32;  // rows of the 16-bit copy are padded to whole cache lines of 32 numbers
    // If the caller has made the `copy` already, `matrix` only has the rows that heavy entries name.
    FixedSide(const cymbals_matrix &matrix, const double *spectrum, const Kernels<T> &kernels,
              const cymbals_copy *copy = nullptr)
        : matrix_(matrix),
          spectrum_(spectrum),
          kernels_(kernels),
          padded_(round_up(matrix.n_cols, kernels.pad)),
          copy_(copy) {}

    int32_t prepare(double least_reg, double most_reg, bool compact, ApiCall &call);
    // Instead of `prepare`: takes what the last half-step has prepared from the same fixed side and regularization.
    int32_t reuse(double least_reg, bool compact, ApiCall &call);
    // The part of `prepare` that computes: writes the squared lengths and, unless `pairs` is null, the copy.
    int32_t whiten(double least_reg, double most_reg, T *leverage, int32_t *pairs, ApiCall &call);
    // For a single row of n entries: prepares only the rows of the fixed side that its entries name.
    int32_t prepare_row(double reg, const int64_t *indices, int64_t n, ApiCall &call);
    static int64_t compact_bytes(const cymbals_matrix &matrix) {
        return matrix.n_rows * round_up(matrix.n_cols, kPairs) / 2 * (int64_t)sizeof(int32_t);
    }

    // Sets scale to D^(-1/2) and root to D^(1/2), for a row with regularization `reg`. The 16-bit copy is whitened with
    // the least regularization; multiplying it by `rescale` whitens it with `reg` instead.
    void diagonal(double reg, T *scale, T *root, T *rescale) const {
        for (int64_t j = 0; j < padded_; j++) {
            root[j] = std::sqrt(d(j, reg));
            scale[j] = root[j] > 0 ? 1 / root[j] : 0;
            rescale[j] = scale[j] * std::sqrt(d(j, least_reg_));
        }
    }

    // Whether D is more than 1000 times its floor in every column. If it is not, some column may consist mostly of
    // rounding errors.
    bool resolved() const {
        return 1000 * floor_ < *std::min_element(spectrum_, spectrum_ + matrix_.n_cols) + least_reg_;
    }

    const cymbals_matrix &matrix() const { return matrix_; }
    const T *data() const { return static_cast<const T *>(matrix_.data); }
    int64_t stride() const { return matrix_.stride; }
    // Squared lengths of rows of the fixed side, whitened with the least regularization. In a half-step,
    // there is one for each row of the fixed side. For a single row to be solved, there is one for each of its entries.
    const T *leverage() const { return leverage_; }
    bool of_one_row() const { return of_one_row_; }
    const int32_t *compact() const { return compact_; }  // null if there is no copy
    // Where `matrix` has row `index` of the fixed side; -1: it has not.
    int64_t place_of(int64_t index) const {
        if (!copy_) return index;
        const int64_t *const end = copy_->rows + matrix_.n_rows, *const at = std::lower_bound(copy_->rows, end, index);
        return at != end && *at == index ? at - copy_->rows : -1;
    }
    // Whether adding the Gramian's largest eigenvalue changes the regularization, in spite of rounding.
    bool has_gramian(double most_reg) const { return largest() + most_reg > most_reg; }
    int64_t compact_stride() const { return round_up(matrix_.n_cols, kPairs) / 2; }

 private:
    T d(int64_t j, double reg) const { return j < matrix_.n_cols ? (T)std::max(spectrum_[j] + reg, floor_) : T(0); }

    // Calls visit(begin, count) for blocks of rows, in parallel. `cost` is the cost of one row, for the record.
    template <class F>
    void for_blocks(ApiCall &call, Cost cost, F visit) const {
        constexpr int64_t rows = 256;  // of a block, which stays in the second-level cache between two kernels
#pragma omp parallel num_threads(call.threads())
        {
            Span span = call.span(CYMBALS_PHASE_WHITEN);
#pragma omp for schedule(static) nowait
            for (int64_t begin = 0; begin < matrix_.n_rows; begin += rows) {
                const int64_t count = std::min(rows, matrix_.n_rows - begin);
                visit(begin, count);
                span.add(count, 0, (double)count * cost.flops, (double)count * cost.bytes);
            }
        }
    }
    void set_floor(double least_reg, double most_reg, double longest);
    double largest() const { return *std::max_element(spectrum_, spectrum_ + matrix_.n_cols); }
    // Whether the spectrum and the floor of D fit in T. If they overflowed, columns would be scaled by 0. A
    // regularization that overflows needs no check: factors of 0 are then the solution.
    bool representable(ApiCall &call) const {
        return call.require(
            std::max(largest(), floor_) <= (double)std::numeric_limits<T>::max(),
            "fixed: the squares of its factors times alpha0, or the regularization, are too large for its type: "
            "lower alpha0 or the regularization, or scale the values down%s",
            sizeof(T) == sizeof(float) ? ", or use float64" : "");
    }
    // The squared length of a row in float64, for rows whose squares overflow T.
    double squared_length(int64_t row) const {
        double total = 0;
        for (int64_t j = 0; j < matrix_.n_cols; j++)
            total += (double)row_of<T>(matrix_, row)[j] * row_of<T>(matrix_, row)[j];
        return total;
    }
    void norms(int64_t begin, int64_t count, const T *scale, T *to) const {
        kernels_.row_norms(to, row_of<T>(matrix_, begin), stride(), count, matrix_.n_cols, scale);
    }

    const cymbals_matrix &matrix_;
    const double *spectrum_;
    const Kernels<T> &kernels_;
    const int64_t padded_;
    const cymbals_copy *const copy_;
    double least_reg_ = 0, floor_ = 0;
    const T *leverage_ = nullptr;
    bool of_one_row_ = false;
    const int32_t *compact_ = nullptr;
};

// Sets the floor of D. `longest` is the largest squared length of a row; it counts only if there is no Gramian.
template <class T>
void FixedSide<T>::set_floor(double least_reg, double most_reg, double longest) {
    // A column that should be 0 contains rounding errors of about epsilon times the largest column. D must stay above
    // their squares, or whitening would blow them up. A higher floor would regularize columns that the data determine.
    constexpr double epsilon = std::numeric_limits<T>::epsilon();
    const double f = (double)matrix_.n_cols;
    least_reg_ = least_reg;
    // Eigenvalues below the rounding of a float64 decomposition cannot be told from 0.
    constexpr double unresolved = std::numeric_limits<double>::epsilon();
    floor_ = (largest() + most_reg) * f * std::max(16 * epsilon * epsilon, unresolved);
    // Without a Gramian the floor depends on the lengths of the rows. If there is no regularization either, the floor
    // is higher and acts as a ridge.
    if (!has_gramian(most_reg)) {
        floor_ = std::max(floor_, longest * f * epsilon * (most_reg > 0 ? epsilon : 1));
        if (!(floor_ > 0)) floor_ = 1;
    }
}

template <class T>
int32_t FixedSide<T>::prepare(double least_reg, double most_reg, bool compact, ApiCall &call) {
    PreparedFixed &prepared = call.workspace().prepared;
    prepared = {};
    if (copy_) {
        compact_ = copy_->pairs;
        if constexpr (sizeof(T) == sizeof(float)) leverage_ = copy_->leverage;
        set_floor(least_reg, most_reg, 0);
        return representable(call) ? CYMBALS_OK : CYMBALS_BAD_VALUE;
    }
    T *const leverage = call.workspace().leverage.take_array<T>(matrix_.n_rows);
    int32_t *pairs = nullptr;
    if (compact) pairs = reinterpret_cast<int32_t *>(call.workspace().compact.take(compact_bytes(matrix_)));
    if (!leverage || (compact && !pairs)) return CYMBALS_NO_MEMORY;
    leverage_ = leverage, compact_ = pairs;
    const int32_t status = whiten(least_reg, most_reg, leverage, pairs, call);
    if (status == CYMBALS_OK) prepared = {matrix_.n_rows, matrix_.n_cols, matrix_.type, compact, least_reg_, floor_};
    return status;
}

template <class T>
int32_t FixedSide<T>::whiten(double least_reg, double most_reg, T *leverage, int32_t *pairs, ApiCall &call) {
    const int64_t f = matrix_.n_cols;
    const CostModel<T> cost_model(kernels_, f);
    Buffer<T> memory = buffer<T>(3 * padded_);
    if (!memory) return CYMBALS_NO_MEMORY;
    double longest = 0;
    if (!has_gramian(most_reg)) {
        for_blocks(call, cost_model.whiten(false, false),
                   [&](int64_t begin, int64_t count) { norms(begin, count, nullptr, leverage + begin); });
        for (int64_t i = 0; i < matrix_.n_rows; i++)
            longest = std::max(longest, std::isfinite(leverage[i]) ? (double)leverage[i] : squared_length(i));
    }
    set_floor(least_reg, most_reg, longest);
    if (!representable(call)) return CYMBALS_BAD_VALUE;
    T *const scale = memory.get();
    diagonal(least_reg, scale, scale + padded_, scale + 2 * padded_);
    for_blocks(call, cost_model.whiten(true, pairs), [&](int64_t begin, int64_t count) {
        norms(begin, count, scale, leverage + begin);
        if (pairs)
            kernels_.compress(&pairs[begin * compact_stride()], compact_stride(), row_of<T>(matrix_, begin), stride(),
                              count, f, scale);
    });
    return CYMBALS_OK;
}

template <class T>
int32_t FixedSide<T>::reuse(double least_reg, bool compact, ApiCall &call) {
    const PreparedFixed &prepared = call.workspace().prepared;
    if (!call.require(
            prepared.n_rows == matrix_.n_rows && prepared.n_cols == matrix_.n_cols && prepared.type == matrix_.type &&
                prepared.compact == compact && prepared.least_reg == least_reg,
            "options->part->prepared is 1, but the last half-step with this workspace had another fixed side, "
            "least_reg or solver"))
        return CYMBALS_BAD_ARGUMENT;
    least_reg_ = prepared.least_reg, floor_ = prepared.floor;
    leverage_ = call.workspace().leverage.take_array<T>(matrix_.n_rows);
    if (compact) compact_ = reinterpret_cast<const int32_t *>(call.workspace().compact.take(compact_bytes(matrix_)));
    return CYMBALS_OK;
}

template <class T>
int32_t FixedSide<T>::prepare_row(double reg, const int64_t *indices, int64_t n, ApiCall &call) {
    const int64_t room = round_up(padded_, kLine<T>);
    T *const memory = call.workspace().leverage.take_array<T>(3 * room + n);
    call.workspace().prepared = {};
    if (!memory) return CYMBALS_NO_MEMORY;
    of_one_row_ = true;
    T *const leverage = memory + 3 * room;
    leverage_ = leverage;
    double longest = 0;
    if (!has_gramian(reg))
        for (int64_t i = 0; i < n; i++) {
            norms(indices[i], 1, nullptr, leverage + i);
            longest = std::max(longest, std::isfinite(leverage[i]) ? (double)leverage[i] : squared_length(indices[i]));
        }
    set_floor(reg, reg, longest);
    if (!representable(call)) return CYMBALS_BAD_VALUE;
    diagonal(reg, memory, memory + room, memory + 2 * room);
    for (int64_t i = 0; i < n; i++) norms(indices[i], 1, memory, leverage + i);
    return CYMBALS_OK;
}

}  // namespace cymbals
