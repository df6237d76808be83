// Warm-started conjugate gradients on (I + W'SW) z = W'q, where S = diag(sign) and z = D^(1/2) x. The Gramian is the
// preconditioner, and each step is one pass over the row's entries.

// Multiplies s by S, for the group of entries that begins with entry i.
template <class T>
CYMBALS_INLINE void apply_signs(const Row<T> &row, int64_t i, Group<T> &s) {
    if (row.n_positive == row.n) return;
    alignas(64) T each[kPad<T>];
    s.write(each);
    for (int64_t k = 0; k < kPad<T>; k++) each[k] = i + k < row.n_positive ? each[k] : -each[k];
    s.read(each);
}

// r = W'(q - S W z) - z; returns b'z = q'Wz.
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

// Returns p'Ap and sets *bp = b'p; sets ap = Ap if ap is not null. pp = p'p.
template <class T, class Passes>
CYMBALS_NAMED T curvature(Passes &passes, const T *p, T pp, T *ap, T *bp) {
    const Row<T> &row = passes.row;
    Group<T> pap = {}, product = {};
    if (ap)
        for (int64_t j = 0; j < passes.scratch.padded; j += kLanes<T>) store(ap + j, load(p + j));
    passes(p, ap, [&row, &pap, &product](int64_t i, Group<T> &s) CYMBALS_INLINED {
        Group<T> q;
        q.read(row.q + i);
        product.add_product(q, s);
        const Group<T> along = s;
        apply_signs(row, i, s);
        pap.add_product(along, s);
    });
    *bp = product.total();
    return pp + pap.total();
}

// y += a x, and y = x + a y; both return |y|^2.
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

// The last step may leave out the new residual, which saves half of its pass. The solver then stops if a bound proves
// that the excess loss (the loss minus that of the exact solution) is at most kProven times the limit that a computed
// |r|^2 must meet. kProven = 4 allows twice the tolerance, because the excess loss grows with the square of the
// tolerance. With kProven = 1, every tenth row would need one more pass.
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
    // The excess loss that is allowed after this many steps. |r|^2 is an upper bound of the excess loss.
    const auto allowed = [&](int after) {
        // The tolerance applies to the smaller of two parts of the loss: `left`, which the solution does not explain
        // yet, and bz, which it explains. If `left` is below a limit, `least`, then `least` is used instead, because a
        // step that gains less is not worth its time. `least` is a thousandth of the smaller of bz and n, the number of
        // entries. With heavy weights, a thousandth of bz could exceed the loss that is left to gain. If all weights
        // and weighted targets are 1, bz is at most n anyway. `least` is also at least the rounding error of `left`.
        // With a fixed number of steps, `least` is just a thousandth of bz, and the tolerance is so small that steps
        // end early only when rounding leaves nothing to gain.
        const T left = row.constant - bz, light = (T)row.n, rounding = 8 * kEpsilon<T> * row.constant;
        T least = T(1e-3) * (fixed_number || bz < light ? bz : light);
        if (!fixed_number && least < rounding) least = rounding;
        const T part = left > bz ? bz : (left > least ? left : least), t = after < stop.wanted ? tight : loose;
        const T of_part = t * t * part, of_gain = share * gained, most = of_part > of_gain ? of_part : of_gain;
        return most > kSmallest<T> ? most : kSmallest<T>;
    };
    T ratio = 1;  // |r|^2 after the last step, divided by |r|^2 before it
    // No eigenvalue of A is below 1. So the excess loss r'A^-1 r is at most radau |r|^2, and after the step at most
    // (radau - alpha) |r|^2 (Golub and Meurant 1994). With negative weights, or after too much rounding, these bounds
    // do not hold: then `bounded` is false.
    T radau = 1, alpha = 0;
    bool bounded = row.n_positive == row.n;
    const auto proven = [&](T most) { return fixed_number || (bounded && rr * (radau - alpha) <= kProven<T> * most); };
    for (;;) {
        if (!__builtin_isfinite(rr + bz + gained + row.constant)) return Outcome::not_converged;  // squares overflowed
        const T now = allowed(taken), then = taken + 1 == stop.wanted ? allowed(taken + 1) : now;
        if (rr <= now) break;
        if (taken == stop.most) return Outcome::not_converged;
        // The last step needs no new residual. With a fixed number of steps, it is known which step is the last.
        // Otherwise a step is likely to be the last if |r|^2 would be small enough after falling by the same ratio as
        // in the step before. A bound then has to prove that the excess loss is small enough.
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
        if (likely) {  // the bound did not prove it, so a new residual is computed
            steps->short_passes = 0;
            bz = residual(passes, z, r);
            next = dot(r, r, n);
        } else {
            next = add_scaled_norm(r, -alpha, ap, n);
        }
        ratio = next / rr;
        rr = next;
        // If the newly computed residual is larger than the one before, rounding has spoilt the search directions: they
        // start again from the new residual.
        const bool anew = likely && ratio > 1;
        radau = anew ? 1 : (radau - alpha) / (radau - alpha + ratio);
        pp = scale_add_norm(p, anew ? 0 : ratio, r, n);
    }
    multiply(z, z, row.full.scale, n);
    for (int64_t j = 0; j < row.f; j++) x[j] = z[j];
    return Outcome::done;
}

// Calls `iterate` with loops of constant length if a row of the copy has V vectors of pairs, else tries the next of
// Others. The list ends with 0, which works for any number of vectors.
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
        if (row.compact.rows && row.n_heavy == 0) return solve_compact<1, 2, 4, 8, 0>(row, scratch, stop, x, steps);
    return iterate(FullPasses<T>(row, scratch), stop, x, steps);
}
