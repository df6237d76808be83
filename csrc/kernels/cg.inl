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
    add_lanes<T, N>(sums, s);
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

// The passes over a row in its own type. The first gathers, and multiplies while it does; a row that does not fit the
// tile is gathered again on every pass.
template <class T>
class FullPasses {
 public:
    const Row<T> &row;
    const Work<T> &work;

    FullPasses(const Row<T> &r, const Work<T> &w) : row(r), work(w), fits_(r.n + kGroup <= w.tile_rows) {}

    // See CompactPasses.
    template <class F>
    void operator()(const T *v, T *y, F visit) {
        int64_t i = 0;
        for (; row.n - i > kBlock; i += kGroup) step<kGroup>(v, y, i, visit);
        if (i < row.n) step<kBlock>(v, y, i, visit);
        gathered_ = true;
    }

 private:
    template <int64_t N, class F>
    void step(const T *v, T *y, int64_t i, F visit) {
        T *w = work.tile + (fits_ ? i * work.ld : 0), s[kGroup] = {};
        if (gathered_ && fits_) {
            for (int64_t k = 0; k < N; k += kFetchEvery) fetch(row, row.n + fetched_++);
            dot_rows(Rows<N>(), w, work.ld, v, work.padded, s);
        } else {
            for (int64_t k = 0; k < N; k += kBlock) gather4<T, true>(row, i + k, work, w + k * work.ld, v, s + k);
        }
        visit(i, s);
        if (y) add_rows(Rows<N>(), w, work.ld, s, work.padded, y);
    }

    const bool fits_;
    bool gathered_ = false;
    int64_t fetched_ = kAhead;  // of the next row's entries
};

// s <- S s for a group of entries from i on, those from n_positive on being negative.
template <class T>
inline void apply_signs(int64_t i, int64_t n_positive, T *s) {
    if (i + kGroup > n_positive)
        for (int64_t k = 0; k < kGroup; k++) s[k] = i + k < n_positive ? s[k] : -s[k];
}
// Sums are kept apart by an entry's place in its group: vectors, to a compiler.
template <class T>
inline T total(const T *parts) {
    T sum = 0;
    for (int64_t k = 0; k < kGroup; k++) sum += parts[k];
    return sum;
}

// r = W'(q - S W z) - z; returns b'z = q'Wz
template <class T, class Passes>
T residual(Passes &passes, const T *z, T *r) {
    const int64_t n = passes.work.padded, n_positive = passes.row.n_positive;
    const T *q = passes.row.q;
    T bz[kGroup] = {};
    for (int64_t j = 0; j < n; j += kLanes<T>) store(r + j, -load(z + j));
    passes(z, r, [&](int64_t i, T *s) {
        for (int64_t k = 0; k < kGroup; k++) bz[k] += q[i + k] * s[k];
        apply_signs(i, n_positive, s);
        for (int64_t k = 0; k < kGroup; k++) s[k] = q[i + k] - s[k];
    });
    return total(bz);
}

// Returns p'Ap, sets *bp = b'p, and ap = Ap where that is not null.
template <class T, class Passes>
T curvature(Passes &passes, const T *p, T *ap, T *bp) {
    const int64_t n = passes.work.padded, n_positive = passes.row.n_positive;
    const T *q = passes.row.q;
    T pap[kGroup] = {}, target[kGroup] = {};
    if (ap)
        for (int64_t j = 0; j < n; j += kLanes<T>) store(ap + j, load(p + j));
    passes(p, ap, [&](int64_t i, T *s) {
        T along[kGroup];
        for (int64_t k = 0; k < kGroup; k++) {
            along[k] = s[k];
            target[k] += q[i + k] * s[k];
        }
        apply_signs(i, n_positive, s);
        for (int64_t k = 0; k < kGroup; k++) pap[k] += along[k] * s[k];
    });
    *bp = total(target);
    return dot(p, p, n) + total(pap);
}

template <class T, class Passes>
Solve iterate(Passes passes, const Stop &stop, T *x, int *steps) {
    const Row<T> &row = passes.row;
    const Work<T> &work = passes.work;
    const int64_t n = work.padded;
    T *z = work.z, *r = work.r, *p = work.p, *ap = work.ap;
    for (int64_t j = 0; j < n; j++) z[j] = j < row.f ? x[j] * row.root[j] : 0;
    T bz = residual(passes, z, r), rr = dot(r, r, n);
    for (int64_t j = 0; j < n; j += kLanes<T>) store(p + j, load(r + j));
    *steps = 0;
    const T share = rr < bz / 4 ? (T)(stop.share * stop.share) : 0;
    T gained = 0;
    // Whether |r|^2 is small enough after so many steps. Below a few units of rounding, or of the smallest number,
    // there is nothing left to gain.
    const auto enough = [&](T residual, int after) {
        const double tolerance = after < stop.wanted ? stop.tight : stop.tolerance;
        const T t = tolerance > 4 * kEpsilon<T> ? (T)tolerance : 4 * kEpsilon<T>;
        // what remains drowns in rounding where nearly all is explained
        const T left = row.constant - bz, least = T(1e-3) * bz, part = left > bz ? bz : (left > least ? left : least);
        return residual <= t * t * part || residual <= share * gained ||
               residual < kSmallest<T>;  // false for a NaN, which goes
    };  // on and is found out
    T ratio = 1;  // by which the last step reduced |r|^2
    while (!enough(rr, *steps)) {
        if (*steps == stop.most) return Solve::not_converged;
        // The last step needs no new residual: the last by number, or one that does as well as that before it.
        const bool last = *steps + 1 == stop.most && stop.tolerance == 0, likely = enough(rr * ratio, *steps + 1);
        T bp;
        const T pap = curvature(passes, p, last || likely ? nullptr : ap, &bp);
        if (!(pap > 0 && pap < __builtin_inf())) return Solve::indefinite;
        const T alpha = rr / pap;
        add_scaled(z, alpha, p, n);
        ++*steps;
        if (last || likely) break;
        bz += alpha * bp;
        gained += alpha * rr;
        add_scaled(r, -alpha, ap, n);
        const T next = dot(r, r, n);
        ratio = next / rr;
        rr = next;
        for (int64_t j = 0; j < n; j += kLanes<T>) store(p + j, load(r + j) + ratio * load(p + j));
    }
    multiply(z, z, row.full.scale, n);
    for (int64_t j = 0; j < row.f; j++) x[j] = z[j];
    return Solve::done;
}

template <class T>
Solve solve_cg(const Row<T> &row, const Work<T> &work, const Stop &stop, T *x, int *steps) {
    if constexpr (sizeof(T) == sizeof(float))
        if (row.compact.rows) return iterate(CompactPasses(row, work), stop, x, steps);
    return iterate(FullPasses<T>(row, work), stop, x, steps);
}
