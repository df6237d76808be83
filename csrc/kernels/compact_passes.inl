// Passes over a row's entries that read the 16-bit copy. The first pass copies the entries' rows into the tile, and
// later passes read them there. A row that does not fit in the tile is gathered again on every pass, one group at a
// time. V is the number of vectors of pairs that hold a row of the fixed side, or 0 if the compiler does not know it.
template <int64_t V>
class CompactPasses {
 public:
    typedef float T;
    static constexpr int64_t G = kPad<float>;
    const Row<float> row;
    const RowScratch<float> scratch;

    CompactPasses(const Row<float> &r, const RowScratch<float> &w)
        : row(r),
          scratch(w),
          vectors_(pair_vectors(r.f)),
          fits_((r.n + G - 1) / G * group_size() <= w.tile_rows * w.ld) {}

    // See FullPasses.
    template <class F>
    CYMBALS_INLINE void operator()(const float *v, float *y, F visit) {
        const int64_t n = scratch.padded;
        const float *scale = row.compact.scale;
        v_ = v, y_ = y;
        if (scale) {
            multiply(scratch.scaled, v, scale, n);
            for (int64_t j = 0; j < n; j += kLanes<float>) store(scratch.sum + j, Vec<float>{});
            v_ = scratch.scaled, y_ = scratch.sum;
        }
        sweep(*this, y != nullptr, visit);
        if (scale && y)
            for (int64_t j = 0; j < n; j += kLanes<float>)
                store(y + j, load(y + j) + load(scale + j) * load(scratch.sum + j));
    }

    void swept(const CompactPasses &done) { gathered_ = true, fetched_ = done.fetched_; }

    CYMBALS_INLINE Group<float> dots(int64_t i) {
        Group<float> s;
        if (gathered_ && fits_) {
            fetch(row.n + fetched_, G / kFetchEvery);
            fetched_ += G / kFetchEvery;
            with_rows<G>(row.n - i, [&](auto rows) CYMBALS_INLINED { dot_pairs(rows, group(i), s); });
        } else {
            fetch(i + kAhead, G);
            with_rows<G>(row.n - i, [&](auto rows) CYMBALS_INLINED { gather_dots(rows, i, group(i), s); });
        }
        s *= row.full.weight + i;
        return s;
    }

    CYMBALS_INLINE void add(int64_t i, Group<float> s) {
        alignas(64) float each[G];
        s *= row.full.weight + i;
        s.write(each);
        __asm__("" : "+m"(each));  // forces loads: GCC would extract each number from s with three instructions
        with_rows<G>(row.n - i, [&](auto rows) CYMBALS_INLINED { add_pairs(rows, group(i), each); });
    }

 private:
    static constexpr int64_t L = kLanes<float>, P = kPair<float>;

    int64_t vectors() const { return V > 0 ? V : vectors_; }
    int64_t group_size() const { return vectors() * G * L; }
    // If the row does not fit, the tile holds two groups in turn.
    int32_t *group(int64_t i) const {
        return reinterpret_cast<int32_t *>(scratch.tile) + (fits_ ? i / G : i / G % 2) * group_size();
    }

    // Copies a group from memory into the tile, and sets s to the products of its rows with v. If v fits in registers,
    // one loop does both.
    template <int64_t N>
    CYMBALS_INLINE void gather_dots(Rows<N> group, int64_t i, int32_t *tile, Group<float> &s) const {
        const int64_t *indices = row.indices + i, stride = row.compact.stride;
        const int32_t *rows = row.compact.rows;
        if constexpr (V > 0 && 2 * V <= CYMBALS_REGISTERS / 4) {
            Vec<float> sums[G] = {}, x[2 * V];
#pragma GCC unroll 8
            for (int64_t c = 0; c < 2 * V; c++) x[c] = load(v_ + c * L);
#pragma GCC unroll 16
            for (int64_t k = 0; k < N; k++) {
                const int32_t *from = rows + indices[k] * stride;
                Vec<float> other = {};
#pragma GCC unroll 4
                for (int64_t c = 0; c < V; c++) {
                    const Pairs pairs = load_pairs(from + c * L);
                    store_pairs(tile + (c * G + k) * L, pairs);
                    sums[k] += lower(pairs) * x[2 * c];
                    other += upper(pairs) * x[2 * c + 1];
                }
                sums[k] += other;
            }
            s.set(sums);
        } else {
            const int64_t count = vectors();
            for (int64_t k = 0; k < N; k++) {
                const int32_t *from = rows + indices[k] * stride;
#pragma GCC unroll 8
                for (int64_t c = 0; c < count; c++) store_pairs(tile + (c * G + k) * L, load_pairs(from + c * L));
            }
            dot_pairs(group, tile, s);
        }
    }

    // Sets s to the products of a group's rows with v.
    template <int64_t N>
    CYMBALS_INLINE void dot_pairs(Rows<N>, const int32_t *tile, Group<float> &s) const {
        Vec<float> sums[G] = {};
        const float *x = v_;
        for (int64_t c = 0; c < vectors(); c++, x += P, tile += G * L) {
            const Vec<float> low = load(x), high = load(x + L);
#pragma GCC unroll 16
            for (int64_t k = 0; k < N; k++) {
                const Pairs pairs = load_pairs(tile + k * L);
                sums[k] += lower(pairs) * low;
                sums[k] += upper(pairs) * high;
            }
        }
        s.set(sums);
    }

    // Adds to y each row of a group, multiplied by its number in s.
    template <int64_t N>
    CYMBALS_INLINE void add_pairs(Rows<N>, const int32_t *tile, const float *s) const {
        Vec<float> by[N];
#pragma GCC unroll 16
        for (int64_t k = 0; k < N; k++) by[k] = spread(s[k]);
        float *y = y_;
        for (int64_t c = 0; c < vectors(); c++, y += P, tile += G * L) {
            Vec<float> low = load(y), high = load(y + L), odd_low = {}, odd_high = {};
#pragma GCC unroll 16
            for (int64_t k = 0; k < N; k += 2) {
                const Pairs even = load_pairs(tile + k * L), odd = load_pairs(tile + (k + 1) * L);
                low += by[k] * lower(even);
                high += by[k] * upper(even);
                odd_low += by[k + 1] * lower(odd);
                odd_high += by[k + 1] * upper(odd);
            }
            store(y, low + odd_low);
            store(y + L, high + odd_high);
        }
    }

    // Fetches the rows of the copy that entries i to i + n - 1 will read. Entries from row.n on belong to the rows that
    // are solved next.
    CYMBALS_INLINE void fetch(int64_t i, int64_t n) const {
        const int64_t *indices = row.indices, stride = row.compact.stride, most = row.n + row.n_next;
        const int64_t end = i + n < most ? i + n : most;
        const int32_t *rows = row.compact.rows;
        for (; i < end; i++) fetch_pairs(rows + indices[i] * stride, vectors());
    }

    const int64_t vectors_;
    const bool fits_;
    const float *v_ = nullptr;
    float *y_ = nullptr;
    bool gathered_ = false;
    int64_t fetched_ = kAhead;  // the next entry to fetch, counted from the end of this row
};
