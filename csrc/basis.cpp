// The basis in which half-steps are solved, from an eigendecomposition. The order and the signs of its columns do not
// depend on the LAPACK routine.

#include <cmath>

#include "workspace.h"

extern "C" int32_t cymbals_basis(cymbals_workspace *workspace, int64_t f, const double *values, const double *vectors,
                                 double alpha0, double *spectrum, double *basis) {
    using namespace cymbals;
    ApiCall call(workspace, CYMBALS_PHASE_OTHER);
    if (!call.ready() || !call.between("f", f, 1, 1 << 20) || !call.not_null("values", values) ||
        !call.not_null("vectors", vectors) || !call.not_null("spectrum", spectrum) || !call.not_null("basis", basis) ||
        !call.require(spectrum != values, "spectrum is values: they must not share memory") ||
        !call.require(basis != vectors, "basis is vectors: they must not share memory") ||
        !call.require(alpha0 >= 0 && std::isfinite(alpha0), "alpha0 is %g: it must be finite and not negative", alpha0))
        return CYMBALS_BAD_ARGUMENT;
    bool finite = true;
    for (int64_t k = 0; k < f; k++) finite = finite && std::isfinite(values[k]);
    for (int64_t i = 0; i < f * f; i++) finite = finite && std::isfinite(vectors[i]);
    if (!finite) return call.end(CYMBALS_BAD_VALUE);
    for (int64_t k = 0, from = f - 1; k < f; k++, from--) {  // largest eigenvalue first
        const double *vector = vectors + from * f;
        int64_t peak = 0;
        for (int64_t i = 1; i < f; i++)
            if (std::abs(vector[i]) > std::abs(vector[peak])) peak = i;
        const double sign = vector[peak] < 0 ? -1 : 1;
        for (int64_t i = 0; i < f; i++) basis[i * f + k] = vector[i] * sign;
        spectrum[k] = alpha0 * std::max(values[from], 0.0);
    }
    return CYMBALS_OK;
}
