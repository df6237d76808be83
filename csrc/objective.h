// What a stored value says about its cell: weight a and target b of the row's system, and the constant
// that completes the square in the loss. The table is in cymbals.h.
#pragma once

#include <cmath>

#include "cymbals/cymbals.h"

namespace cymbals {

template <class T>
struct Cell {
    T a, b, constant;
};

template <class T>
struct Objective {
    int32_t kind, confidence;
    T alpha, inverse_epsilon, base;  // base = 1 - alpha0

    explicit Objective(const cymbals_objective &o)
        : kind(o.kind),
          confidence(o.confidence),
          alpha((T)o.alpha),
          inverse_epsilon((T)(1 / o.epsilon)),
          base((T)(1 - o.alpha0)) {}

    // alpha g(|r|)
    T strength(T size) const {
        if (confidence == CYMBALS_LINEAR) return alpha * size;
        if (confidence == CYMBALS_LOG) return alpha * (T)std::log1p((double)(size * inverse_epsilon));
        return size > 0 ? alpha : 0;
    }

    Cell<T> operator()(T r) const {
        if (kind == CYMBALS_EXPLICIT) return {1, r, r * r};
        const T w = strength(r < 0 ? -r : r);
        if (kind == CYMBALS_IALS) return {w, w, w};
        const T b = r > 0 ? 1 + w : 0;
        return {w + base, b, b};
    }
};

inline bool good(const cymbals_objective *o) {
    return o && o->struct_size >= sizeof(cymbals_objective) && o->kind >= CYMBALS_HU && o->kind <= CYMBALS_EXPLICIT &&
           o->confidence >= CYMBALS_LINEAR && o->confidence <= CYMBALS_BINARY && o->alpha0 >= 0 &&
           std::isfinite(o->alpha) && std::isfinite(o->alpha0) && (o->confidence != CYMBALS_LOG || o->epsilon > 0) &&
           (o->kind != CYMBALS_EXPLICIT || o->alpha0 == 0);
}

}  // namespace cymbals
