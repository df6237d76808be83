// Products of 8-bit vectors, which decide whether a score has to be computed. A 32-bit lane of the items holds four
// columns of one item. The same lane of the sums holds two 16-bit sums, modulo 2^16: the lower half adds up the
// products of the first two columns, the upper half those of the other two. Callers choose scales for which the true
// sums over a segment fit in 16 bits.

#if CYMBALS_HAVE_SCREEN

constexpr int64_t kScreenUsers = 4, kScreenGroups = 2;

template <int64_t R, int64_t C>
inline void screen_tile(const uint8_t *const *users, const int8_t *groups, int64_t quads, const int32_t *least,
                        uint8_t *hits, int64_t hits_stride) {
    const int64_t record = screen_bytes(quads);
    __m256i total[R][C];
    const int8_t *at = groups;
    for (int64_t begin = 0; begin < quads; begin += kScreenSegment, at += 32) {
        const int64_t end = begin + kScreenSegment < quads ? begin + kScreenSegment : quads;
        __m256i sums[R][C];
#pragma GCC unroll 4
        for (int64_t c = 0; c < C; c++) {
            const __m256i base = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(at + c * record));
#pragma GCC unroll 4
            for (int64_t r = 0; r < R; r++) sums[r][c] = base;
        }
        for (int64_t q = begin; q < end; q++) {
            at += 32;
            __m256i items[C];
#pragma GCC unroll 4
            for (int64_t c = 0; c < C; c++)
                items[c] = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(at + c * record));
#pragma GCC unroll 4
            for (int64_t r = 0; r < R; r++) {
                int32_t four;
                __builtin_memcpy(&four, users[r] + 4 * q, 4);
                const __m256i user = _mm256_set1_epi32(four);
#pragma GCC unroll 4
                for (int64_t c = 0; c < C; c++)
                    sums[r][c] = _mm256_add_epi16(sums[r][c], _mm256_maddubs_epi16(user, items[c]));
            }
        }
        const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 4
        for (int64_t r = 0; r < R; r++)
#pragma GCC unroll 4
            for (int64_t c = 0; c < C; c++) {
                const __m256i wide = _mm256_madd_epi16(sums[r][c], ones);
                total[r][c] = begin == 0 ? wide : _mm256_add_epi32(total[r][c], wide);
            }
    }
#pragma GCC unroll 4
    for (int64_t r = 0; r < R; r++) {
        const __m256i bound = _mm256_set1_epi32(least[r]);
#pragma GCC unroll 4
        for (int64_t c = 0; c < C; c++) {
            const __m256i below = _mm256_cmpgt_epi32(bound, total[r][c]);
            hits[r * hits_stride + c] = (uint8_t)~_mm256_movemask_ps(_mm256_castsi256_ps(below));
        }
    }
}

template <int64_t R>
inline void screen_users(const uint8_t *const *users, const int8_t *groups, int64_t n_groups, int64_t quads,
                         const int32_t *least, uint8_t *hits, int64_t hits_stride) {
    const int64_t record = screen_bytes(quads);
    int64_t g = 0;
    for (; g + kScreenGroups <= n_groups; g += kScreenGroups)
        screen_tile<R, kScreenGroups>(users, groups + g * record, quads, least, hits + g, hits_stride);
    for (; g < n_groups; g++) screen_tile<R, 1>(users, groups + g * record, quads, least, hits + g, hits_stride);
}

void screen(const uint8_t *const *users, int64_t n_users, const int8_t *groups, int64_t n_groups, int64_t quads,
            const int32_t *least, uint8_t *hits, int64_t hits_stride) {
    int64_t u = 0;
    for (; u + kScreenUsers <= n_users; u += kScreenUsers)
        screen_users<kScreenUsers>(users + u, groups, n_groups, quads, least + u, hits + u * hits_stride, hits_stride);
    for (; u < n_users; u++)
        screen_users<1>(users + u, groups, n_groups, quads, least + u, hits + u * hits_stride, hits_stride);
}
#endif
