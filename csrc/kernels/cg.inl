// Warm-started conjugate gradients on (I + W'SW) z = W'q, S = diag(sign), z = D^(1/2) x: the Gramian preconditions,
// each step is one pass over the row's entries.

// s <- S s for a group of entries from i on.
template <class T>
CYMBALS_INLINE void apply_signs(const Row<T> &row, int64_t i, Group<T> &s) {
    if (row.n_positive == row.n) return;
    alignas(64) T each[kPad<T>];
    s.write(each);
    for (int64_t k = 0; k < kPad<T>; k++) each[k] = i + k < row.n_positive ? each[k] : -each[k];
    s.read(each);
}

// r = W'(q - S W z) - z; returns b'z = q'Wz
template <class T, class Passes>
CYMBALS_NAMED T residual(Passes &passes, const T *z, T *r) {
    const Row<T> &row = passes.row;
    Group<T> bz = {};
    for (int64_t j = 0; j < passes.scratch.padded; j += kLanes<T>) store(r + j, -load(z + j));
    passes(z, r, [&row, &bz](int64_t i, Group<T> &s) CYMBALS_INLINED {
        Group<T> q;
        q.read(row.q + i);
        bz.add_product(q, s);
        apply_signs(row, i, s);
        s.subtract_from(q);
    });
    return bz.total();
}

// Returns p'Ap, sets *bp = b'p, and ap = Ap where that is not null; pp = p'p.
template <class T, class Passes>
CYMBALS_NAMED T curvature(Passes &passes, const T *p, T pp, T *ap, T *bp) {
    const Row<T> &row = passes.row;
    Group<T> pap = {}, target = {};
    if (ap)
        for (int64_t j = 0; j < passes.scratch.padded; j += kLanes<T>) store(ap + j, load(p + j));
    passes(p, ap, [&row, &pap, &target](int64_t i, Group<T> &s) CYMBALS_INLINED {
        Group<T> q;
        q.read(row.q + i);
        target.add_product(q, s);
        const Group<T> along = s;
        apply_signs(row, i, s);
        pap.add_product(along, s);
    });
    *bp = target.total();
    return pp + pap.total();
}

// y += a x, returning |y|^2; y = x + a y, returning the same.
template <class T>
inline T add_scaled_norm(T *y, T a, const T *x, int64_t n) {
    Vec<T> squares = {};
    for (int64_t j = 0; j < n; j += kLanes<T>) {
        const Vec<T> v = load(y + j) + a * load(x + j);
        store(y + j, v);
        squares += v * v;
    }
    return sum<T>(squares);
}
template <class T>
inline T scale_add_norm(T *y, T a, const T *x, int64_t n) {
    Vec<T> squares = {};
    for (int64_t j = 0; j < n; j += kLanes<T>) {
        const Vec<T> v = load(x + j) + a * load(y + j);
        store(y + j, v);
        squares += v * v;
    }
    return sum<T>(squares);
}

// A last step whose residual is not computed may leave this many times the excess loss that a computed |r|^2 may: twice
// the tolerance. A proof of as little as that would cost one pass more for every tenth row.
template <class T>
constexpr T kProven = 4;

