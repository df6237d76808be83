// The vector type of the instruction set being compiled, in GCC/Clang vector extensions, and the few
// primitives that the other kernels are written in. CYMBALS_BYTES is the vector width.

// Inlined at once: GCC takes a function that only prefetches for one without effect, and drops calls of it; others
// would pass vectors through memory.
#define CYMBALS_INLINE inline __attribute__((always_inline))
#define CYMBALS_INLINED __attribute__((always_inline))  // of a lambda

template <class T>
struct Simd;
template <>
struct Simd<float> {
    typedef float V __attribute__((vector_size(CYMBALS_BYTES)));
    typedef float U __attribute__((vector_size(CYMBALS_BYTES), aligned(4), may_alias));
};
template <>
struct Simd<double> {
    typedef double V __attribute__((vector_size(CYMBALS_BYTES)));
    typedef double U __attribute__((vector_size(CYMBALS_BYTES), aligned(8), may_alias));
};
template <class T>
using Vec = typename Simd<T>::V;

template <class T>
constexpr int64_t kLanes = CYMBALS_BYTES / sizeof(T);
template <class T>
constexpr int64_t kLine = 64 / sizeof(T);  // of a cache
template <class T>
constexpr int64_t kPad = kLanes<T> < kBlock ? kBlock : kLanes<T>;
// Rows of a register tile; with kTileVectors columns of vectors it fills the register file.
template <class T>
constexpr int64_t kTileRows = CYMBALS_REGISTERS >= 32 && kPad<T> >= 8 ? 8 : 4;
constexpr int64_t kTileVectors = 3;

template <class T>
inline Vec<T> load(const T *p) {
    return *reinterpret_cast<const typename Simd<T>::U *>(p);
}
template <class T>
inline void store(T *p, Vec<T> v) {
    *reinterpret_cast<typename Simd<T>::U *>(p) = v;
}

// x in every lane; 0 + x would be a sum, as it makes 0 of -0.
template <class T>
CYMBALS_INLINE Vec<T> spread(T x) {
    return x - Vec<T>{};
}

// Lane numbers 0 .. n - 1 as template arguments.
template <int... I>
struct Lanes {};
template <int N, int... I>
struct LanesTo : LanesTo<N - 1, N - 1, I...> {};
template <int... I>
struct LanesTo<0, I...> {
    typedef Lanes<I...> Type;
};

// Adds to each lane the one `Width` away; Width, Width / 2 .. 1 in turn leave the sum of all in every lane.
template <int Width, class T, int... I>
inline Vec<T> fold(Vec<T> v, Lanes<I...> lanes) {
    v += __builtin_shufflevector(v, v, (I ^ Width)...);
    if constexpr (Width > 1) v = fold<Width / 2, T>(v, lanes);
    return v;
}
template <class T>
inline T sum(Vec<T> v) {
    return fold<kLanes<T> / 2, T>(v, typename LanesTo<kLanes<T>>::Type())[0];
}

// The same of two vectors at once: lane i of the result holds sums of v for the lanes whose number has the bit `Width`
// clear, of w for the others.
template <int Width, class T, int... I>
inline Vec<T> fold(Vec<T> v, Vec<T> w, Lanes<I...>) {
    constexpr int L = kLanes<T>;
    return __builtin_shufflevector(v, w, (I & Width ? L + I : I)...) +
           __builtin_shufflevector(v, w, (I & Width ? L + (I ^ Width) : (I ^ Width))...);
}
// Lane i is the sum of v[i], for as many vectors as a vector has lanes; they are not needed afterwards.
template <class T, int Width = 1>
CYMBALS_INLINE Vec<T> lane_sums(Vec<T> *v) {
    constexpr int L = kLanes<T>;
    if constexpr (Width < L) {
        constexpr typename LanesTo<L>::Type lanes;
#pragma GCC unroll 8
        for (int k = 0; k < L / Width / 2; k++) v[k] = fold<Width, T>(v[2 * k], v[2 * k + 1], lanes);
        return lane_sums<T, 2 * Width>(v);
    }
    return v[0];
}

template <class T>
constexpr T kEpsilon = sizeof(T) == 4 ? T(1.1920929e-7) : T(2.220446049250313e-16);
template <class T>
constexpr T kSmallest = sizeof(T) == 4 ? T(1e-30) : T(1e-290);

inline float root(float x) { return __builtin_sqrtf(x); }
inline double root(double x) { return __builtin_sqrt(x); }
template <class T>
inline Vec<T> roots(Vec<T> v) {  // a loop that compilers make one instruction of
    for (int64_t i = 0; i < kLanes<T>; i++) v[i] = root(v[i]);
    return v;
}
template <class V>
inline V magnitude(V v) {
    return v < 0 ? -v : v;
}
template <class T>
inline T least_lane(Vec<T> v) {
    T least = v[0];
    for (int64_t i = 1; i < kLanes<T>; i++) least = v[i] < least ? v[i] : least;
    return least;
}

template <class T>
inline int64_t round_up(int64_t n) {
    return (n + kPad<T> - 1) / kPad<T> * kPad<T>;
}

// n is a multiple of kLanes in these three.
template <class T>
inline T dot(const T *a, const T *b, int64_t n) {
    Vec<T> s = {};
    for (int64_t j = 0; j < n; j += kLanes<T>) s += load(a + j) * load(b + j);
    return sum<T>(s);
}
template <class T>
inline void add_scaled(T *y, T a, const T *x, int64_t n) {
    for (int64_t j = 0; j < n; j += kLanes<T>) store(y + j, load(y + j) + a * load(x + j));
}
template <class T>
inline void multiply(T *out, const T *a, const T *b, int64_t n) {
    for (int64_t j = 0; j < n; j += kLanes<T>) store(out + j, load(a + j) * load(b + j));
}

// The scalar tail of a vector sum; explicit, so that every copy of a loop rounds alike.
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
    for (; lines >= 4; lines -= 4, p += 256) {  // a loop of one takes as long as what it fetches
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

constexpr int64_t kAhead = 32;  // entries between the one being gathered and the one being fetched from memory
