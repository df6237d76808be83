// The weight a and the weighted target b that the objective gives a stored value. The loss of its cell at score s is
// a s^2 - 2 b s + constant. cymbals.h has the formulas.
#pragma once

#include <cmath>

#include "workspace.h"

namespace cymbals {

template <class T>
struct Cell {
    T a, b;
};

template <class T>
struct Objective {
    int32_t kind, confidence;
    T alpha, inverse_epsilon, alpha0, base;  // base = 1 - alpha0

    explicit Objective(const cymbals_objective &o)
        : kind(o.kind),
          confidence(o.confidence),
          alpha((T)o.alpha),
          inverse_epsilon((T)(1 / o.epsilon)),
          alpha0((T)o.alpha0),
          base((T)(1 - o.alpha0)) {}

    Cell<T> operator()(T r) const {
        Cell<T> cell;
        each(&r, 1, [&](int64_t, const Cell<T> &c) { cell = c; });
        return cell;
    }

    // The loss of a cell at a score of 0.
    T constant(T b) const { return kind == CYMBALS_EXPLICIT ? b * b : b; }

    // Calls visit(i, cell of values[i]) for each value. The kind is tested outside the loop, so compilers vectorize it.
    template <class V, class F>
    void each(const V *values, int64_t n, F visit) const {
        if (kind == CYMBALS_EXPLICIT) {
            for (int64_t i = 0; i < n; i++) visit(i, Cell<T>{1, (T)values[i]});
        } else if (confidence == CYMBALS_TOTAL) {
            for (int64_t i = 0; i < n; i++) {  // not as 1 + w, which would lose the digits of a small weight
                const T r = (T)values[i], weight = alpha * std::abs(r);
                visit(i, Cell<T>{weight - alpha0, r > 0 ? weight : 0});
            }
        } else if (confidence == CYMBALS_LINEAR) {
            implicit(values, n, [this](T size) { return alpha * size; }, visit);
        } else if (confidence == CYMBALS_LOG) {
            implicit(
                values, n, [this](T size) { return alpha * (T)std::log1p((double)(size * inverse_epsilon)); }, visit);
        } else {
            implicit(values, n, [this](T size) { return size > 0 ? alpha : 0; }, visit);
        }
    }

 private:
    // strength(|r|) = alpha g(|r|)
    template <class V, class S, class F>
    void implicit(const V *values, int64_t n, S strength, F visit) const {
        if (kind == CYMBALS_IALS) {
            for (int64_t i = 0; i < n; i++) {
                const T w = strength(std::abs((T)values[i]));
                visit(i, Cell<T>{w, w});
            }
        } else {
            for (int64_t i = 0; i < n; i++) {
                const T r = (T)values[i], w = strength(std::abs(r)), b = r > 0 ? 1 + w : 0;
                visit(i, Cell<T>{w + base, b});
            }
        }
    }
};

inline bool good_objective(ApiCall &call, const cymbals_objective *o) {
    return call.has_size("objective", o, sizeof(cymbals_objective)) &&
           call.between("objective->kind", o->kind, CYMBALS_HU, CYMBALS_EXPLICIT) &&
           call.between("objective->confidence", o->confidence, CYMBALS_LINEAR, CYMBALS_TOTAL) &&
           call.require(o->confidence != CYMBALS_TOTAL || o->kind != CYMBALS_IALS,
                        "objective->confidence is TOTAL, which IALS cannot use") &&
           call.require(std::isfinite(o->alpha), "objective->alpha is %g: it must be finite", o->alpha) &&
           call.require(o->alpha0 >= 0 && std::isfinite(o->alpha0),
                        "objective->alpha0 is %g: it must be finite and not negative", o->alpha0) &&
           call.require(o->confidence != CYMBALS_LOG || (o->epsilon > 0 && std::isfinite(o->epsilon)),
                        "objective->epsilon is %g: LOG needs a finite one above 0", o->epsilon) &&
           call.require(o->kind != CYMBALS_EXPLICIT || o->alpha0 == 0, "objective->alpha0 is %g: EXPLICIT needs 0",
                        o->alpha0);
}

}  // namespace cymbals
