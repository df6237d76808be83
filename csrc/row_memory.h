// The memory of one thread that solves rows: the scratch memory of the kernels, the diagonals that whiten a row, and
// the row's entries. All of it is one piece of the workspace, which is kept between calls.
#pragma once

#include <algorithm>
#include <utility>

#include "workspace.h"

namespace cymbals {

constexpr int64_t kTileBytes = 4 * 1024 * 1024;  // a row whose tile would be larger is gathered again on every pass

// While a row of n entries is solved, at most most_ahead(n) entries of later rows are fetched into the cache.
constexpr int64_t kMostAhead = 1024, kLeastAhead = 32;
inline int64_t most_ahead(int64_t n) { return std::clamp(n, kLeastAhead, kMostAhead); }

// Sizes of the arrays in a RowMemory for rank f and rows of at most `longest` entries.
template <class T>
struct RowLayout {
    int64_t padded, ld, side, tile_rows, entries;

    RowLayout(int64_t f, int64_t pad, int64_t longest) {
        padded = round_up(f, pad);
        ld = padded + (padded * sizeof(T) % 512 == 0 ? kLine<T> : 0);  // else a column's elements share a cache set
        side = round_up(padded, 32);
        const int64_t fitting = std::min<int64_t>(kTileBytes / (ld * sizeof(T)), longest);
        tile_rows = round_up(std::max(fitting, padded), kGroup) + kGroup;
        entries = round_up(longest + most_ahead(longest) + kGroup, kLine<T>);
    }
    int64_t bytes() const {
        const int64_t numbers = round_up(tile_rows * ld, kLine<T>) + side * side + 13 * side + 4 * entries;
        return numbers * (int64_t)sizeof(T) + 2 * entries * (int64_t)sizeof(int64_t);
    }
};

// A row's entries: rows of the fixed side, and their weights and weighted targets as kernels take them (see Row).
template <class T>
struct Entries {
    int64_t *indices;
    T *weight, *q;
};

template <class T>
struct RowMemory {
    RowScratch<T> scratch;
    T *scale, *root, *rescale;  // see FixedSide::diagonal
    T *start;                   // the row's factors before it was solved
    T *shift;                   // with a prior: see RowSolver::set_shift
    Entries<T> entries;         // in the matrix's order
    Entries<T> sorted;          // entries with negative weights come last

    bool allocate(Slot &slot, const RowLayout<T> &layout) {
        const int64_t vector = layout.side, line = kLine<T>;
        char *const memory = slot.take(layout.bytes());
        if (!memory) return false;
        scratch.padded = layout.padded, scratch.ld = layout.ld;
        scratch.side = layout.side, scratch.tile_rows = layout.tile_rows;
        scratch.gathered = nullptr;
        T *unused = reinterpret_cast<T *>(memory);
        auto take = [&unused](int64_t n) { return std::exchange(unused, unused + n); };
        scratch.tile = take(round_up(scratch.tile_rows * scratch.ld, line));
        scratch.matrix = take(vector * vector);
        for (T **v : {&scratch.z, &scratch.r, &scratch.p, &scratch.ap, &scratch.scaled, &scratch.sum, &scale, &root,
                      &rescale, &start, &shift})
            std::fill_n(*v = take(vector), vector, T(0));
        scratch.t = take(2 * vector);
        for (T **v : {&entries.weight, &entries.q, &sorted.weight, &sorted.q}) *v = take(layout.entries);
        entries.indices = reinterpret_cast<int64_t *>(unused);
        sorted.indices = entries.indices + layout.entries;
        return true;
    }
};

}  // namespace cymbals
