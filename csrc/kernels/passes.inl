// Passes over a row's entries, for conjugate gradients. A pass goes through the tile in groups of rows, and works on
// the rows of a group together. Passes in this file read rows of the fixed side's own type; passes in compact.inl read
// 16-bit rows.

// The number of rows that are worked on together, as a type, so that loops over them have constant length.
template <int64_t N>
struct Rows {};
// rows_for returns the smallest of 4, 8, ... N that is at least n, or N if n is larger. with_rows calls f with this
// number as Rows.
template <int64_t N>
CYMBALS_INLINE int64_t rows_for(int64_t n) {
    if constexpr (N > kBlock) return n <= N / 2 ? rows_for<N / 2>(n) : N;
    return N;
}
template <int64_t N, class F>
CYMBALS_INLINE void with_rows(int64_t n, F f) {
    if constexpr (N > kBlock)
        if (n <= N / 2) return with_rows<N / 2>(n, f);
    f(Rows<N>());
}

// One number for each of the kPad rows of a group.
template <class T>
struct Group {
    static constexpr int64_t L = kLanes<T>, kVectors = kPad<T> / L;
    Vec<T> v[kVectors];

    // sums has one vector for each row: a row's number becomes the sum of its vector's lanes.
    CYMBALS_INLINE void set(Vec<T> *sums) {
#pragma GCC unroll 2
        for (int64_t k = 0; k < kVectors; k++) v[k] = lane_sums<T>(sums + k * L);
    }
    CYMBALS_INLINE void read(const T *p) {
#pragma GCC unroll 2
        for (int64_t k = 0; k < kVectors; k++) v[k] = load(p + k * L);
    }
    CYMBALS_INLINE void write(T *p) const {
#pragma GCC unroll 2
        for (int64_t k = 0; k < kVectors; k++) store(p + k * L, v[k]);
    }
    CYMBALS_INLINE void operator*=(const T *p) {
#pragma GCC unroll 2
        for (int64_t k = 0; k < kVectors; k++) v[k] *= load(p + k * L);
    }
    // *this += a b.
    CYMBALS_INLINE void add_product(const Group &a, const Group &b) {
#pragma GCC unroll 2
        for (int64_t k = 0; k < kVectors; k++) v[k] += a.v[k] * b.v[k];
    }
    CYMBALS_INLINE void subtract_from(const Group &a) {
#pragma GCC unroll 2
        for (int64_t k = 0; k < kVectors; k++) v[k] = a.v[k] - v[k];
    }
    CYMBALS_INLINE T total() const {
        Vec<T> all = v[0];
        if constexpr (kVectors > 1) all += v[1];
        return sum<T>(all);
    }
};

// Makes a pass over a row's entries, one group at a time: sets s to passes.dots(i), calls visit(i, s), which may change
// s, and calls passes.add(i, s) if `add`. The products of the next group are computed before the products of this group
// are used, which hides the latency of their sums.
template <class Passes, class F>
CYMBALS_INLINE void sweep(Passes &all, bool add, F visit) {
    constexpr int64_t G = Passes::G;
    Passes passes = all;  // a local copy, whose members stay in registers: no store can change them
    Group<typename Passes::T> s = passes.dots(0);
    for (int64_t i = 0, n = passes.row.n; i < n; i += G) {
        Group<typename Passes::T> next = s;
        if (i + G < n) next = passes.dots(i + G);
        visit(i, s);
        if (add) passes.add(i, s);
        s = next;
    }
    all.swept(passes);
}

// Adds to sums[k] the products of w_k and x, vector by vector. The lanes of sums[k] then add up to w_k . x.
template <class T, int64_t N>
CYMBALS_INLINE void dot_rows(Rows<N>, const T *w, int64_t ld, const T *x, int64_t n, Vec<T> *sums) {
    for (int64_t j = 0; j < n; j += kLanes<T>) {
        const Vec<T> v = load(x + j);
#pragma GCC unroll 16
        for (int64_t k = 0; k < N; k++) sums[k] += v * load(w + k * ld + j);
    }
}

// y += s[0] w_0 + ... + s[N - 1] w_(N - 1).
template <class T, int64_t N>
CYMBALS_INLINE void add_rows(Rows<N>, const T *w, int64_t ld, const T *s, int64_t n, T *y) {
    Vec<T> by[N];
#pragma GCC unroll 16
    for (int64_t k = 0; k < N; k++) by[k] = spread(s[k]);
    for (int64_t j = 0; j < n; j += kLanes<T>) {
        Vec<T> even = load(y + j), odd = {};
#pragma GCC unroll 16
        for (int64_t k = 0; k < N; k += 2) {
            even += by[k] * load(w + k * ld + j);
            odd += by[k + 1] * load(w + (k + 1) * ld + j);
        }
        store(y + j, even + odd);
    }
}

// Passes that read rows of the fixed side's own type. The first pass gathers the row into the tile, and later passes
// read it there. A row that does not fit in the tile is gathered again on every pass, one group at a time.
template <class Number>
class FullPasses {
 public:
    typedef Number T;
    static constexpr int64_t G = kPad<T>;
    const Row<T> row;
    const RowScratch<T> scratch;

    FullPasses(const Row<T> &r, const RowScratch<T> &w) : row(r), scratch(w), fits_(r.n + G <= w.tile_rows) {}

    // Calls visit(i, s) for each group of rows w_i of the system, with s_i = w_i . v. visit may change s; if y is not
    // null, then y += sum_i s_i w_i. For entries from n on, s and q are 0.
    template <class F>
    CYMBALS_INLINE void operator()(const T *v, T *y, F visit) {
        v_ = v, y_ = y;
        sweep(*this, y != nullptr, visit);
    }

    void swept(const FullPasses &done) { gathered_ = true, fetched_ = done.fetched_; }

    CYMBALS_INLINE Group<T> dots(int64_t i) {
        T *const w = group(i);
        if (gathered_ && fits_)
            for (int64_t k = 0; k < G; k += kFetchEvery) fetch(row, row.n + fetched_++);
        else
            for (int64_t k = 0; k < rows_for<G>(row.n - i); k += kBlock)
                gather4(row, i + k, scratch, w + k * scratch.ld);
        Group<T> s;
        with_rows<G>(row.n - i, [&](auto rows) CYMBALS_INLINED {
            Vec<T> sums[G] = {};
            dot_rows(rows, w, scratch.ld, v_, scratch.padded, sums);
            s.set(sums);
        });
        return s;
    }

    CYMBALS_INLINE void add(int64_t i, const Group<T> &s) {
        alignas(64) T each[G];
        s.write(each);
        __asm__("" : "+m"(each));  // forces loads: GCC would extract each number from s with three instructions
        with_rows<G>(row.n - i, [&](auto rows) CYMBALS_INLINED {
            add_rows(rows, group(i), scratch.ld, each, scratch.padded, y_);
        });
    }

 private:
    // If the row does not fit, the tile holds two groups in turn.
    T *group(int64_t i) const { return scratch.tile + (fits_ ? i : i / G % 2 * G) * scratch.ld; }

    const bool fits_;
    const T *v_ = nullptr;
    T *y_ = nullptr;
    bool gathered_ = false;
    int64_t fetched_ = kAhead;  // the next entry to fetch, counted from the end of this row
};
