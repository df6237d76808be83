// The code that each kernels_<set>.cpp compiles: the sources, in order, and the table of the kernels' addresses.
// CYMBALS_SET is the name of the set, CYMBALS_BYTES the width of its vectors, CYMBALS_REGISTERS the number of its
// vector registers.

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
namespace CYMBALS_SET {  // so that profilers show which set runs
namespace {              // unnamed: with external linkage, the linker could take another set's copy

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
#include "compact.inl"
//
#include "gather.inl"
//
#include "passes.inl"
//
#include "compact_passes.inl"
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

// Assigns the members by name: several kernels have the same type, so a list in the wrong order would compile.
template <class T>
constexpr Kernels<T> kernels() {
    Kernels<T> all = {};
    all.pad = kPad<T>;
    all.lanes = kLanes<T>;
    all.strip = kTileRows<T>;
    all.registers = CYMBALS_REGISTERS;
    all.solve_cg = solve_cg<T>;
    all.solve_dual = solve_dual<T>;
    all.solve_primal = solve_primal<T>;
    all.syrk = syrk<T>;
    all.gemm = gemm<T>;
    all.dots = dots<T>;
    all.row_norms = row_norms<T>;
    if constexpr (sizeof(T) == sizeof(float)) all.compress = compress, all.expand = expand;
    all.weigh = weigh<T>;
    all.scores = scores<T>;
    all.find_at_least = find_at_least<T>;
    all.count = count<T>;
    all.multiply_adds = multiply_adds<T>;
    all.load_rows = load_rows<T>;
    return all;
}

constexpr KernelTable table() {
    KernelTable all = {};
    all.name = CYMBALS_NAME(CYMBALS_SET);
    all.f32 = kernels<float>();
    all.f64 = kernels<double>();
#if CYMBALS_HAVE_SCREEN
    all.screen = screen;
#endif
    return all;
}

}  // namespace
}  // namespace CYMBALS_SET

extern const KernelTable CYMBALS_TABLE;
constexpr KernelTable CYMBALS_TABLE = CYMBALS_SET::table();

}  // namespace cymbals
