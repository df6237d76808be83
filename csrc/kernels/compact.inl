// The fixed side in 16 bits, and passes over a row's entries from it. Two numbers share 32 bits, lanes as far apart as
// a vector is long, so that one load, one shift and two conversions give two vectors of floats in order.

template <class T>
constexpr int64_t kPair = 2 * kLanes<T>;  // elements of a vector of pairs

typedef int32_t Pairs __attribute__((vector_size(CYMBALS_BYTES)));
typedef int32_t LoosePairs __attribute__((vector_size(CYMBALS_BYTES), aligned(4), may_alias));

// The two vectors that `pairs` holds, in units of 2^-16: the upper number is rounded so that it need not be rid of the
// lower one, which is its fraction.
inline Vec<float> lower(Pairs pairs) { return __builtin_convertvector(pairs << 16, Vec<float>); }
inline Vec<float> upper(Pairs pairs) { return __builtin_convertvector(pairs, Vec<float>); }
inline Pairs nearest(Vec<float> v) {
    const Vec<float> shift = Vec<float>{} + 12582912.0f;  // 1.5 * 2^23: what is added to it loses its fraction
    return __builtin_convertvector((v + shift) - shift, Pairs);
}

void compress(int32_t *pairs, int64_t pairs_stride, float *units, int64_t units_stride, const float *y, int64_t stride,
              int64_t n, int64_t f, const float *scale) {
    constexpr int64_t L = kLanes<float>, P = kPair<float>;
    constexpr float most = 32767;
    const int64_t whole = f / P * P;
    for (int64_t i = 0; i < n; i++, y += stride, pairs += pairs_stride) {
        float tail[P] = {};  // the last elements, filled up with zeros
        for (int64_t j = whole; j < f; j++) tail[j - whole] = y[j] * scale[j];
        Vec<float> largest = {};
        const auto widen = [&largest](Vec<float> v) {
            const Vec<float> size = v < 0 ? -v : v;
            largest = size > largest ? size : largest;
        };
        for (int64_t j = 0; j < whole; j += L) widen(load(y + j) * load(scale + j));
        for (int64_t j = 0; j < P; j += L) widen(load(tail + j));
        float top = largest[0];
        for (int64_t j = 1; j < L; j++) top = largest[j] > top ? largest[j] : top;
        units[i * units_stride] = top / most / 65536;
        const float inverse = top > kSmallest<float> && top < __builtin_inff() ? most / top : 0;
        const auto pack = [&](int64_t j, Vec<float> low, Vec<float> high) {
            const Pairs fraction = nearest(low * inverse) & 0xffff;
            const Pairs whole_part = nearest(high * inverse - __builtin_convertvector(fraction, Vec<float>) / 65536);
            *reinterpret_cast<LoosePairs *>(pairs + j / 2) = (whole_part << 16) | fraction;
        };
        for (int64_t j = 0; j < whole; j += P)
            pack(j, load(y + j) * load(scale + j), load(y + j + L) * load(scale + j + L));
        if (whole < f) pack(whole, load(tail), load(tail + L));
    }
}

// N rows side by side, vector by vector: the distance from one vector of a row to its next.
template <int64_t N>
constexpr int64_t kStep = N * kLanes<float>;

// s[k] = row k . x for N rows of pairs, which also become floats in `wide` and, where kCopy, pairs in `tile`. at(k, c)
// says where vector c of row k stands.
template <int64_t N, bool kCopy, class At>
inline void widen_and_dot(At at, int64_t vectors, const float *x, float *wide, int32_t *tile, float *s) {
    constexpr int64_t L = kLanes<float>, P = kPair<float>;
    Vec<float> sums[N] = {};
    for (int64_t c = 0; c < vectors; c++, x += P, wide += 2 * kStep<N>) {
        const Vec<float> low_x = load(x), high_x = load(x + L);
#pragma GCC unroll 8
        for (int64_t k = 0; k < N; k++) {
            const Pairs pairs = *reinterpret_cast<const LoosePairs *>(at(k, c));
            const Vec<float> low = lower(pairs), high = upper(pairs);
            if (kCopy) *reinterpret_cast<LoosePairs *>(tile + c * kStep<N> + k * L) = pairs;
            store(wide + k * P, low);
            store(wide + k * P + L, high);
            sums[k] += low * low_x;
            sums[k] += high * high_x;
        }
    }
    add_lanes<float, N>(sums, s);
}

// The same of rows that are floats already.
template <int64_t N>
inline void dot_wide(const float *wide, int64_t vectors, const float *x, float *s) {
    constexpr int64_t L = kLanes<float>, P = kPair<float>;
    Vec<float> sums[N] = {};
    for (int64_t c = 0; c < vectors; c++, x += P, wide += 2 * kStep<N>) {
        const Vec<float> low_x = load(x), high_x = load(x + L);
#pragma GCC unroll 8
        for (int64_t k = 0; k < N; k++) {
            sums[k] += load(wide + k * P) * low_x;
            sums[k] += load(wide + k * P + L) * high_x;
        }
    }
    add_lanes<float, N>(sums, s);
}

