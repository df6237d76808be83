// Gives each id a number: its position among the distinct ids. Nothing is sorted. The first function marks the ids in a
// table over their range, and numbers the marked entries. The second one looks up the number of each id in the table.
// The third one does so for codes, such as those of categories, and marks the codes that occur.

#include <algorithm>
#include <atomic>

#include "workspace.h"

extern "C" int32_t cymbals_number_ids(cymbals_workspace *workspace, int64_t n, const int64_t *ids, int64_t lowest,
                                      int64_t range, int32_t *table, int64_t *n_distinct) {
    using namespace cymbals;
    constexpr int64_t block = 1 << 16;  // entries of the table that one thread counts, then numbers
    static_assert(sizeof(std::atomic<int32_t>) == sizeof(int32_t), "the table is written by several threads");
    ApiCall call(workspace, CYMBALS_PHASE_OTHER);
    if (!call.ready() || !call.between("n", n, 0) || !call.between("range", range, 0, INT32_MAX) ||
        !call.require(n == 0 || ids, "ids is null") || !call.require(range == 0 || table, "table is null") ||
        !call.not_null("n_distinct", n_distinct))
        return CYMBALS_BAD_ARGUMENT;
    const int32_t n_threads = call.threads();
    const int64_t blocks = (range + block - 1) / block;
    Buffer<int64_t> begins = buffer<int64_t>(blocks + 1);
    if (!begins) return call.end(CYMBALS_NO_MEMORY);
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
    if (!call.require(inside, "ids: one is outside [lowest, lowest + range)")) return CYMBALS_BAD_ARGUMENT;
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

extern "C" int32_t cymbals_look_up_ids(cymbals_workspace *workspace, int64_t n, const int64_t *ids, int64_t lowest,
                                       int64_t range, const int32_t *table, int32_t *places) {
    cymbals::ApiCall call(workspace, CYMBALS_PHASE_OTHER);
    if (!call.ready() || !call.between("n", n, 0) || !call.between("range", range, 0) ||
        !call.require(n == 0 || (ids && places), "ids or places is null") ||
        !call.require(range == 0 || table, "table is null"))
        return CYMBALS_BAD_ARGUMENT;
#pragma omp parallel for schedule(static) num_threads(call.threads())
    for (int64_t i = 0; i < n; i++) {
        const uint64_t at = (uint64_t)ids[i] - (uint64_t)lowest;
        places[i] = at < (uint64_t)range ? table[at] : -1;
    }
    return CYMBALS_OK;
}

namespace {

constexpr int64_t kCodes = 1 << 16;  // that a thread takes at a time

// A function of its own, because a byte that is written may alias the variables of a parallel loop.
template <class Code>
bool renumber_block(const Code *codes, int64_t n, int64_t range, const int32_t *table, int32_t *places, uint8_t *used) {
    bool inside = true;
    for (int64_t i = 0; i < n; i++) {
        const uint64_t at = (uint64_t)codes[i];
        if (at >= (uint64_t)range) {
            inside = false;
            continue;
        }
        reinterpret_cast<std::atomic<uint8_t> *>(used)[at].store(1, std::memory_order_relaxed);
        places[i] = table ? table[at] : (int32_t)at;
    }
    return inside;
}

}  // namespace

extern "C" int32_t cymbals_renumber(cymbals_workspace *workspace, int64_t n, const void *codes, int32_t code_type,
                                    int64_t range, const int32_t *table, int32_t *places, uint8_t *used) {
    using namespace cymbals;
    static_assert(sizeof(std::atomic<uint8_t>) == sizeof(uint8_t), "the marks are written by several threads");
    ApiCall call(workspace, CYMBALS_PHASE_OTHER);
    if (!call.ready() || !call.between("n", n, 0) ||
        !call.between("code_type", code_type, CYMBALS_INT32, CYMBALS_INT64) ||
        !call.between("range", range, 0, table ? INT64_MAX : (int64_t)INT32_MAX + 1) ||
        !call.require(n == 0 || (codes && places), "codes or places is null") ||
        !call.require(range == 0 || used, "used is null"))
        return CYMBALS_BAD_ARGUMENT;
    std::fill_n(used, range, uint8_t(0));
    bool inside = true;
    with_index(code_type, [&](auto type) {
        using Code = decltype(type);
#pragma omp parallel for schedule(static) num_threads(call.threads()) reduction(&& : inside)
        for (int64_t block = 0; block < n; block += kCodes)
            inside = renumber_block(static_cast<const Code *>(codes) + block, std::min(kCodes, n - block), range, table,
                                    places + block, used) &&
                     inside;
        return 0;
    });
    return call.end(call.require(inside, "codes: one is outside [0, range)") ? CYMBALS_OK : CYMBALS_BAD_ARGUMENT);
}
