// The 16-bit copy of the fixed side. The numbers are bfloat16, the upper halves of floats. Two numbers share 32 bits; a
// shift turns one into a float, and a mask the other. They are elements j and j + L of a row, where L is the lanes of a
// vector. So a vector of pairs becomes two vectors of consecutive elements.

inline int64_t pair_vectors(int64_t f) { return (f + kPair<float> - 1) / kPair<float>; }

void compress(int32_t *pairs, int64_t pairs_stride, const float *y, int64_t stride, int64_t n, int64_t f,
              const float *scale) {
    constexpr int64_t L = kLanes<float>, P = kPair<float>;
    const int64_t whole = f / P * P;
    for (int64_t i = 0; i < n; i++, y += stride, pairs += pairs_stride) {
        for (int64_t j = 0; j < whole; j += P)
            store_pairs(pairs + j / 2, packed(load(y + j) * load(scale + j), load(y + j + L) * load(scale + j + L)));
        if (whole == f) continue;
        float tail[P] = {};  // the last elements, filled up with zeros
        for (int64_t j = whole; j < f; j++) tail[j - whole] = y[j] * scale[j];
        store_pairs(pairs + whole / 2, packed(load(tail), load(tail + L)));
    }
}

void expand(float *y, const int32_t *pairs, int64_t f) {
    constexpr int64_t L = kLanes<float>, P = kPair<float>;
    for (int64_t j = 0; j < f; j += P, pairs += L) {
        float both[P];
        store(both, lower(load_pairs(pairs)));
        store(both + L, upper(load_pairs(pairs)));
        for (int64_t k = 0; k < P && j + k < f; k++) y[j + k] = both[k];
    }
}

// Fetches a row of the copy into the first-level cache.
CYMBALS_INLINE void fetch_pairs(const int32_t *row, int64_t vectors) {
    const int64_t lines = (vectors * CYMBALS_BYTES + 63) / 64;
#pragma GCC unroll 16
    for (int64_t line = 0; line < lines; line++) __builtin_prefetch(row + 16 * line, 0, 3);
}
