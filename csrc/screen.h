// Screens items for top-k: items and queries are rounded to 8-bit integers, and a bound on the rounding tells which
// items can be among the best. Only their scores are computed. With x = u x^ + dx and y = v y^ + dy, where x^ and y^
// are the integers, x.y - u v x^.y^ = dx.(v y^) + x.dy, whose size is at most |dx| |v y^| + |x| |dy|.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "workspace.h"

namespace cymbals {

template <class T>
class Screen {
 public:
    static constexpr int64_t kItems = 256, kGroups = kItems / kScreenLanes;  // items and groups of a block

    // The lengths of a query from which the bounds are computed.
    struct Query {
        double length, unit, error;  // |x|, u, |dx|
    };

    explicit Screen(int64_t columns) : columns_(columns), quads_((columns + 3) / 4) {}

    // Prepares the n items in `list` (null: all items), each multiplied by its scale (null: 1).
    int32_t prepare(const cymbals_matrix &items, const int64_t *list, int64_t n, const T *scale, ApiCall &call);

    int64_t blocks() const { return (n_ + kItems - 1) / kItems; }
    int64_t quads() const { return quads_; }
    int64_t size() const { return n_; }
    int64_t block_bytes() const { return kGroups * screen_bytes(quads_); }
    int64_t bytes() const {
        return blocks() * (block_bytes() + (int64_t)sizeof(Block)) + n_ * (int64_t)sizeof(int64_t);
    }
    int64_t item(int64_t place) const { return order_[place]; }  // longest first
    const int8_t *groups(int64_t block) const { return packed_.get() + block * block_bytes(); }

    // Rounds a query to 4 * quads() bytes. False: it is all zeros, or too large or small for the bounds to hold.
    bool encode(const T *x, uint8_t *bytes, Query *query) const;
    // Whether any item in this block or a later one can score `least`.
    bool reaches(const Query &query, int64_t block, double least) const {
        return !(query.length * blocks_[block].length * (1 + slack()) + underflow_ < least);
    }
    // The least product of integers for which the score may reach `least`.
    int32_t needed(const Query &query, int64_t block, double least) const;

 private:
    // For the items of a block: the largest |y|, |v y^| and |dy|; `half`, the largest |y^| over the columns of one
    // 16-bit sum (half of a segment, see kScreenSegment); and v, which all items of the block share.
    struct Block {
        double length, rounded, error, half, unit;
    };
    static constexpr int32_t kMostItem = 127, kMostQuery = 63, kOffset = 64;

    // Relative rounding error of a score in T, and of the bounds themselves.
    double slack() const { return 2 * (double)(columns_ + 8) * std::numeric_limits<T>::epsilon(); }
    // Whether the squares and products of numbers of this size neither overflow nor underflow in float64, as the bounds
    // assume.
    static bool measurable(double largest) { return largest >= 1e-140 && largest <= 1e140; }
    void pack(const cymbals_matrix &items, const T *scale, int64_t block);

