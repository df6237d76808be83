// Ids to their places among the distinct ones, by a table over the range that they span: two passes over the ids
// instead of sorting them.

#include <algorithm>
#include <atomic>

#include "common.h"

extern "C" int32_t cymbals_number_ids(int64_t n, const int64_t *ids, int64_t lowest, int64_t range, int32_t *table,
                                      int64_t *n_distinct, int32_t n_threads) {
    using namespace cymbals;
    constexpr int64_t block = 1 << 16;  // of the table: counted apart, so that they can be numbered apart
    static_assert(sizeof(std::atomic<int32_t>) == sizeof(int32_t), "the table is written by several threads");
    if (n < 0 || range < 0 || range > INT32_MAX || (n > 0 && !ids) || (range > 0 && !table) || !n_distinct ||
        n_threads < 1)
        return CYMBALS_BAD_ARGUMENT;
    const int64_t blocks = (range + block - 1) / block;
    Buffer<int64_t> begins = buffer<int64_t>(blocks + 1);
    if (!begins) return CYMBALS_NO_MEMORY;
    bool inside = true;
#pragma omp parallel num_threads(n_threads) reduction(&& : inside)
    {
#pragma omp for schedule(static)
        for (int64_t i = 0; i < range; i++) table[i] = 0;
#pragma omp for schedule(static)
        for (int64_t i = 0; i < n; i++) {
            const uint64_t at = (uint64_t)ids[i] - (uint64_t)lowest;
            if (at < (uint64_t)range)
                reinterpret_cast<std::atomic<int32_t> *>(table)[at].store(1, std::memory_order_relaxed);
            else
                inside = false;
        }
    }
    if (!inside) return CYMBALS_BAD_ARGUMENT;
#pragma omp parallel for schedule(static) num_threads(n_threads)
    for (int64_t b = 0; b < blocks; b++) {
        int64_t count = 0;
        for (int64_t i = b * block; i < std::min(range, (b + 1) * block); i++) count += table[i];
        begins[b + 1] = count;
    }
    begins[0] = 0;
    for (int64_t b = 0; b < blocks; b++) begins[b + 1] += begins[b];
#pragma omp parallel for schedule(static) num_threads(n_threads)
    for (int64_t b = 0; b < blocks; b++) {
        int64_t next = begins[b];
        for (int64_t i = b * block; i < std::min(range, (b + 1) * block); i++)
            table[i] = table[i] ? (int32_t)next++ : -1;
    }
    *n_distinct = begins[blocks];
    return CYMBALS_OK;
}

extern "C" int32_t cymbals_look_up_ids(int64_t n, const int64_t *ids, int64_t lowest, int64_t range,
                                       const int32_t *table, int32_t *places, int32_t n_threads) {
    if (n < 0 || range < 0 || (n > 0 && (!ids || !places)) || (range > 0 && !table) || n_threads < 1)
        return CYMBALS_BAD_ARGUMENT;
#pragma omp parallel for schedule(static) num_threads(n_threads)
    for (int64_t i = 0; i < n; i++) {
        const uint64_t at = (uint64_t)ids[i] - (uint64_t)lowest;
        places[i] = at < (uint64_t)range ? table[at] : -1;
    }
    return CYMBALS_OK;
}
