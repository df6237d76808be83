// Measures the limits of this machine, with which kernels are compared: multiply-adds in registers, bytes read in order
// from the second-level cache and from memory, rows read from memory in random order.

#include <omp.h>

#include <algorithm>

#include "workspace.h"

namespace cymbals {
namespace {

constexpr int64_t kBytes = 256 * 1024 * 1024;  // bytes that all threads read together; more than any cache holds
constexpr int64_t kColumns = 64;
constexpr int64_t kNearColumns = 1024, kNearRows = 64, kNearRounds = 500;  // 256 kB: larger than any first-level cache
constexpr int64_t kNearPlaces = kBytes / (kNearRows * kNearColumns * (int64_t)sizeof(float));
constexpr int64_t kGathered = 1 << 18;   // rows that each thread reads at random
constexpr int64_t kRounds = 20'000'000;  // rounds of multiply-adds
constexpr int kTries = 3;

// Runs task(thread) on all threads at once, several times; returns the shortest time in seconds.
template <class F>
double fastest(int32_t n_threads, F task) {
    double best = 0;
    for (int i = 0; i < kTries; i++) {
        const double begin = omp_get_wtime();
#pragma omp parallel num_threads(n_threads)
        task(omp_get_thread_num());
        const double seconds = omp_get_wtime() - begin;
        if (i == 0 || seconds < best) best = seconds;
    }
    return best;
}

int32_t peaks(const Kernels<float> &kernels, cymbals_peaks *found, int32_t n_threads) {
    const int64_t rows = kBytes / (kColumns * (int64_t)sizeof(float));
    Buffer<float> table = large_buffer<float>(rows * kColumns), results = buffer<float>(n_threads);
    Buffer<int64_t> indices = buffer<int64_t>(n_threads * kGathered);
    if (!table || !results || !indices) return CYMBALS_NO_MEMORY;
    const auto share = [&](int64_t n, int32_t thread) { return n * thread / n_threads; };
    // Each thread first writes the rows that it will stream later, so the system places them in memory near it.
    fastest(n_threads, [&](int32_t t) {
        std::fill(table.get() + share(rows, t) * kColumns, table.get() + share(rows, t + 1) * kColumns, 1.0f);
        uint64_t state = 88172645463325252u + (uint64_t)t;
        for (int64_t i = t * kGathered; i < (t + 1) * kGathered; i++) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;  // xorshift (Marsaglia 2003)
            indices[i] = (int64_t)(state % (uint64_t)rows);
        }
    });
    const double streaming = fastest(n_threads, [&](int32_t t) {
        const int64_t begin = share(rows, t);
        results[t] = kernels.load_rows(table.get() + begin * kColumns, kColumns, kColumns, nullptr,
                                       share(rows, t + 1) - begin, 0);
    });
    double gathering = 0;
    for (int64_t ahead : {8, 16, 32}) {
        const double seconds = fastest(n_threads, [&](int32_t t) {
            results[t] =
                kernels.load_rows(table.get(), kColumns, kColumns, indices.get() + t * kGathered, kGathered, ahead);
        });
        if (gathering == 0 || seconds < gathering) gathering = seconds;
    }
    const double near = fastest(n_threads, [&](int32_t t) {
        const float *rows_of_thread = table.get() + t % kNearPlaces * kNearRows * kNearColumns;
        for (int64_t i = 0; i < kNearRounds; i++)
            results[t] = kernels.load_rows(rows_of_thread, kNearColumns, kNearColumns, nullptr, kNearRows, 0);
    });
    int64_t each = 0;
    const double computing = fastest(n_threads, [&](int32_t t) {
        const int64_t done = kernels.multiply_adds(kRounds, results.get() + t);
        if (t == 0) each = done;
    });
    found->stream_bytes = (double)(rows * kColumns * (int64_t)sizeof(float)) / streaming;
    found->near_bytes = (double)(n_threads * kNearRounds * kNearRows * kNearColumns * (int64_t)sizeof(float)) / near;
    found->gather_rows = (double)(n_threads * kGathered) / gathering;
    found->multiply_adds = (double)each * n_threads / computing;
    return CYMBALS_OK;
}

}  // namespace
}  // namespace cymbals

extern "C" int32_t cymbals_measure_peaks(cymbals_workspace *workspace, cymbals_peaks *peaks) {
    using namespace cymbals;
    ApiCall call(workspace, CYMBALS_PHASE_OTHER);
    if (!call.ready() || !call.has_size("peaks", peaks, sizeof(cymbals_peaks))) return CYMBALS_BAD_ARGUMENT;
    return call.end(cymbals::peaks(call.table().f32, peaks, call.threads()));
}
