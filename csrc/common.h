// Code that the sources in this folder share: typed access to the C structs, memory that fails with a status instead of
// an exception, and the choice of kernels.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#elif defined(_WIN32)
#include <malloc.h>
#endif

#include "cymbals/cymbals.h"
#include "kernels/kernels.h"

namespace cymbals {

// The kernels for an instruction set, or null and a status. Defined in dispatch.cpp.
const KernelTable *kernel_table(int32_t simd, int32_t *status);

template <class T>
const Kernels<T> &kernels_of(const KernelTable &table);
template <>
inline const Kernels<float> &kernels_of<float>(const KernelTable &table) {
    return table.f32;
}
template <>
inline const Kernels<double> &kernels_of<double>(const KernelTable &table) {
    return table.f64;
}

// Windows has no std::aligned_alloc, and std::free does not free what _aligned_malloc returns.
inline void *allocate(size_t alignment, size_t bytes) {
#if defined(_WIN32)
    return _aligned_malloc(bytes, alignment);
#else
    return std::aligned_alloc(alignment, bytes);
#endif
}
struct Free {
    void operator()(void *p) const {
#if defined(_WIN32)
        _aligned_free(p);
#else
        std::free(p);
#endif
    }
};

// Uninitialised memory for n elements. It starts on a cache line, and an unused cache line follows the elements. Null
// if there is not enough memory.
template <class T>
using Buffer = std::unique_ptr<T[], Free>;
template <class T>
Buffer<T> buffer(int64_t n) {
    if (n < 0 || (uint64_t)n > PTRDIFF_MAX / sizeof(T) - 128) return nullptr;
    const size_t bytes = ((size_t)n * sizeof(T) + 127) / 64 * 64;
    return Buffer<T>(static_cast<T *>(allocate(64, bytes)));
}

// Uninitialised memory for large arrays that are read in random order, on huge pages if the system offers them.
template <class T>
Buffer<T> large_buffer(int64_t n) {
#if defined(__linux__)
    constexpr size_t huge = 2 * 1024 * 1024;
    if (n >= (int64_t)(huge / sizeof(T)) && (uint64_t)n < (PTRDIFF_MAX - huge) / sizeof(T)) {
        const size_t bytes = ((size_t)n * sizeof(T) + huge - 1) / huge * huge;
        Buffer<T> memory(static_cast<T *>(allocate(huge, bytes)));
        if (memory) madvise(memory.get(), bytes, MADV_HUGEPAGE);  // only a hint, which may be refused
        return memory;
    }
#endif
    return buffer<T>(n);
}

template <class T>
constexpr int64_t kLine = 64 / (int64_t)sizeof(T);  // elements of a cache line

inline int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

template <class T>
T *row_of(const cymbals_matrix &m, int64_t row) {
    return static_cast<T *>(m.data) + row * m.stride;
}
inline int64_t index_at(const cymbals_csr &c, int64_t position) {
    return c.index_type == CYMBALS_INT32 ? static_cast<const int32_t *>(c.indices)[position]
                                         : static_cast<const int64_t *>(c.indices)[position];
}
inline double value_at(const cymbals_csr &c, int64_t position) {
    return c.value_type == CYMBALS_FLOAT32 ? static_cast<const float *>(c.values)[position]
                                           : static_cast<const double *>(c.values)[position];
}

// How many threads to use for this many multiply-adds. Waking a thread takes about as long as 100,000 of them.
inline int32_t worth(int32_t n_threads, double multiply_adds) {
    const double most = 1 + multiply_adds / 1e5;
    return most < n_threads ? (int32_t)most : n_threads;
}

// Calls f(T()), where T is the C++ type of `type`, an element type of cymbals.h.
template <class F>
int32_t with_float(int32_t type, F f) {
    return type == CYMBALS_FLOAT32 ? f(float()) : f(double());
}
template <class F>
int32_t with_index(int32_t type, F f) {
    return type == CYMBALS_INT32 ? f(int32_t()) : f(int64_t());
}

}  // namespace cymbals
