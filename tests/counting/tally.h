// The counters of the counting kernels: flops, and bytes by the memory that they are read from or written to. They work
// for one thread.
#pragma once

#include <cstdint>
#include <vector>

namespace counting {

struct Count {
    double flops = 0, bytes = 0;
};

// A piece of memory whose loads, or stores, are counted.
struct Range {
    const char *begin = nullptr, *end = nullptr;

    Range() = default;
    template <class T>
    Range(const T *first, int64_t n)
        : begin(reinterpret_cast<const char *>(first)), end(reinterpret_cast<const char *>(first + n)) {}
    bool holds(const void *p) const { return p >= begin && p < end; }
};

// Counts of the current kernel call. A solver is gathering until it writes to *gathered that it has gathered the row.
// An exact solver is gathering again each time it reads the fixed side again.
struct Tally {
    Range fixed, heavy, tile, copy;  // heavy: the fixed side itself, if `fixed` is its 16-bit copy or empty
    const int64_t *gathered = nullptr;
    int64_t noted = 0;
    bool exact = false, gathering = false;
    int64_t flops[2] = {}, from_fixed[2] = {}, from_tile[2] = {}, to_copy = 0;  // [gathering]
    bool once = false;            // count a byte of the fixed side only when it is first read
    std::vector<bool> read = {};  // with `once`: the bytes of the fixed side that have been read

    void look() {
        if (!gathering || *gathered == noted) return;
        gathering = false;
        noted = *gathered;
    }
    void calculate(int64_t n) {
        look();
        flops[gathering] += n;
    }
    void load(const void *p, int64_t size) {
        look();
        if (fixed.holds(p) || heavy.holds(p)) {
            if (exact) gathering = true;
            from_fixed[gathering] += once ? first_read(static_cast<const char *>(p) - fixed.begin, size) : size;
        } else if (tile.holds(p)) {
            from_tile[gathering] += size;
        }
    }
    void store(const void *p, int64_t size) { to_copy += copy.holds(p) ? size : 0; }

 private:
    int64_t first_read(int64_t at, int64_t size) {
        if ((int64_t)read.size() < at + size) read.resize(at + size);
        int64_t first = 0;
        for (int64_t i = at; i < at + size; i++) first += !read[i], read[i] = true;
        return first;
    }
};
inline Tally tally;

// Sums over all calls. Sums of solvers are kept by solver (CG, dual, primal) and by length class: class k has the rows
// of 2^k to 2^(k + 1) - 1 entries.
struct Counts {
    Count gather[3][64], solve[3][64], gram, rotate, whiten;
};
inline Counts counts;

}  // namespace counting
