// Gives each id a number: its position among the distinct ids. Nothing is sorted. The first function marks the ids in a
// table over their range, and numbers the marked entries. The second one looks up the number of each id in the table.
// The third one does so for codes, such as those of categories, and marks the codes that occur. The last two are for
// ids that come in parts: one counts them in a table over their range, the other numbers them with a hash table, in the
// order in which they come.

#include <algorithm>
#include <atomic>
#include <cstring>

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

extern "C" int32_t cymbals_count_ids(cymbals_workspace *workspace, int64_t n, const int64_t *ids, int64_t lowest,
                                     int64_t range, int64_t *counts, int32_t *codes) {
    using namespace cymbals;
    ApiCall call(workspace, CYMBALS_PHASE_OTHER);
    if (!call.ready() || !call.between("n", n, 0) || !call.between("range", range, 0, (int64_t)INT32_MAX + 1) ||
        !call.require(n == 0 || (ids && codes), "ids or codes is null") ||
        !call.require(range == 0 || counts, "counts is null"))
        return CYMBALS_BAD_ARGUMENT;
    const int32_t n_threads = call.threads();
    bool inside = true;
    if (n_threads == 1) {
        for (int64_t i = 0; i < n; i++) {
            const uint64_t at = (uint64_t)ids[i] - (uint64_t)lowest;
            if (at < (uint64_t)range)
                counts[at]++;
            else
                inside = false;
            codes[i] = (int32_t)at;
        }
    } else {
#pragma omp parallel for schedule(static) num_threads(n_threads) reduction(&& : inside)
        for (int64_t i = 0; i < n; i++) {
            const uint64_t at = (uint64_t)ids[i] - (uint64_t)lowest;
            inside = inside && at < (uint64_t)range;
            codes[i] = (int32_t)at;
        }
        // Each thread counts the codes of its part of the table, so no two threads write to the same element.
#pragma omp parallel for schedule(static, 1) num_threads(n_threads)
        for (int32_t t = 0; t < n_threads; t++) {
            const int64_t begin = range * t / n_threads, end = range * (t + 1) / n_threads;
            for (int64_t i = 0; inside && i < n; i++)
                if (codes[i] >= begin && codes[i] < end) counts[codes[i]]++;
        }
    }
    return call.end(call.require(inside, "ids: one is outside [lowest, lowest + range)") ? CYMBALS_OK
                                                                                         : CYMBALS_BAD_ARGUMENT);
}

namespace {

constexpr int64_t kAhead = 32;  // ids whose slots are prefetched before the first of them is looked up

// Spreads numbers over the slots: the finalizer of MurmurHash3.
uint64_t hash(uint64_t h) {
    h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
    h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
    return h ^ h >> 33;
}

uint64_t hash(const char *text, int64_t size) {
    uint64_t h = (uint64_t)size * 0x9e3779b97f4a7c15u, word;
    for (; size >= 8; size -= 8, text += 8) {
        memcpy(&word, text, 8);
        h = ((h << 23 | h >> 41) ^ word) * 0x9e3779b97f4a7c15u;
    }
    word = 0;
    if (size > 0) memcpy(&word, text, (size_t)size);
    return hash(h ^ word);
}

// Checks the size of a hash table, which is at most half full.
bool good_table(cymbals::ApiCall &call, int64_t n_slots, int64_t most) {
    return call.between("n_slots", n_slots, 2, INT64_MAX / 16) &&
           call.require((n_slots & (n_slots - 1)) == 0, "n_slots is %lld, which is no power of two",
                        (long long)n_slots) &&
           call.between("most", most, 0, std::min<int64_t>(n_slots / 2, INT32_MAX));
}

}  // namespace

extern "C" int32_t cymbals_code_ids(cymbals_workspace *workspace, int64_t n, const int64_t *ids, int64_t n_slots,
                                    int64_t *slots, int64_t most, int64_t *known, int64_t *counts, int64_t *n_known,
                                    int32_t *codes, int64_t *n_done) {
    using namespace cymbals;
    ApiCall call(workspace, CYMBALS_PHASE_OTHER);
    if (!call.ready() || !call.between("n", n, 0) || !good_table(call, n_slots, most) ||
        !call.require(n == 0 || (ids && codes), "ids or codes is null") || !call.not_null("slots", slots) ||
        !call.require(most == 0 || (known && counts), "known or counts is null") ||
        !call.not_null("n_known", n_known) || !call.not_null("n_done", n_done) ||
        !call.between("n_known", *n_known, 0, most))
        return CYMBALS_BAD_ARGUMENT;
    const uint64_t mask = (uint64_t)n_slots - 1;
    int64_t have = *n_known, done = 0;
    uint64_t at[kAhead];
    while (done < n) {
        const int64_t begin = done, size = std::min(kAhead, n - begin);
        for (int64_t i = 0; i < size; i++) {
            at[i] = hash((uint64_t)ids[begin + i]) & mask;
            __builtin_prefetch(slots + 2 * at[i]);
        }
        int64_t i = 0;
        for (; i < size; i++) {
            const int64_t id = ids[begin + i];
            uint64_t slot = at[i];
            while (slots[2 * slot + 1] >= 0 && slots[2 * slot] != id) slot = (slot + 1) & mask;
            int64_t code = slots[2 * slot + 1];
            if (code < 0) {
                if (have == most) break;
                code = have++;
                slots[2 * slot] = id;
                slots[2 * slot + 1] = code;
                known[code] = id;
                counts[code] = 0;
            }
            codes[begin + i] = (int32_t)code;
            __builtin_prefetch(counts + code, 1);
        }
        for (int64_t j = 0; j < i; j++) counts[codes[begin + j]]++;
        done += i;
        if (i < size) break;
    }
    *n_known = have;
    *n_done = done;
    return CYMBALS_OK;
}

