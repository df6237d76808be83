// Warm-started conjugate gradients on (I + W'SW) z = W'q, S = diag(sign), z = D^(1/2) x: the Gramian preconditions,
// each step is one pass over the tile that makes the dot products and adds the rows back while they are in registers
// and first-level cache.

// s[0..4) = w_i . x
template <class T>
inline void dots4(const T *w, int64_t ld, const T *x, int64_t n, T *s) {
    Vec<T> a = {}, b = {}, c = {}, d = {};
    for (int64_t j = 0; j < n; j += kLanes<T>) {
        const Vec<T> v = load(x + j);
        a += v * load(w + j);
        b += v * load(w + ld + j);
        c += v * load(w + 2 * ld + j);
        d += v * load(w + 3 * ld + j);
    }
    s[0] = sum<T>(a);
    s[1] = sum<T>(b);
    s[2] = sum<T>(c);
    s[3] = sum<T>(d);
}

// y += s[0] w_0 + .. + s[3] w_3
template <class T>
inline void add4(const T *w, int64_t ld, const T *s, int64_t n, T *y) {
    for (int64_t j = 0; j < n; j += kLanes<T>) {
        const Vec<T> even = s[0] * load(w + j) + s[2] * load(w + 2 * ld + j);
        const Vec<T> odd = s[1] * load(w + ld + j) + s[3] * load(w + 3 * ld + j);
        store(y + j, load(y + j) + (even + odd));
    }
}

// r = W'(q - S W z) - z; returns b'z = q'Wz
template <class T>
T residual(Walk<T> &walk, const T *z, T *r, int64_t n) {
    const int64_t ld = walk.work.ld;
    T bz = 0;
    for (int64_t j = 0; j < n; j += kLanes<T>) store(r + j, -load(z + j));
    walk([&](const Run<T> &run) {
        for (int64_t i = 0; i < run.rows; i += kBlock) {
            walk.fetch_ahead();
            T s[kBlock];
            dots4(run.tile + i * ld, ld, z, n, s);
            for (int64_t k = 0; k < kBlock; k++) {
                bz += run.q[i + k] * s[k];
                s[k] = run.q[i + k] - run.sign * s[k];
            }
            add4(run.tile + i * ld, ld, s, n, r);
        }
    });
    return bz;
}

// Returns p'Ap, sets *bp = b'p, and ap = Ap where asked for.
template <class T>
T curvature(Walk<T> &walk, const T *p, T *ap, bool want_ap, int64_t n, T *bp) {
    const int64_t ld = walk.work.ld;
    T pap = dot(p, p, n), target = 0;
    if (want_ap)
        for (int64_t j = 0; j < n; j += kLanes<T>) store(ap + j, load(p + j));
    walk([&](const Run<T> &run) {
        for (int64_t i = 0; i < run.rows; i += kBlock) {
            walk.fetch_ahead();
            T s[kBlock];
            dots4(run.tile + i * ld, ld, p, n, s);
            for (int64_t k = 0; k < kBlock; k++) {
                target += run.q[i + k] * s[k];
                pap += run.sign * s[k] * s[k];
                s[k] *= run.sign;
            }
            if (want_ap) add4(run.tile + i * ld, ld, s, n, ap);
        }
    });
    *bp = target;
    return pap;
}

template <class T>
Solve solve_cg(const Row<T> &row, const Work<T> &work, int max_steps, T tolerance, T *x, int *steps) {
    const int64_t n = work.padded;
    T *z = work.z, *r = work.r, *p = work.p, *ap = work.ap;
    for (int64_t j = 0; j < n; j++) z[j] = j < row.f ? x[j] * row.root[j] : 0;
    Walk<T> walk(row, work);
    T bz = residual(walk, z, r, n), rr = dot(r, r, n);
    for (int64_t j = 0; j < n; j += kLanes<T>) store(p + j, load(r + j));
    *steps = 0;
    // Below a few units of rounding, or of the smallest number, there is nothing left to gain.
    const T rounding = 4 * kEpsilon<T>, enough = tolerance > rounding ? tolerance : rounding;
    while (!(rr <= enough * enough * bz || rr < kSmallest<T>)) {  // negated, so that a NaN goes on and is found out
        if (*steps == max_steps) return Solve::not_converged;
        // the last step needs no new residual, except to know whether it converged
        const bool last = *steps + 1 == max_steps && tolerance == 0;
        T bp;
        const T pap = curvature(walk, p, ap, !last, n, &bp);
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
    multiply(z, z, row.scale, n);
    for (int64_t j = 0; j < row.f; j++) x[j] = z[j];
    return Solve::done;
}
