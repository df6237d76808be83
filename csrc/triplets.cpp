// Makes a CSR matrix of (row, column, value) triplets. The triplets are first divided into groups of consecutive rows,
// most of which fit in a core's cache. Then each group is sorted by row and column. The values of triplets with the
// same row and column are added in input order.

#include <array>
#include <limits>
#include <type_traits>
#include <utility>

#include "bucket.h"

namespace cymbals {
namespace {

// The key is the row's number within its group, followed by the bits of the column.
template <class K, class V>
struct Entry {
    K key;
    V value;
};

constexpr int64_t kShort = 48;                    // groups of at most this many entries are sorted by insertion
constexpr int64_t kEntries = 1 << 15;             // entries of a group, on average, unless there are too many groups
constexpr int64_t kMostGroups = 1 << 11;          // to divide triplets into more groups takes longer
constexpr int kDigit = 8, kDigits = 1 << kDigit;  // bits of a digit in the radix sort, and how many digits there are

// How many bits the numbers 0 .. n - 1 need.
int bits_of(int64_t n) {
    int bits = 0;
    while (bits < 63 && (n - 1) >> bits > 0) bits++;
    return bits;
}

// How the bits of a key are divided.
struct Bits {
    int row, column;
};

// The bits of keys of `width` bits. Groups have about kEntries entries, or fewer if the numbers of row and column
// together do not fit in a key.
Bits bits_of_keys(int64_t n, int64_t n_rows, int64_t n_cols, int width) {
    int64_t groups = 1;
    while (groups < kMostGroups && groups * kEntries < n) groups *= 2;
    const int column = bits_of(n_cols);
    return {std::min(std::max(0, bits_of(n_rows) - bits_of(groups)), width - column), column};
}

// Sorts entries by the low `bits` of their keys, stably. Returns the sorted entries: `entries`, or `other`, which has
// room for n entries.
template <class K, class V>
const Entry<K, V> *sorted(Entry<K, V> *entries, int64_t n, Entry<K, V> *other, int bits) {
    const auto before = [](const Entry<K, V> &a, const Entry<K, V> &b) { return a.key < b.key; };
    if (std::is_sorted(entries, entries + n, before)) return entries;
    if (n <= kShort) {
        for (int64_t i = 1; i < n; i++) {
            const Entry<K, V> entry = entries[i];
            int64_t to = i;
            for (; to > 0 && before(entry, entries[to - 1]); to--) entries[to] = entries[to - 1];
            entries[to] = entry;
        }
        return entries;
    }
    const int passes = (bits + kDigit - 1) / kDigit;
    std::array<std::array<int64_t, kDigits>, sizeof(K) * 8 / kDigit> counts = {};
    for (int64_t i = 0; i < n; i++)
        for (int pass = 0; pass < passes; pass++) counts[pass][entries[i].key >> pass * kDigit & (kDigits - 1)]++;
    for (int pass = 0; pass < passes; pass++) {
        std::array<int64_t, kDigits> &next = counts[pass];
        int64_t total = 0;
        for (int64_t &count : next) total += std::exchange(count, total);
        for (int64_t i = 0; i < n; i++) other[next[entries[i].key >> pass * kDigit & (kDigits - 1)]++] = entries[i];
        std::swap(entries, other);
    }
    return entries;
}

// Writes the columns and values of sorted entries, and adds up the values of equal keys. Adds the number of entries
// written to `lengths` of each row. Returns how many there are in all.
template <class K, class I, class V>
int64_t merge(const Entry<K, V> *entries, int64_t n, Bits bits, I *indices, V *values, int64_t *lengths) {
    const K column = (K)(((uint64_t)1 << bits.column) - 1);
    int64_t kept = 0;
    for (int64_t i = 0; i < n; kept++) {
        const K key = entries[i].key;
        double total = entries[i].value;
        for (i++; i < n && entries[i].key == key; i++) total += entries[i].value;
        indices[kept] = (I)(key & column);
        values[kept] = (V)total;
        lengths[(uint64_t)key >> bits.column]++;
    }
    return kept;
}

template <class I, class V>
int32_t from_triplets(int64_t n, const I *rows, const I *cols, const V *values, int64_t n_rows, int64_t n_cols,
                      int64_t *indptr, I *indices, V *out, ApiCall &call) {
    using K = std::make_unsigned_t<I>;
    const int32_t n_threads = call.threads();
    // Columns are below n_cols and fit in I, which may not hold n_cols.
    const int64_t most = std::min<int64_t>(n_cols, std::numeric_limits<I>::max());
    const Bits bits = bits_of_keys(n, n_rows, most, 8 * sizeof(K));
    const int64_t n_groups = n_rows == 0 ? 0 : ((n_rows - 1) >> bits.row) + 1;
    const K row_in_group = (K)(((uint64_t)1 << bits.row) - 1);
    Buffer<int64_t> begin = buffer<int64_t>(n_groups + 1), kept = buffer<int64_t>(n_groups);
    if (!begin || !kept) return CYMBALS_NO_MEMORY;
    const int32_t status = bucket_sort(
        n, n_groups, begin.get(), call, 5.0 * sizeof(I) + 2.0 * sizeof(V),
        [=](int64_t i) { return (int64_t)rows[i] >> bits.row; },
        [=](int64_t from, int64_t to) {
            indices[to] = (I)((K)(((K)rows[from] & row_in_group) << bits.column) | (K)cols[from]);
            out[to] = values[from];
        });
    if (status != CYMBALS_OK) return status;
    int64_t largest = 0;
    for (int64_t g = 0; g < n_groups; g++) largest = std::max(largest, begin[g + 1] - begin[g]);
    bool enough = true;
    std::fill_n(indptr, n_rows + 1, int64_t(0));
#pragma omp parallel num_threads(n_threads) reduction(&& : enough)
    {
        Buffer<Entry<K, V>> entries = buffer<Entry<K, V>>(largest), other = buffer<Entry<K, V>>(largest);
        enough = entries && other;
#pragma omp for schedule(dynamic, 1)
        for (int64_t g = 0; g < n_groups; g++) {
            if (!enough) continue;
            const int64_t first = begin[g], size = begin[g + 1] - first;
            for (int64_t i = 0; i < size; i++) entries[i] = {(K)indices[first + i], out[first + i]};
            const Entry<K, V> *in_order = sorted(entries.get(), size, other.get(), bits.row + bits.column);
            kept[g] = merge(in_order, size, bits, indices + first, out + first, indptr + 1 + (g << bits.row));
        }
    }
    if (!enough) return CYMBALS_NO_MEMORY;
    for (int64_t r = 0; r < n_rows; r++) indptr[r + 1] += indptr[r];
    int64_t to = 0;
    for (int64_t g = 0; g < n_groups; to += kept[g++]) {  // closes the gaps that merged entries have left
        if (to == begin[g]) continue;
        std::copy_n(indices + begin[g], kept[g], indices + to);
        std::copy_n(out + begin[g], kept[g], out + to);
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
