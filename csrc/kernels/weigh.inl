// A row's weights and targets as its solvers take them, and what they add up to, which decides how the row is solved.

// See kernels.h.
template <class T>
Weighed<T> weigh(T *a, T *b, int64_t n, const int64_t *where, const T *leverage, bool squares) {
    constexpr int64_t L = kLanes<T>;
    // In the dual a weight of 0 must not divide; such an entry weighs less than rounding.
    constexpr T smallest = kEpsilon<T> * kEpsilon<T>;
    T traces[4] = {}, heaviest[4] = {};
    int64_t i = 0;
    const auto meet = [&](int64_t k) CYMBALS_INLINED {
        const T h = magnitude(a[i + k]) * leverage[where[i + k]];
        traces[k] += h;
        heaviest[k] = h > heaviest[k] ? h : heaviest[k];
    };
    for (; i + 4 <= n; i += 4)
#pragma GCC unroll 4
        for (int64_t k = 0; k < 4; k++) meet(k);
    for (; i < n; i++) meet(0);
    for (int64_t k = 1; k < 4; k++) {
        traces[0] += traces[k];
        heaviest[0] = heaviest[k] > heaviest[0] ? heaviest[k] : heaviest[0];
    }
    for (i = n; i < n + kGroup; i++) a[i] = b[i] = 0;
    Vec<T> constants = {}, least = {}, strange = {};
    for (i = 0; i < n; i += L) {
        const Vec<T> weight = load(a + i), target = load(b + i);
        const Vec<T> size = magnitude(weight), floored = size < smallest ? Vec<T>{} + smallest : size;
        const Vec<T> root = roots<T>(floored), quotient = target / root;
        constants += squares ? target * target : target;
        least = weight < least ? weight : least;
        strange += size * 0 + quotient * 0;  // NaN where one is not finite
        store(a + i, weight < 0 ? -root : root);
        store(b + i, quotient);
    }
    for (i = n; i < n + L; i++) a[i] = 0;
    const T check = sum<T>(strange), lowest = least_lane<T>(least);
    return {traces[0], heaviest[0], sum<T>(constants), lowest, check == 0};
}