// y += s[0] row 0 + .. + s[N - 1] row N - 1
template <int64_t N>
inline void add_wide(const float *wide, int64_t vectors, const float *s, float *y) {
    constexpr int64_t L = kLanes<float>, P = kPair<float>;
    for (int64_t c = 0; c < vectors; c++, y += P, wide += 2 * kStep<N>) {
        Vec<float> low = load(y), high = load(y + L), odd_low = {}, odd_high = {};
#pragma GCC unroll 4
        for (int64_t k = 0; k < N; k += 2) {
            low += s[k] * load(wide + k * P);
            high += s[k] * load(wide + k * P + L);
            odd_low += s[k + 1] * load(wide + k * P + P);
            odd_high += s[k + 1] * load(wide + k * P + P + L);
        }
        store(y, low + odd_low);
        store(y + L, high + odd_high);
    }
}

// Passes over a row's entries from the 16-bit copy. The first gathers. What it leaves in the tile the others read: as
// floats while that stays in the second-level cache, else as pairs, else nothing, and every pass gathers.
class CompactPasses {
 public:
    const Row<float> &row;
    const Work<float> &work;

    CompactPasses(const Row<float> &r, const Work<float> &w)
        : row(r),
          work(w),
          vectors_((r.f + kPair<float> - 1) / kPair<float>),
          each_(vectors_ * kLanes<float>),
          lines_((each_ + 15) / 16) {
        const int64_t floats = 2 * each_ * (r.n + kGroup), room = w.tile_rows * w.ld;
        if (floats <= kNearFloats && floats <= room)
            later_ = kFromFloats;
        else if (floats / 2 <= room)
            first_ = kGatherPairs, later_ = kFromPairs;
    }

    // y += sum_i s_i w_i over the rows w_i of the system, visit(i, s) being called for kGroup of them at a time, with
    // s_i = w_i . v, to make s_i what it should be; y null: visits alone. Beyond n, s and q are 0.
    template <class F>
    void operator()(const float *v, float *y, F visit) {
        const int64_t n = work.padded;
        multiply(work.scaled, v, row.compact.scale, n);
        if (y)
            for (int64_t j = 0; j < n; j += kLanes<float>) store(work.sum + j, Vec<float>{});
        const How how = gathered_ ? later_ : first_;
        if (how == kGather)
            pass<kGather>(y, visit);
        else if (how == kGatherPairs)
            pass<kGatherPairs>(y, visit);
        else if (how == kFromFloats)
            pass<kFromFloats>(y, visit);
        else
            pass<kFromPairs>(y, visit);
        gathered_ = true;
        if (y)
            for (int64_t j = 0; j < n; j += kLanes<float>)
                store(y + j, load(y + j) + load(row.compact.scale + j) * load(work.sum + j));
    }

 private:
    enum How { kGather, kGatherPairs, kFromFloats, kFromPairs };
    static constexpr int64_t kNearFloats = 64 * 1024;

    template <How how, class F>
    void pass(bool add, F visit) {
        int64_t i = 0;
        for (; row.n - i > kBlock; i += kGroup) step<how, kGroup>(add, i, visit);
        if (i < row.n) step<how, kBlock>(add, i, visit);
    }

    template <How how, int64_t N, class F>
    CYMBALS_INLINE void step(bool add, int64_t i, F visit) {
        constexpr int64_t L = kLanes<float>;
        constexpr bool gathers = how == kGather || how == kGatherPairs;
        float *const wide = later_ == kFromFloats ? work.tile + 2 * i * each_ : work.wide;
        int32_t *const tile = reinterpret_cast<int32_t *>(work.tile) + i * each_;
        float s[kGroup];
        if constexpr (gathers) {
            fetch_entries(i + kAhead, N);
            const int32_t *from[N];
#pragma GCC unroll 8
            for (int64_t k = 0; k < N; k++)
                from[k] = row.compact.rows + row.where[i + k < row.n ? i + k : row.n - 1] * row.compact.stride;
            widen_and_dot<N, how == kGatherPairs>([&from](int64_t k, int64_t c) { return from[k] + c * L; }, vectors_,
                                                  work.scaled, wide, tile, s);
        } else {
            fetch_entries(row.n + fetched_, N / kFetchEvery);
            fetched_ += N / kFetchEvery;
            if constexpr (how == kFromFloats)
                dot_wide<N>(wide, vectors_, work.scaled, s);
            else
                widen_and_dot<N, false>([tile](int64_t k, int64_t c) { return tile + c * kStep<N> + k * L; }, vectors_,
                                        work.scaled, wide, nullptr, s);
        }
        const float *weight = row.compact.weight + i;
        for (int64_t k = 0; k < kGroup; k++) s[k] *= weight[k];
        visit(i, s);
        if (!add) return;
        for (int64_t k = 0; k < kGroup; k++) s[k] *= weight[k];
        add_wide<N>(wide, vectors_, s, work.sum);
    }

    // Fetches what entries i to i + n - 1 will gather, of this row or, from row.n on, of the next.
    CYMBALS_INLINE void fetch_entries(int64_t i, int64_t n) const {
        const int64_t most = row.n + row.n_next, end = i + n < most ? i + n : most;
        for (; i < end; i++) prefetch_lines(row.compact.rows + row.where[i] * row.compact.stride, lines_);
    }

    const int64_t vectors_, each_, lines_;
    How first_ = kGather, later_ = kGather;
    bool gathered_ = false;
    int64_t fetched_ = kAhead;  // of the next row's entries
};
