// Code without vectors that kernels share: shapes that follow from the width and the number of vectors, arithmetic on
// single numbers, prefetching. CYMBALS_BYTES is the width of a vector, CYMBALS_REGISTERS the number of vector
// registers.

// Always inlined, for two reasons: GCC removes calls to a function whose only effect is a prefetch, and functions that
// are not inlined pass vectors through memory.
#define CYMBALS_INLINE inline __attribute__((always_inline))
#define CYMBALS_INLINED __attribute__((always_inline))  // the same for a lambda
// Not inlined, so that each phase gets its own symbol in profilers.
#define CYMBALS_NAMED __attribute__((noinline))

template <class T>
constexpr int64_t kLanes = CYMBALS_BYTES / sizeof(T);
template <class T>
constexpr int64_t kPair = 2 * kLanes<T>;  // elements of a vector of 16-bit pairs
template <class T>
constexpr int64_t kLine = 64 / sizeof(T);  // elements of a cache line
template <class T>
constexpr int64_t kPad = kLanes<T> < kBlock ? kBlock : kLanes<T>;
// Rows of a register tile. With kTileVectors vectors in each, the tile takes three quarters of the registers (on arm64,
// 12 of 32).
template <class T>
constexpr int64_t kTileRows = CYMBALS_REGISTERS >= 32 && kPad<T> >= 8 ? 8 : 4;

template <class T>
constexpr T kEpsilon = sizeof(T) == 4 ? T(1.1920929e-7) : T(2.220446049250313e-16);
template <class T>
constexpr T kSmallest = sizeof(T) == 4 ? T(1e-30) : T(1e-290);

inline float root(float x) { return __builtin_sqrtf(x); }
inline double root(double x) { return __builtin_sqrt(x); }

template <class T>
inline int64_t round_up(int64_t n) {
    return (n + kPad<T> - 1) / kPad<T> * kPad<T>;
}

// For elements at the end of a sum that do not fill a vector. It is a function so that compilers round the operation
// the same everywhere.
inline float multiply_add(float a, float b, float c) {
#ifdef __FP_FAST_FMAF
    return __builtin_fmaf(a, b, c);
#else
    return a * b + c;
#endif
}
inline double multiply_add(double a, double b, double c) {
#ifdef __FP_FAST_FMA
    return __builtin_fma(a, b, c);
#else
    return a * b + c;
#endif
}

CYMBALS_INLINE void prefetch_lines(const void *first, int64_t lines) {
    const char *p = static_cast<const char *>(first);
    for (; lines >= 4; lines -= 4, p += 256) {  // unrolled: the loop itself would take as long as the prefetches
        __builtin_prefetch(p, 0, 2);
        __builtin_prefetch(p + 64, 0, 2);
        __builtin_prefetch(p + 128, 0, 2);
        __builtin_prefetch(p + 192, 0, 2);
    }
    for (; lines > 0; lines--, p += 64) __builtin_prefetch(p, 0, 2);
}
template <class T>
CYMBALS_INLINE void prefetch_row(const T *row, int64_t f) {
    prefetch_lines(row, (f * (int64_t)sizeof(T) + 63) / 64);
}

constexpr int64_t kAhead = 32;  // entries are fetched from memory this many entries before they are gathered
