// Transposes CSR: a stable sort of the entries by column, so the rows of the result are sorted.

#include "bucket.h"

namespace cymbals {
namespace {

template <class I, class O, class V>
int32_t transpose(const cymbals_csr &m, int64_t *t_indptr, O *t_indices, V *t_values, ApiCall &call) {
    const int64_t n = m.indptr[m.n_rows];
    Buffer<O> rows = buffer<O>(n);
    if (!rows) return CYMBALS_NO_MEMORY;
#pragma omp parallel for schedule(static) num_threads(call.threads())
    for (int64_t r = 0; r < m.n_rows; r++) std::fill(rows.get() + m.indptr[r], rows.get() + m.indptr[r + 1], (O)r);
    const I *indices = static_cast<const I *>(m.indices);
    const V *values = static_cast<const V *>(m.values);
    return bucket_sort(
        n, m.n_cols, t_indptr, call, 2.0 * sizeof(I) + 3.0 * sizeof(O) + 2.0 * sizeof(V),
        [=](int64_t i) { return indices[i]; },
        [&](int64_t from, int64_t to) {
            t_indices[to] = rows[from];
            t_values[to] = values[from];
        });
}

}  // namespace
}  // namespace cymbals

extern "C" int32_t cymbals_transpose(cymbals_workspace *workspace, const cymbals_csr *matrix, int64_t *t_indptr,
                                     void *t_indices, int32_t t_index_type, void *t_values) {
    using namespace cymbals;
    ApiCall call(workspace, CYMBALS_PHASE_TRANSPOSE);
    if (!call.ready() || !call.csr("matrix", matrix, true) || !call.not_null("t_indptr", t_indptr) ||
        !call.between("t_index_type", t_index_type, CYMBALS_INT32, CYMBALS_INT64) ||
        !call.require(t_index_type == CYMBALS_INT64 || matrix->n_rows <= INT32_MAX,
                      "matrix->n_rows is %lld: t_index_type cannot be CYMBALS_INT32", (long long)matrix->n_rows) ||
        !call.require(matrix->indptr[matrix->n_rows] == 0 || (t_indices && t_values), "t_indices or t_values is null"))
        return CYMBALS_BAD_ARGUMENT;
    return call.end(with_index(matrix->index_type, [&](auto index) {
        return with_index(t_index_type, [&](auto t_index) {
            return with_float(matrix->value_type, [&](auto value) {
                using O = decltype(t_index);
                using V = decltype(value);
                return transpose<decltype(index), O, V>(*matrix, t_indptr, static_cast<O *>(t_indices),
                                                        static_cast<V *>(t_values), call);
            });
        });
    }));
}
