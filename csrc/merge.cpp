// Takes rows of a CSR matrix, and puts the entries of another one into them.

#include <algorithm>

#include "workspace.h"

namespace cymbals {
namespace {

constexpr int64_t kRows = 256;  // rows that a thread takes at a time
constexpr double kWork = 10;    // to copy an entry takes as long as this many multiply-adds

template <class I, class V>
struct Entries {
    const I *indices;
    const V *values;
    int64_t n;

    // The entries of a row; n is -1 if indptr is wrong there. It may change at any time, if it is mapped from a file,
    // so every number is read once.
    static Entries of(const cymbals_csr &m, int64_t n_entries, int64_t row) {
        const int64_t begin = m.indptr[row], end = m.indptr[row + 1];
        if (begin < 0 || end < begin || end > n_entries) return {nullptr, nullptr, -1};
        return {static_cast<const I *>(m.indices) + begin, static_cast<const V *>(m.values) + begin, end - begin};
    }
};

// The matrix, the changes (or null), how many entries each has, and the rows to take (null: all).
struct Inputs {
    const cymbals_csr *matrix, *changes;
    int64_t n_entries, n_changes, n_rows;
    const int64_t *rows;
};

// Calls copy(begin, end) for each stretch of `row` that stays, and put(i) for each change, in the order of the result.
template <class I, class V, class Copy, class Put>
void walk(const Entries<I, V> &row, const Entries<I, V> &changes, Copy copy, Put put) {
    const I *const end = row.indices + row.n;
    const I *next = row.indices;
    for (int64_t i = 0; i < changes.n; i++) {
        const I *at = std::lower_bound(next, end, changes.indices[i]);
        copy(next - row.indices, at - row.indices);
        put(i);
        next = at + (at != end && *at == changes.indices[i]);
    }
    copy(next - row.indices, row.n);
}

template <class I, class V>
int64_t merged_length(const Entries<I, V> &row, const Entries<I, V> &changes) {
    int64_t n = 0;
    walk(row, changes, [&](int64_t begin, int64_t end) { n += end - begin; }, [&](int64_t) { n++; });
    return n;
}

template <class I, class V>
void merge(const Entries<I, V> &row, const Entries<I, V> &changes, I *indices, V *values) {
    walk(
        row, changes,
        [&](int64_t begin, int64_t end) {
            indices = std::copy(row.indices + begin, row.indices + end, indices);
            values = std::copy(row.values + begin, row.values + end, values);
        },
        [&](int64_t i) {
            *indices++ = changes.indices[i];
            *values++ = changes.values[i];
        });
}

// Calls visit(i, row, changes) for each row of the result. False if indptr is wrong, or if a call returned false.
template <class I, class V, class Visit>
bool for_each_row(const Inputs &inputs, ApiCall &call, Visit visit) {
    bool good = true;
#pragma omp parallel num_threads(call.threads()) reduction(&& : good)
    {
        Span span = call.span();
#pragma omp for schedule(dynamic, kRows) nowait
        for (int64_t i = 0; i < inputs.n_rows; i++) {
            const int64_t row = inputs.rows ? inputs.rows[i] : i;
            const auto own = Entries<I, V>::of(*inputs.matrix, inputs.n_entries, row);
            const auto more = inputs.changes ? Entries<I, V>::of(*inputs.changes, inputs.n_changes, row)
                                             : Entries<I, V>{nullptr, nullptr, 0};
            good = own.n >= 0 && more.n >= 0 && visit(i, own, more) && good;
        }
    }
    return good;
}

template <class I, class V>
bool merge_rows(const Inputs &inputs, int64_t *indptr, I *indices, V *values, ApiCall &call) {
    using Row = const Entries<I, V> &;
    if (indices)
        return indptr[0] == 0 && for_each_row<I, V>(inputs, call, [=](int64_t i, Row row, Row more) {
                   if (merged_length(row, more) != indptr[i + 1] - indptr[i]) return false;
                   merge(row, more, indices + indptr[i], values + indptr[i]);
                   return true;
               });
    indptr[0] = 0;
    const bool good = for_each_row<I, V>(inputs, call, [=](int64_t i, Row row, Row more) {
        indptr[i + 1] = merged_length(row, more);
        return true;
    });
    for (int64_t i = 0; good && i < inputs.n_rows; i++) indptr[i + 1] += indptr[i];
    return good;
}

bool valid(const Inputs &inputs, ApiCall &call) {
    const cymbals_csr *matrix = inputs.matrix, *changes = inputs.changes;
    if (!call.csr("matrix", matrix, true) || !call.between("n_entries", inputs.n_entries, 0) ||
        !call.require(inputs.n_entries == 0 || (matrix->indices && matrix->values),
                      "matrix has no indices or values") ||
        !call.between("n_rows", inputs.n_rows, 0))
        return false;
    if (changes && (!call.csr("changes", changes, true) ||
                    !call.equal("changes->n_rows", changes->n_rows, "matrix->n_rows", matrix->n_rows) ||
                    !call.equal("changes->n_cols", changes->n_cols, "matrix->n_cols", matrix->n_cols) ||
                    !call.equal("changes->index_type", changes->index_type, "matrix->index_type", matrix->index_type) ||
                    !call.equal("changes->value_type", changes->value_type, "matrix->value_type", matrix->value_type)))
        return false;
    if (!inputs.rows) return call.between("n_rows", inputs.n_rows, 0, matrix->n_rows);
    for (int64_t i = 0; i < inputs.n_rows; i++)
        if (!call.require(inputs.rows[i] >= 0 && inputs.rows[i] < matrix->n_rows,
                          "rows[%lld] is %lld: matrix has %lld rows", (long long)i, (long long)inputs.rows[i],
                          (long long)matrix->n_rows))
            return false;
    return true;
}

}  // namespace
}  // namespace cymbals

extern "C" int32_t cymbals_merge_rows(cymbals_workspace *workspace, const cymbals_csr *matrix, int64_t n_entries,
                                      const cymbals_csr *changes, int64_t n_rows, const int64_t *rows, int64_t *indptr,
                                      void *indices, void *values) {
    using namespace cymbals;
    ApiCall call(workspace, CYMBALS_PHASE_OTHER);
    Inputs inputs = {matrix, changes, n_entries, 0, n_rows, rows};
    if (!call.ready() || !valid(inputs, call) || !call.not_null("indptr", indptr) ||
        !call.require(!indices || values, "values is null"))
        return CYMBALS_BAD_ARGUMENT;
    if (changes) inputs.n_changes = changes->indptr[changes->n_rows];
    const double share = matrix->n_rows ? (double)n_rows / (double)matrix->n_rows : 0;
    call.threads(kWork * share * ((double)n_entries + (double)inputs.n_changes));
    const bool good = with_index(matrix->index_type, [&](auto index) {
        return with_float(matrix->value_type, [&](auto value) {
            using I = decltype(index);
            using V = decltype(value);
            return merge_rows<I, V>(inputs, indptr, static_cast<I *>(indices), static_cast<V *>(values), call);
        });
    });
    return call.end(call.require(good, "matrix->indptr is wrong, or indptr is not that of the first call")
                        ? CYMBALS_OK
                        : CYMBALS_BAD_ARGUMENT);
}
