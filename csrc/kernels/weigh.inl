// Prepares a row's weights and weighted targets for the solvers, and computes sums from which the solver is chosen.

// See kernels.h.
template <class T>
WeightSums<T> weigh(T *a, T *b, int64_t n, const int64_t *indices, const T *leverage, bool squares) {
    constexpr int64_t L = kLanes<T>;
    for (int64_t i = n; i < n + kGroup; i++) a[i] = b[i] = 0;
    Vec<T> traces = {}, heaviest = {}, longest = spread(T(1));
    constexpr int64_t chunk = 64;  // leverages that are read before they are used, so that the loads overlap
    alignas(64) T found[chunk] = {};
    for (int64_t i = 0; i < n; i += chunk) {
        const int64_t count = n - i < chunk ? n - i : chunk;
        for (int64_t k = 0; k < count; k++) found[k] = leverage[indices ? indices[i + k] : i + k];
        for (int64_t k = 0; k < count; k += L) {  // a is 0 after its n numbers
            const Vec<T> l = load(found + k), h = magnitude(load(a + i + k)) * l;
            longest = l > longest ? l : longest;
            traces += h;
            heaviest = h > heaviest ? h : heaviest;
        }
    }
    // Weighted targets are divided by the square root of their weight, so a weight of 0 is replaced by `smallest`. An
    // entry of that weight changes the solution by less than rounding does.
    const T smallest = kEpsilon<T> * kEpsilon<T> / -least_lane<T>(-longest);
    Vec<T> constants = {}, least = {}, not_finite = {};
    for (int64_t i = 0; i < n; i += L) {
        const Vec<T> weight = load(a + i), target = load(b + i);
        const Vec<T> size = magnitude(weight), floored = size < smallest ? spread(smallest) : size;
        const Vec<T> root = roots<T>(floored), quotient = target / root;
        constants += squares ? target * target : target;
        least = weight < least ? weight : least;
        not_finite += size * 0 + quotient * 0;  // becomes NaN if a number is not finite
        store(a + i, weight < 0 ? -root : root);
        store(b + i, quotient);
    }
    for (int64_t i = n; i < n + L; i++) a[i] = 0;
    const T check = sum<T>(not_finite), lowest = least_lane<T>(least);
    return {sum<T>(traces), -least_lane<T>(-heaviest), sum<T>(constants), lowest, check == 0};
}
