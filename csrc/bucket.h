// A stable parallel counting sort. It transposes CSR matrices, and makes them from triplets.
#pragma once

#include <algorithm>

#include "workspace.h"

namespace cymbals {

// Sorts n items by key(from), which is below n_keys; items with equal keys keep their order. Calls move(from, to) for
// every item: `from` is its position in the input, `to` its position in the sorted order. indptr (n_keys + 1) is set to
// the position where each key begins. The input is cut into runs, at most one for each thread. The number of runs
// is limited so that the counters of all runs together are about n numbers, or n_keys if that is more. The result does
// not depend on the number of runs. `bytes` is what sorting one item reads and writes, for the record.
template <class Key, class Move>
int32_t bucket_sort(int64_t n, int64_t n_keys, int64_t *indptr, ApiCall &call, double bytes, Key key, Move move) {
    const int32_t n_threads = call.threads();
    const int64_t affordable = std::max<int64_t>(1, n / std::max<int64_t>(1, n_keys));
    const int64_t runs = std::min<int64_t>(n_threads, affordable);
    Buffer<int64_t> counts = buffer<int64_t>(runs * n_keys);
    if (!counts) return CYMBALS_NO_MEMORY;
#pragma omp parallel for schedule(static, 1) num_threads(n_threads)
    for (int64_t run = 0; run < runs; run++) {
        Span span = call.span();
        int64_t *count = counts.get() + run * n_keys;
        std::fill_n(count, n_keys, int64_t(0));
        for (int64_t i = n * run / runs; i < n * (run + 1) / runs; i++) count[key(i)]++;
    }
    int64_t total = 0;
    for (int64_t k = 0; k < n_keys; k++) {
        indptr[k] = total;
        for (int64_t run = 0; run < runs; run++) {
            const int64_t here = counts[run * n_keys + k];
            counts[run * n_keys + k] = total;
            total += here;
        }
    }
    indptr[n_keys] = total;
#pragma omp parallel for schedule(static, 1) num_threads(n_threads)
    for (int64_t run = 0; run < runs; run++) {
        Span span = call.span();
        int64_t *next = counts.get() + run * n_keys;
        const int64_t begin = n * run / runs, end = n * (run + 1) / runs;
        for (int64_t i = begin; i < end; i++) move(i, next[key(i)]++);
        span.add(0, end - begin, 0, (double)(end - begin) * bytes);
    }
    return CYMBALS_OK;
}

}  // namespace cymbals