extern "C" int32_t cymbals_code_texts(cymbals_workspace *workspace, int64_t n, const int64_t *offsets, const char *text,
                                      int64_t n_slots, int64_t *slots, int64_t most, int64_t most_bytes,
                                      int64_t *known_offsets, char *known, int64_t *counts, int64_t *n_known,
                                      int32_t *codes, int64_t *n_done) {
    using namespace cymbals;
    ApiCall call(workspace, CYMBALS_PHASE_OTHER);
    if (!call.ready() || !call.between("n", n, 0) || !good_table(call, n_slots, most) ||
        !call.between("most_bytes", most_bytes, 0) || !call.not_null("offsets", offsets) ||
        !call.require(n == 0 || codes, "codes is null") || !call.not_null("slots", slots) ||
        !call.not_null("known_offsets", known_offsets) || !call.require(most == 0 || counts, "counts is null") ||
        !call.require(most_bytes == 0 || known, "known is null") || !call.not_null("n_known", n_known) ||
        !call.not_null("n_done", n_done) || !call.between("n_known", *n_known, 0, most))
        return CYMBALS_BAD_ARGUMENT;
    bool rising = offsets[0] >= 0;
    for (int64_t i = 0; i < n; i++) rising = rising && offsets[i] <= offsets[i + 1];
    if (!call.require(rising, "offsets decrease or are negative") ||
        !call.require(n == 0 || offsets[n] == offsets[0] || text, "text is null"))
        return CYMBALS_BAD_ARGUMENT;
    const uint64_t mask = (uint64_t)n_slots - 1;
    int64_t have = *n_known, done = 0;
    uint64_t hashes[kAhead], at[kAhead];
    while (done < n) {
        const int64_t begin = done, size = std::min(kAhead, n - begin);
        for (int64_t i = 0; i < size; i++) {
            const int64_t *from = offsets + begin + i;
            hashes[i] = hash(text + from[0], from[1] - from[0]);
            __builtin_prefetch(slots + 2 * (hashes[i] & mask));
        }
        for (int64_t i = 0; i < size; i++) {  // finds the first slot that may be the right one
            uint64_t slot = hashes[i] & mask;
            while (slots[2 * slot + 1] >= 0 && (uint64_t)slots[2 * slot] != hashes[i]) slot = (slot + 1) & mask;
            at[i] = slot;
            if (slots[2 * slot + 1] < 0) continue;
            __builtin_prefetch(known_offsets + slots[2 * slot + 1]);
            __builtin_prefetch(counts + slots[2 * slot + 1], 1);
        }
        int64_t i = 0;
        for (; i < size; i++) {
            const char *from = text + offsets[begin + i];
            const int64_t length = offsets[begin + i + 1] - offsets[begin + i];
            uint64_t slot = at[i];
            int64_t code;
            for (; (code = slots[2 * slot + 1]) >= 0; slot = (slot + 1) & mask)
                if ((uint64_t)slots[2 * slot] == hashes[i] && known_offsets[code + 1] - known_offsets[code] == length &&
                    memcmp(known + known_offsets[code], from, (size_t)length) == 0)
                    break;
            if (code < 0) {
                if (have == most || length > most_bytes - known_offsets[have]) break;
                code = have++;
                slots[2 * slot] = (int64_t)hashes[i];
                slots[2 * slot + 1] = code;
                if (length > 0) memcpy(known + known_offsets[code], from, (size_t)length);
                known_offsets[have] = known_offsets[code] + length;
                counts[code] = 0;
            }
            codes[begin + i] = (int32_t)code;
            counts[code]++;
        }
        done += i;
        if (i < size) break;
    }
    *n_known = have;
    *n_done = done;
    return CYMBALS_OK;
}
