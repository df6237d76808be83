// Everything a kernels_<set>.cpp compiles: the sources, in order, and the table of their addresses.
// CYMBALS_SET names the set, CYMBALS_BYTES its vector width, CYMBALS_REGISTERS its vector registers.

#include "kernels.h"

#define CYMBALS_HAVE_SCREEN (CYMBALS_BYTES >= 32 && defined(__x86_64__))  // intrinsics are used from AVX2 on
#if CYMBALS_HAVE_SCREEN
#include <immintrin.h>
#endif

#define CYMBALS_STRING(x) #x
#define CYMBALS_NAME(x) CYMBALS_STRING(x)
#define CYMBALS_PASTE(a, b) a##b
#define CYMBALS_JOIN(a, b) CYMBALS_PASTE(a, b)
#define CYMBALS_TABLE CYMBALS_JOIN(kernels_, CYMBALS_SET)

namespace cymbals {
namespace CYMBALS_SET {  // profilers show which set runs
namespace {              // nothing here may have external linkage: the linker could keep another set's copy

#include "scalar.inl"
//
#include "vector.inl"
//
#include "products.inl"
//
#include "cholesky.inl"
//
#include "weigh.inl"
//
#include "gather.inl"
//
#include "passes.inl"
//
#include "compact.inl"
//
#include "cg.inl"
//
#include "exact.inl"
//
#include "rank.inl"
//
#include "screen.inl"
//
#include "limits.inl"

template <class T>
constexpr Kernels<T> kernels() {
    Kernels<T> all = {kPad<T>,   kLanes<T>,        kTileRows<T>, solve_cg<T>,      solve_dual<T>, solve_primal<T>,
                      syrk<T>,   gemm<T>,          dots<T>,      row_norms<T>,     nullptr,       weigh<T>,
                      scores<T>, find_at_least<T>, count<T>,     multiply_adds<T>, load_rows<T>};
    if constexpr (sizeof(T) == sizeof(float)) all.compress = compress;
    return all;
}

}  // namespace
}  // namespace CYMBALS_SET

extern const KernelTable CYMBALS_TABLE;
const KernelTable CYMBALS_TABLE = {
    CYMBALS_NAME(CYMBALS_SET),
    CYMBALS_SET::kernels<float>(),
    CYMBALS_SET::kernels<double>(),
#if CYMBALS_HAVE_SCREEN
    CYMBALS_SET::screen,
#else
    nullptr,
#endif
};

}  // namespace cymbals
