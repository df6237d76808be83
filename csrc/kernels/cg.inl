// Warm-started conjugate gradients on (I + W'SW) z = W'q, S = diag(sign), z = D^(1/2) x: the Gramian preconditions,
// each step is one pass over the tile that makes the dot products and adds the rows back while they are in registers
// and first-level cache.

// Rows of the tile that are worked together: eight sums hide the latency of one. The last of a tile go by four.
template <int64_t N>
struct Rows {};
template <int64_t N>
constexpr int64_t size(Rows<N>) {
    return N;
}

// s[0..N) = w_i . x
template <class T, int64_t N>
inline void dot_rows(Rows<N>, const T *w, int64_t ld, const T *x, int64_t n, T *s) {
    Vec<T> sums[N] = {};
    for (int64_t j = 0; j < n; j += kLanes<T>) {
        const Vec<T> v = load(x + j);
#pragma GCC unroll 8
        for (int64_t k = 0; k < N; k++) sums[k] += v * load(w + k * ld + j);
    }
#pragma GCC unroll 8
    for (int64_t k = 0; k < N; k++) s[k] = sum<T>(sums[k]);
}

// y += s[0] w_0 + .. + s[N - 1] w_(N - 1)
template <class T, int64_t N>
inline void add_rows(Rows<N>, const T *w, int64_t ld, const T *s, int64_t n, T *y) {
    for (int64_t j = 0; j < n; j += kLanes<T>) {
        Vec<T> even = load(y + j), odd = {};
#pragma GCC unroll 4
        for (int64_t k = 0; k < N; k += 2) {
            even += s[k] * load(w + k * ld + j);
            odd += s[k + 1] * load(w + (k + 1) * ld + j);
        }
        store(y + j, even + odd);
    }
}

// The passes over a row. The first gathers, and multiplies while it does; a row that does not fit the tile is gathered
// again on every pass.
template <class T>
class Passes {
 public:
    const Row<T> &row;
    const Work<T> &work;

    Passes(const Row<T> &r, const Work<T> &w) : row(r), work(w), fits_(r.n + kGroup <= w.tile_rows) {}

    // Calls visit(Rows<N>(), w, i, s) with s = w . v for all rows w of the tile, N at a time, from entry i on.
    template <class F>
    void operator()(const T *v, F visit) {
        int64_t i = 0;
        for (; row.n - i > kBlock; i += kGroup) step<kGroup>(v, i, visit);
        if (i < row.n) step<kBlock>(v, i, visit);
        gathered_ = true;
    }

 private:
    template <int64_t N, class F>
    void step(const T *v, int64_t i, F visit) {
        T *w = work.tile + (fits_ ? i * work.ld : 0), s[N];
        if (gathered_ && fits_) {
            for (int64_t k = 0; k < N; k += kBlock) fetch(row, row.n + fetched_++);
            dot_rows(Rows<N>(), w, work.ld, v, work.padded, s);
        } else {
            for (int64_t k = 0; k < N; k += kBlock) gather4<T, true>(row, i + k, work, w + k * work.ld, v, s + k);
        }
        visit(Rows<N>(), w, i, s);
    }

    const bool fits_;
    bool gathered_ = false;
    int64_t fetched_ = kAhead;  // of the next row's entries
};

// r = W'(q - S W z) - z; returns b'z = q'Wz
template <class T>
T residual(Passes<T> &passes, const T *z, T *r) {
    const int64_t n = passes.work.padded, ld = passes.work.ld, n_positive = passes.row.n_positive;
    const T *q = passes.row.q;
    T bz = 0;
    for (int64_t j = 0; j < n; j += kLanes<T>) store(r + j, -load(z + j));
    passes(z, [&](auto rows, const T *w, int64_t i, T *s) {
        for (int64_t k = 0; k < size(rows); k++) {
            bz += q[i + k] * s[k];
            s[k] = q[i + k] - (i + k < n_positive ? s[k] : -s[k]);
        }
        add_rows(rows, w, ld, s, n, r);
    });
    return bz;
}

// Returns p'Ap, sets *bp = b'p, and ap = Ap where asked for.
template <class T>
T curvature(Passes<T> &passes, const T *p, T *ap, bool want_ap, T *bp) {
    const int64_t n = passes.work.padded, ld = passes.work.ld, n_positive = passes.row.n_positive;
    const T *q = passes.row.q;
    T pap = dot(p, p, n), target = 0;
    if (want_ap)
        for (int64_t j = 0; j < n; j += kLanes<T>) store(ap + j, load(p + j));
    passes(p, [&](auto rows, const T *w, int64_t i, T *s) {
        for (int64_t k = 0; k < size(rows); k++) {
            const T along = s[k];
            s[k] = i + k < n_positive ? along : -along;
            target += q[i + k] * along;
            pap += s[k] * along;
        }
        if (want_ap) add_rows(rows, w, ld, s, n, ap);
    });
    *bp = target;
    return pap;
}

template <class T>
Solve solve_cg(const Row<T> &row, const Work<T> &work, const Stop &stop, T *x, int *steps) {
    const int64_t n = work.padded;
    T *z = work.z, *r = work.r, *p = work.p, *ap = work.ap;
    for (int64_t j = 0; j < n; j++) z[j] = j < row.f ? x[j] * row.root[j] : 0;
    Passes<T> passes(row, work);
    T bz = residual(passes, z, r), rr = dot(r, r, n);
    for (int64_t j = 0; j < n; j += kLanes<T>) store(p + j, load(r + j));
    *steps = 0;
    // Below a few units of rounding, or of the smallest number, there is nothing left to gain.
    const auto enough = [&](double tolerance) {
        const T t = tolerance > 4 * kEpsilon<T> ? (T)tolerance : 4 * kEpsilon<T>;
        // what remains drowns in rounding where nearly all is explained
        const T left = row.constant - bz, least = T(1e-3) * bz, part = left > bz ? bz : (left > least ? left : least);
        return rr <= t * t * part || rr < kSmallest<T>;  // false for a NaN, which goes on and is found out
    };
    while (!enough(*steps < stop.wanted ? stop.tight : stop.tolerance)) {
        if (*steps == stop.most) return Solve::not_converged;
        // the last step needs no new residual, except to know whether it converged
        const bool last = *steps + 1 == stop.most && stop.tolerance == 0;
        T bp;
        const T pap = curvature(passes, p, ap, !last, &bp);
        if (!(pap > 0 && pap < __builtin_inf())) return Solve::indefinite;
        const T alpha = rr / pap;
        add_scaled(z, alpha, p, n);
        ++*steps;
        if (last) break;
        bz += alpha * bp;
        add_scaled(r, -alpha, ap, n);
        const T next = dot(r, r, n), beta = next / rr;
        rr = next;
        for (int64_t j = 0; j < n; j += kLanes<T>) store(p + j, load(r + j) + beta * load(p + j));
    }
    multiply(z, z, row.full.scale, n);
    for (int64_t j = 0; j < row.f; j++) x[j] = z[j];
    return Solve::done;
}
