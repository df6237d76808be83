// Counts and finds scores in an array of scores. A NaN is never counted and never found.

// Bit i of the result: whether lane i of a comparison is true.
template <class M>
CYMBALS_INLINE uint32_t bits(M mask) {
#if CYMBALS_BYTES == 64 && defined(__AVX512DQ__)
    if constexpr (sizeof(mask[0]) == 4)
        return _mm512_movepi32_mask((__m512i)mask);
    else
        return _mm512_movepi64_mask((__m512i)mask);
#elif CYMBALS_BYTES == 32 && defined(__AVX2__)
    if constexpr (sizeof(mask[0]) == 4)
        return (uint32_t)_mm256_movemask_ps((__m256)mask);
    else
        return (uint32_t)_mm256_movemask_pd((__m256d)mask);
#else
    uint32_t all = 0;
    for (uint32_t i = 0; i < sizeof(M) / sizeof(mask[0]); i++) all |= (uint32_t)(mask[i] & 1) << i;
    return all;
#endif
}

// Writes the positions of the scores that are at least `least` to places, in order; returns their number.
template <class T>
int64_t find_at_least(const T *s, int64_t n, T least, int32_t *places) {
    constexpr int64_t L = kLanes<T>;
    const int64_t whole = n / L * L;
    int64_t found = 0;
    for (int64_t i = 0; i < whole; i += L)
        for (uint32_t hits = bits(load(s + i) >= least); hits; hits &= hits - 1)
            places[found++] = (int32_t)i + __builtin_ctz(hits);
    for (int64_t i = whole; i < n; i++)
        if (s[i] >= least) places[found++] = (int32_t)i;
    return found;
}

// Does what `count` does, for N values.
template <class T, int64_t N>
inline void count_tile(const T *s, int64_t n, const T *values, int64_t *less, int64_t *not_more) {
    constexpr int64_t L = kLanes<T>;
    typedef decltype(Vec<T>{} < Vec<T>{}) Mask;
    const int64_t whole = n / L * L;
    Mask below[N] = {}, upto[N] = {};  // counters that count down, in each lane
    for (int64_t i = 0; i < whole; i += L) {
        const Vec<T> v = load(s + i);
#pragma GCC unroll 4
        for (int64_t k = 0; k < N; k++) {
            below[k] = v < values[k] ? below[k] - 1 : below[k];
            upto[k] = v <= values[k] ? upto[k] - 1 : upto[k];
        }
    }
#pragma GCC unroll 4
    for (int64_t k = 0; k < N; k++) {  // the counts are small enough to be exact in T
        int64_t n_below = -(int64_t)sum<T>(__builtin_convertvector(below[k], Vec<T>));
        int64_t n_upto = -(int64_t)sum<T>(__builtin_convertvector(upto[k], Vec<T>));
        for (int64_t i = whole; i < n; i++) n_below += s[i] < values[k], n_upto += s[i] <= values[k];
        less[k] += n_below, not_more[k] += n_upto;
    }
}

// For each value: adds the number of scores below it to less[k], and the number of scores not above it to not_more[k].
template <class T>
void count(const T *s, int64_t n, const T *values, int64_t n_values, int64_t *less, int64_t *not_more) {
    int64_t k = 0;
    for (; k + 4 <= n_values; k += 4) count_tile<T, 4>(s, n, values + k, less + k, not_more + k);
    for (; k + 2 <= n_values; k += 2) count_tile<T, 2>(s, n, values + k, less + k, not_more + k);
    for (; k < n_values; k++) count_tile<T, 1>(s, n, values + k, less + k, not_more + k);
}
