// Chooses the instruction set. AUTO is decided once per process: by the environment variable CYMBALS_SIMD, else by what
// the processor has.

#include <cstring>

#include "common.h"

namespace cymbals {

extern const KernelTable kernels_baseline;
#if defined(__x86_64__) && !defined(CYMBALS_BASELINE_ONLY)  // tests/counting has only one set of kernels
#define CYMBALS_HAVE_AVX
extern const KernelTable kernels_avx2, kernels_avx512;
#endif

namespace {

const char *const kNames[] = {"auto", "baseline", "avx2", "avx512"};

const KernelTable *table_here(int32_t simd) {
    if (simd == CYMBALS_BASELINE) return &kernels_baseline;
#ifdef CYMBALS_HAVE_AVX
    if (simd == CYMBALS_AVX2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &kernels_avx2;
    if (simd == CYMBALS_AVX512 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
        return &kernels_avx512;
#endif
    return nullptr;
}

// The set that CYMBALS_AUTO means; 0 if CYMBALS_SIMD names none that is known.
int32_t automatic() {
    const char *wish = std::getenv("CYMBALS_SIMD");
    if (wish && *wish) {
        for (int32_t simd = CYMBALS_BASELINE; simd <= CYMBALS_AVX512; simd++)
            if (!std::strcmp(wish, kNames[simd])) return simd;
        if (std::strcmp(wish, "auto")) return 0;
    }
    int32_t best = CYMBALS_AVX512;
    while (!table_here(best)) best--;
    return best;
}

}  // namespace

const KernelTable *kernel_table(int32_t simd, int32_t *status) {
    static const int32_t automatic_simd = automatic();
    const KernelTable *table = table_here(simd == CYMBALS_AUTO ? automatic_simd : simd);
    *status = table ? CYMBALS_OK : CYMBALS_NO_SIMD;
    return table;
}

}  // namespace cymbals

extern "C" const char *cymbals_simd_name(int32_t simd) {
    return simd >= CYMBALS_AUTO && simd <= CYMBALS_AVX512 ? cymbals::kNames[simd] : nullptr;
}

extern "C" int32_t cymbals_simd_resolve(int32_t simd, int32_t *resolved) {
    if (!resolved) return CYMBALS_BAD_ARGUMENT;
    int32_t status;
    const cymbals::KernelTable *table = cymbals::kernel_table(simd, &status);
    for (int32_t i = CYMBALS_BASELINE; table && i <= CYMBALS_AVX512; i++)
        if (!std::strcmp(table->name, cymbals::kNames[i])) *resolved = i;
    return status;
}
