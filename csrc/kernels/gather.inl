// Gathers a row. Its entries name rows of the fixed side. These rows are whitened, weighted and written to the tile,
// which stays in the first- or second-level cache. After that a solver reads the tile, and not the fixed side.

// A pass over a tile that is already filled fetches one entry of a later row for every two entries of this row.
constexpr int64_t kFetchEvery = 2;

// Fetches the row of the fixed side that entry i will read. Entries from n on belong to the rows that are solved next.
template <class T>
CYMBALS_INLINE void fetch(const Row<T> &row, int64_t i) {
    if (i < row.n + row.n_next) prefetch_row(row.full.rows + row.indices[i] * row.full.stride, row.f);
}

// Writes the rows of entries i to i + 3 to the tile, each as weight * (scale o y), where o multiplies element by
// element. Entries from n on get zeros.
template <class T>
inline void gather4(const Row<T> &row, int64_t i, const RowScratch<T> &scratch, T *tile) {
    constexpr int64_t L = kLanes<T>;
    const int64_t ld = scratch.ld, whole = row.f / L * L;
    const T *scale = row.full.scale;
    const T *y[kBlock];
    T weight[kBlock];
#pragma GCC unroll 4
    for (int64_t k = 0; k < kBlock; k++) {
        fetch(row, i + kAhead + k);
        const int64_t at = i + k < row.n ? i + k : row.n - 1;
        y[k] = row.full.rows + row.indices[at] * row.full.stride;
        weight[k] = i + k < row.n ? row.full.weight[at] : 0;
    }
    for (int64_t j = 0; j < whole; j += L) {
        const Vec<T> by = load(scale + j);
#pragma GCC unroll 4
        for (int64_t k = 0; k < kBlock; k++) store(tile + k * ld + j, weight[k] * (by * load(y[k] + j)));
    }
#pragma GCC unroll 4
    for (int64_t k = 0; k < kBlock; k++)
        for (int64_t j = whole; j < scratch.padded; j++)
            tile[k * ld + j] = j < row.f ? weight[k] * (scale[j] * load_one(y[k] + j)) : 0;
}

// Writes the rows of entries begin to end - 1 to the tile, then zero rows up to a multiple of kBlock. Returns the
// number of rows written.
template <class T>
CYMBALS_NAMED int64_t gather(const Row<T> &row, int64_t begin, int64_t end, const RowScratch<T> &scratch) {
    Row<T> part = row;
    part.n = end;
    int64_t filled = 0;
    for (int64_t i = begin; i < end; i += kBlock, filled += kBlock)
        gather4(part, i, scratch, scratch.tile + filled * scratch.ld);
    return filled;
}