    const int64_t columns_, quads_;
    int64_t n_ = 0;
    double most_half_ = 1;  // the largest `half` of all blocks
    double longest_ = 0;    // the largest |y| of all items, without scale
    double most_scale_ = 1;
    double underflow_ = 0;  // the most that a score in T loses because products underflow
    Buffer<int64_t> order_;
    Buffer<int8_t> packed_;
    Buffer<Block> blocks_;
};

template <class T>
int32_t Screen<T>::prepare(const cymbals_matrix &items, const int64_t *list, int64_t n, const T *scale, ApiCall &call) {
    const int32_t n_threads = call.threads();
    n_ = n;
    Buffer<double> length = buffer<double>(items.n_rows);
    order_ = buffer<int64_t>(n);
    blocks_ = buffer<Block>(blocks());
    packed_ = large_buffer<int8_t>(blocks() * kGroups * screen_bytes(quads_));
    if (!length || !order_ || !blocks_ || !packed_) return CYMBALS_NO_MEMORY;
    bool all_measurable = true;
    double longest = 0, most_scale = 1;
#pragma omp parallel for schedule(static) num_threads(n_threads) reduction(&& : all_measurable) \
    reduction(max : longest, most_scale)
    for (int64_t i = 0; i < n; i++) {
        const int64_t item = list ? list[i] : i;
        const T *y = row_of<T>(items, item);
        const double by = scale ? std::abs((double)scale[item]) : 1;
        double total = 0, largest = 0;
        for (int64_t j = 0; j < columns_; j++) {
            total += (double)y[j] * y[j];
            largest = std::max(largest, std::abs((double)y[j]));
        }
        all_measurable = all_measurable && std::isfinite(total * by) &&
                         (largest == 0 || (measurable(largest) && (by == 0 || measurable(largest * by))));
        longest = std::max(longest, std::sqrt(total));
        most_scale = std::max(most_scale, by);
        length[item] = std::sqrt(total) * by;
        order_[i] = item;
    }
    if (!all_measurable) return CYMBALS_BAD_VALUE;
    longest_ = longest, most_scale_ = most_scale;
    underflow_ = (double)(columns_ + 8) * std::numeric_limits<T>::denorm_min() * most_scale;
    std::sort(order_.get(), order_.get() + n,
              [&](int64_t a, int64_t b) { return length[a] != length[b] ? length[a] > length[b] : a < b; });
#pragma omp parallel for schedule(static) num_threads(n_threads)
    for (int64_t block = 0; block < blocks(); block++) {
        Span span = call.span(CYMBALS_PHASE_INDEX);
        blocks_[block].length = length[order_[block * kItems]];
        pack(items, scale, block);
        span.add(std::min(kItems, n - block * kItems), 0, 0, (double)(kItems * columns_) * (1 + sizeof(T)));
    }
    for (int64_t block = 0; block < blocks(); block++) most_half_ = std::max(most_half_, blocks_[block].half);
    return CYMBALS_OK;
}

template <class T>
void Screen<T>::pack(const cymbals_matrix &items, const T *scale, int64_t block) {
    const int64_t begin = block * kItems, count = std::min(kItems, n_ - begin), bytes = screen_bytes(quads_);
    double largest = 0;
    for (int64_t i = 0; i < count; i++) {
        const int64_t item = order_[begin + i];
        const double by = scale ? (double)scale[item] : 1;
        for (int64_t j = 0; j < columns_; j++) largest = std::max(largest, std::abs(row_of<T>(items, item)[j] * by));
    }
    Block &b = blocks_[block];
    b.unit = largest / kMostItem;
    b.rounded = b.error = b.half = 0;
    int8_t *const to = packed_.get() + block * kGroups * bytes;
    std::memset(to, 0, kGroups * bytes);
    for (int64_t i = 0; i < count; i++) {
        const int64_t item = order_[begin + i];
        const T *y = row_of<T>(items, item);
        const double by = scale ? (double)scale[item] : 1;
        int8_t *record = to + i / kScreenLanes * bytes;
        double rounded = 0, error = 0;
        for (int64_t segment = 0; segment < quads_; segment += kScreenSegment, record += 32) {
            int8_t *const start = record;
            int32_t sums[2] = {0, 0}, squares[2] = {0, 0};
            for (int64_t q = segment; q < std::min(quads_, segment + kScreenSegment); q++) {
                record += 32;
                for (int64_t k = 0; k < 4 && 4 * q + k < columns_; k++) {
                    const double value = y[4 * q + k] * by, integer = b.unit > 0 ? std::nearbyint(value / b.unit) : 0;
                    record[i % kScreenLanes * 4 + k] = (int8_t)integer;
                    sums[k / 2] += (int32_t)integer;
                    squares[k / 2] += (int32_t)(integer * integer);
                    error += (value - integer * b.unit) * (value - integer * b.unit);
                }
            }
            rounded += squares[0] + squares[1];
            b.half = std::max(b.half, std::sqrt((double)std::max(squares[0], squares[1])));
            for (int64_t half = 0; half < 2; half++) {  // subtracts in advance what kOffset adds to the sums
                const int16_t base = (int16_t)(uint16_t)(uint32_t)(-kOffset * sums[half]);
                std::memcpy(start + i % kScreenLanes * 4 + half * 2, &base, 2);
            }
        }
        b.rounded = std::max(b.rounded, std::sqrt(rounded) * b.unit);
        b.error = std::max(b.error, std::sqrt(error));
    }
}

template <class T>
bool Screen<T>::encode(const T *x, uint8_t *bytes, Query *query) const {
    double total = 0, largest = 0, half = 0;
    for (int64_t segment = 0; segment < columns_; segment += 4 * kScreenSegment) {
        double part[2] = {0, 0};
        for (int64_t j = segment; j < std::min(columns_, segment + 4 * kScreenSegment); j++) {
            largest = std::max(largest, std::abs((double)x[j]));
            part[j / 2 % 2] += (double)x[j] * x[j];
        }
        total += part[0] + part[1];
        half = std::max({half, part[0], part[1]});
    }
    query->length = std::sqrt(total);
    if (!measurable(largest) || !std::isfinite(total)) return false;
    // No score, and no partial sum of one, may overflow T.
    if (!(query->length * longest_ * most_scale_ * (1 + slack()) < (double)std::numeric_limits<T>::max())) return false;
    // No sum may overflow 16 bits: |x^| is at most |x| / u plus rounding.
    const double rounding = std::sqrt(2.0 * kScreenSegment) / 2;
    query->unit = std::max(largest / kMostQuery, std::sqrt(half) / (32767 / most_half_ - rounding));
    double error = 0;
    for (int64_t j = 0; j < 4 * quads_; j++) {
        const double value = j < columns_ ? (double)x[j] : 0, integer = std::nearbyint(value / query->unit);
        bytes[j] = (uint8_t)(integer + kOffset);
        error += (value - integer * query->unit) * (value - integer * query->unit);
    }
    query->error = std::sqrt(error);
    return true;
}

template <class T>
int32_t Screen<T>::needed(const Query &query, int64_t block, double least) const {
    const Block &b = blocks_[block];
    const double bound = query.error * b.rounded + query.length * (b.error + slack() * b.length) + underflow_,
                 unit = query.unit * b.unit, least_product = unit > 0 ? std::floor((least - bound) / unit) - 1 : 0;
    return (int32_t)std::clamp(least_product, -2147483647.0, 2147483647.0);
}

}  // namespace cymbals
