// The vector type of the instruction set for which this file is compiled, in the vector extensions of GCC and Clang,
// and the primitives with which the other kernels are written. tests/counting has another version of this file, which
// counts operations.

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
inline Vec<T> load(const T *p) {
    return *reinterpret_cast<const typename Simd<T>::U *>(p);
}
template <class T>
inline void store(T *p, Vec<T> v) {
    *reinterpret_cast<typename Simd<T>::U *>(p) = v;
}

// Loads one number. A function, so that tests/counting can count it.
template <class T>
inline T load_one(const T *p) {
    return *p;
}

// Returns x in every lane. It subtracts 0 and does not add it: x - 0 equals x for every x, so compilers drop the
// subtraction, but they must compute 0 + x, because 0 + -0 is 0.
template <class T>
CYMBALS_INLINE Vec<T> spread(T x) {
    return x - Vec<T>{};
}

// The lane numbers 0 to n - 1 as template arguments.
template <int... I>
struct Lanes {};
template <int N, int... I>
struct LanesTo : LanesTo<N - 1, N - 1, I...> {};
template <int... I>
struct LanesTo<0, I...> {
    typedef Lanes<I...> Type;
};

// The lanes with the numbers I, where the first lane of w follows the last lane of v. GCC 11 and older have no
// __builtin_shufflevector.
template <class T, int... I>
CYMBALS_INLINE Vec<T> lanes_of(Vec<T> v, Vec<T> w) {
#if defined(__clang__) || __GNUC__ >= 12
    return __builtin_shufflevector(v, w, I...);
#else
    return __builtin_shuffle(v, w, decltype(v < w){I...});
#endif
}

// Adds to each lane the lane `Width` away, then the one Width / 2 away, and so on: in the end every lane is the sum of
// all.
template <int Width, class T, int... I>
inline Vec<T> fold(Vec<T> v, Lanes<I...> lanes) {
    v += lanes_of<T, (I ^ Width)...>(v, v);
    if constexpr (Width > 1) v = fold<Width / 2, T>(v, lanes);
    return v;
}
template <class T>
inline T sum(Vec<T> v) {
    return fold<kLanes<T> / 2, T>(v, typename LanesTo<kLanes<T>>::Type())[0];
}

// Adds lanes `Width` apart in two vectors at once: the sums of v go to the lanes whose number has the bit `Width`
// clear, those of w to the other lanes.
template <int Width, class T, int... I>
inline Vec<T> fold(Vec<T> v, Vec<T> w, Lanes<I...>) {
    constexpr int L = kLanes<T>;
    return lanes_of<T, (I & Width ? L + I : I)...>(v, w) +
           lanes_of<T, (I & Width ? L + (I ^ Width) : (I ^ Width))...>(v, w);
}
// Lane i of the result is the sum of v[i]'s lanes; there are as many vectors as lanes. The vectors are overwritten.
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
inline Vec<T> roots(Vec<T> v) {  // compilers make one instruction of this loop
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

// Vectors of pairs of 16-bit numbers: see compact.inl.
typedef int32_t Pairs __attribute__((vector_size(CYMBALS_BYTES)));
typedef int32_t LoosePairs __attribute__((vector_size(CYMBALS_BYTES), aligned(4), may_alias));

CYMBALS_INLINE Pairs load_pairs(const int32_t *p) { return *reinterpret_cast<const LoosePairs *>(p); }
CYMBALS_INLINE void store_pairs(int32_t *p, Pairs v) { *reinterpret_cast<LoosePairs *>(p) = v; }
CYMBALS_INLINE Vec<float> lower(Pairs pairs) { return (Vec<float>)(pairs << 16); }
CYMBALS_INLINE Vec<float> upper(Pairs pairs) { return (Vec<float>)(pairs & -65536); }
// Rounds to the nearest bfloat16, ties to even. Infinity stays infinite, and a NaN from arithmetic stays a NaN.
CYMBALS_INLINE Pairs packed(Vec<float> low, Vec<float> high) {
    typedef uint32_t Bits __attribute__((vector_size(CYMBALS_BYTES)));
    const auto rounded = [](Vec<float> v) {
        const Bits bits = (Bits)v;
        return bits + 0x7fff + (bits >> 16 & 1);
    };
    return (Pairs)(rounded(high) & 0xffff0000u) | (Pairs)(rounded(low) >> 16);
}
