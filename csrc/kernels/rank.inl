// Counting and finding in a row of scores. A NaN is never counted and never found.

// The first place from `i` on whose score is at least `least`, n where there is none.
template <class T>
int64_t next_at_least(const T *s, int64_t i, int64_t n, T least) {
    constexpr int64_t L = kLanes<T>, run = 8 * L;
    typedef decltype(Vec<T>{} < Vec<T>{}) Mask;
    for (; i + run <= n; i += run) {
        Mask any = {};
#pragma GCC unroll 8
        for (int64_t j = 0; j < run; j += L) any |= load(s + i + j) >= least;
        bool found = false;
#pragma GCC unroll 16
        for (int64_t j = 0; j < L; j++) found |= any[j] != 0;
        if (found) break;
    }
    while (i < n && !(s[i] >= least)) i++;
    return i;
}

// N values at a time: see `count`.
template <class T, int64_t N>
inline void count_tile(const T *s, int64_t n, const T *values, int64_t *less, int64_t *not_more) {
    constexpr int64_t L = kLanes<T>;
    typedef decltype(Vec<T>{} < Vec<T>{}) Mask;
    const int64_t whole = n / L * L;
    Mask below[N] = {}, upto[N] = {};  // a comparison that holds is -1
    for (int64_t i = 0; i < whole; i += L) {
        const Vec<T> v = load(s + i);
#pragma GCC unroll 4
        for (int64_t k = 0; k < N; k++) {
            below[k] += v < values[k];
            upto[k] += v <= values[k];
        }
    }
#pragma GCC unroll 4
    for (int64_t k = 0; k < N; k++) {  // counts are small enough to be exact as T
        int64_t n_below = -(int64_t)sum<T>(__builtin_convertvector(below[k], Vec<T>));
        int64_t n_upto = -(int64_t)sum<T>(__builtin_convertvector(upto[k], Vec<T>));
        for (int64_t i = whole; i < n; i++) n_below += s[i] < values[k], n_upto += s[i] <= values[k];
        less[k] += n_below, not_more[k] += n_upto;
    }
}

// less[k] and not_more[k] grow by how many of n scores are below values[k], and by how many are not above it.
template <class T>
void count(const T *s, int64_t n, const T *values, int64_t n_values, int64_t *less, int64_t *not_more) {
    int64_t k = 0;
    for (; k + 4 <= n_values; k += 4) count_tile<T, 4>(s, n, values + k, less + k, not_more + k);
    for (; k < n_values; k++) count_tile<T, 1>(s, n, values + k, less + k, not_more + k);
}
