// Makes a CSR matrix of (row, column, value) triplets. The triplets are sorted by row, and each row by column. The
// values of triplets with the same row and column are added in input order.

#include <utility>

#include "bucket.h"

namespace cymbals {
namespace {

template <class I, class V>
struct Entry {
    I col;
    V value;
};

constexpr int64_t kShort = 48;     // rows of at most this many entries are sorted by insertion
constexpr int64_t kMostDigit = 8;  // bits of a digit in a radix sort

// Sorts a row by column, stably. Long rows are sorted by radix, which divides the `bits` of a column number into digits
// of the same length. `other` is scratch memory of n entries.
template <class I, class V>
void sort_row(Entry<I, V> *row, int64_t n, Entry<I, V> *other, int bits) {
    const auto before = [](const Entry<I, V> &a, const Entry<I, V> &b) { return a.col < b.col; };
    if (std::is_sorted(row, row + n, before)) return;
    if (n <= kShort) {
        for (int64_t i = 1; i < n; i++) {
            const Entry<I, V> entry = row[i];
            int64_t to = i;
            for (; to > 0 && before(entry, row[to - 1]); to--) row[to] = row[to - 1];
            row[to] = entry;
        }
        return;
    }
    const int passes = (int)((bits + kMostDigit - 1) / kMostDigit), digit = (bits + passes - 1) / passes;
    const uint64_t mask = ((uint64_t)1 << digit) - 1;
    Entry<I, V> *from = row, *to = other;
    for (int pass = 0; pass < passes; pass++, std::swap(from, to)) {
        int64_t next[(1 << kMostDigit) + 1] = {};
        for (int64_t i = 0; i < n; i++) next[((uint64_t)from[i].col >> pass * digit & mask) + 1]++;
        for (uint64_t d = 1; d <= mask; d++) next[d] += next[d - 1];
        for (int64_t i = 0; i < n; i++) to[next[(uint64_t)from[i].col >> pass * digit & mask]++] = from[i];
    }
    if (from != row) std::copy_n(from, n, row);
}

// Adds up the values of equal columns in a sorted row, in place; returns the number of entries that are left.
template <class I, class V>
int64_t merge(Entry<I, V> *row, int64_t n) {
    int64_t kept = 0;
    for (int64_t i = 0; i < n;) {
        const I col = row[i].col;
        double total = 0;
        for (; i < n && row[i].col == col; i++) total += row[i].value;
        row[kept++] = {col, (V)total};
    }
    return kept;
}

template <class I, class V>
int32_t from_triplets(int64_t n, const I *rows, const I *cols, const V *values, int64_t n_rows, int64_t n_cols,
                      int64_t *indptr, I *indices, V *out, ApiCall &call) {
    const int32_t n_threads = call.threads();
    Buffer<Entry<I, V>> entries = buffer<Entry<I, V>>(n);
    Buffer<int64_t> begin = buffer<int64_t>(n_rows + 1);
    if (!entries || !begin) return CYMBALS_NO_MEMORY;
    const int32_t status = bucket_sort(
        n, n_rows, begin.get(), call, 3.0 * sizeof(I) + sizeof(V) + sizeof(Entry<I, V>),
        [=](int64_t i) { return rows[i]; },
        [&](int64_t from, int64_t to) { entries[to] = {cols[from], values[from]}; });
    if (status != CYMBALS_OK) return status;
    int64_t longest = 0;
    for (int64_t r = 0; r < n_rows; r++) longest = std::max(longest, begin[r + 1] - begin[r]);
    int bits = 1;
    while (bits < 63 && n_cols >> bits > 0) bits++;
    bool enough = true;
    indptr[0] = 0;
#pragma omp parallel num_threads(n_threads) reduction(&& : enough)
    {
        Buffer<Entry<I, V>> other = buffer<Entry<I, V>>(longest);
        enough = bool(other);
#pragma omp for schedule(dynamic, 64)
        for (int64_t r = 0; r < n_rows; r++) {
            if (!enough) continue;
            sort_row(entries.get() + begin[r], begin[r + 1] - begin[r], other.get(), bits);
            indptr[r + 1] = merge(entries.get() + begin[r], begin[r + 1] - begin[r]);
        }
    }
    if (!enough) return CYMBALS_NO_MEMORY;
    for (int64_t r = 0; r < n_rows; r++) indptr[r + 1] += indptr[r];
#pragma omp parallel for schedule(static) num_threads(n_threads)
    for (int64_t r = 0; r < n_rows; r++) {
        const Entry<I, V> *row = entries.get() + begin[r];
        for (int64_t i = indptr[r]; i < indptr[r + 1]; i++, row++) {
            indices[i] = row->col;
            out[i] = row->value;
        }
    }
    return CYMBALS_OK;
}

}  // namespace
}  // namespace cymbals

extern "C" int32_t cymbals_from_triplets(cymbals_workspace *workspace, int64_t n, const void *rows, const void *cols,
                                         int32_t index_type, const void *values, int32_t value_type, int64_t n_rows,
                                         int64_t n_cols, int64_t *indptr, void *indices, void *out_values) {
    using namespace cymbals;
    ApiCall call(workspace, CYMBALS_PHASE_TRIPLETS);
    if (!call.ready() || !call.between("n", n, 0) || !call.between("n_rows", n_rows, 0) ||
        !call.between("n_cols", n_cols, 0) || !call.not_null("indptr", indptr) ||
        !call.between("index_type", index_type, CYMBALS_INT32, CYMBALS_INT64) ||
        !call.between("value_type", value_type, CYMBALS_FLOAT32, CYMBALS_FLOAT64) ||
        !call.require(n == 0 || (rows && cols && values && indices && out_values),
                      "rows, cols, values, indices or out_values is null"))
        return CYMBALS_BAD_ARGUMENT;
    return call.end(with_index(index_type, [&](auto index) {
        return with_float(value_type, [&](auto value) {
            using I = decltype(index);
            using V = decltype(value);
            const I *r = static_cast<const I *>(rows), *c = static_cast<const I *>(cols);
            bool inside = true;
#pragma omp parallel for schedule(static) num_threads(call.threads()) reduction(&& : inside)
            for (int64_t i = 0; i < n; i++) inside = inside && r[i] >= 0 && r[i] < n_rows && c[i] >= 0 && c[i] < n_cols;
            if (!call.require(inside, "rows or cols: a number is negative, or not below n_rows or n_cols"))
                return (int32_t)CYMBALS_BAD_ARGUMENT;
            return from_triplets<I, V>(n, r, c, static_cast<const V *>(values), n_rows, n_cols, indptr,
                                       static_cast<I *>(indices), static_cast<V *>(out_values), call);
        });
    }));
}