template <class T, class Passes>
Outcome iterate(Passes passes, const Stop &stop, T *x, CgSteps *steps) {
    const Row<T> &row = passes.row;
    const RowScratch<T> &scratch = passes.scratch;
    const int64_t n = scratch.padded, whole = row.f / kLanes<T> * kLanes<T>;
    T *z = scratch.z, *r = scratch.r, *p = scratch.p, *ap = scratch.ap;
    multiply(z, x, row.root, whole);
    for (int64_t j = whole; j < n; j++) z[j] = j < row.f ? x[j] * row.root[j] : 0;
    T bz = residual(passes, z, r);
    note_gathered(scratch);
    T rr = dot(r, r, n), pp = rr;
    for (int64_t j = 0; j < n; j += kLanes<T>) store(p + j, load(r + j));
    int taken = 0;
    *steps = {0, 0};
    const T share = rr < bz / 4 ? (T)(stop.share * stop.share) : 0;
    T gained = 0;
    const bool fixed_number = stop.tolerance == 0;
    const T least_tolerance = 4 * kEpsilon<T>,  // below a few units of rounding there is nothing left to gain
        tight = stop.tight > least_tolerance ? (T)stop.tight : least_tolerance,
            loose = stop.tolerance > least_tolerance ? (T)stop.tolerance : least_tolerance;
    // The excess loss that a row may be left with after so many steps; |r|^2 is an upper bound of it.
    const auto allowed = [&](int after) {
        // What remains counts, or the smallest part that is worth a step. Heavy weights explain so much that a
        // thousandth of it is more than there is to gain: there it is a thousandth of what weights of 1 would explain,
        // and no less than the rounding of what remains. A fixed number of steps is cut short by rounding alone.
        const T left = row.constant - bz, light = (T)row.n, rounding = 8 * kEpsilon<T> * row.constant;
        T least = T(1e-3) * (fixed_number || bz < light ? bz : light);
        if (!fixed_number && least < rounding) least = rounding;
        const T part = left > bz ? bz : (left > least ? left : least), t = after < stop.wanted ? tight : loose;
        const T of_part = t * t * part, of_gain = share * gained, most = of_part > of_gain ? of_part : of_gain;
        return most > kSmallest<T> ? most : kSmallest<T>;
    };
    T ratio = 1;  // by which the last step reduced |r|^2
    // The excess loss r'A^-1 r is at most radau |r|^2, and radau - alpha times it after the step (Golub and Meurant
    // 1994), since no eigenvalue of A is below 1. Negative weights and rounding end that.
    T radau = 1, alpha = 0;
    bool bounded = row.n_positive == row.n;
    const auto proven = [&](T most) { return fixed_number || (bounded && rr * (radau - alpha) <= kProven<T> * most); };
    for (;;) {
        if (!__builtin_isfinite(rr + bz + gained + row.constant)) return Outcome::not_converged;  // squares overflow
        const T now = allowed(taken), then = taken + 1 == stop.wanted ? allowed(taken + 1) : now;
        if (rr <= now) break;
        if (taken == stop.most) return Outcome::not_converged;
        // The last step needs no new residual: the last by number, or one that is expected to do as well as that before
        // it and to leave a proof that it did.
        const bool last = taken + 1 == stop.most && fixed_number, likely = rr * ratio <= then && proven(then);
        T bp;
        const T pap = curvature(passes, p, pp, last || likely ? nullptr : ap, &bp);
        if (!(pap > 0 && pap < __builtin_inf())) return Outcome::indefinite;
        alpha = rr / pap;
        bounded = bounded && alpha < radau;
        add_scaled(z, alpha, p, n);
        ++taken;
        *steps = {taken, last || likely};
        if (last) break;
        bz += alpha * bp;
        gained += alpha * rr;
        if (likely && proven(allowed(taken))) break;
        T next;
        if (likely) {  // expected, but not proven
            steps->short_passes = 0;
            bz = residual(passes, z, r);
            next = dot(r, r, n);
        } else {
            next = add_scaled_norm(r, -alpha, ap, n);
        }
        ratio = next / rr;
        rr = next;
        // A residual that grew when it was computed anew says that rounding has spoilt the directions so far.
        const bool anew = likely && ratio > 1;
        radau = anew ? 1 : (radau - alpha) / (radau - alpha + ratio);
        pp = scale_add_norm(p, anew ? 0 : ratio, r, n);
    }
    multiply(z, z, row.full.scale, n);
    for (int64_t j = 0; j < row.f; j++) x[j] = z[j];
    return Outcome::done;
}

// Ranks of so many vectors of pairs have loops of their own; 0, the last, stands for all others.
template <int64_t V, int64_t... Others>
Outcome solve_compact(const Row<float> &row, const RowScratch<float> &scratch, const Stop &stop, float *x,
                      CgSteps *steps) {
    if constexpr (V > 0)
        if (pair_vectors(row.f) != V) return solve_compact<Others...>(row, scratch, stop, x, steps);
    return iterate(CompactPasses<V>(row, scratch), stop, x, steps);
}

template <class T>
Outcome solve_cg(const Row<T> &row, const RowScratch<T> &scratch, const Stop &stop, T *x, CgSteps *steps) {
    if constexpr (sizeof(T) == sizeof(float))
        if (row.compact.rows) return solve_compact<1, 2, 4, 8, 0>(row, scratch, stop, x, steps);
    return iterate(FullPasses<T>(row, scratch), stop, x, steps);
}
