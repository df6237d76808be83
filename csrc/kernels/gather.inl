// A row's entries as a tile: the rows of the fixed side that it touches, whitened and weighted, side by side in the
// second-level cache. Everything that a solver does afterwards reads the tile alone.

// tile[i] = weight_i * (y_i o scale) for begin <= i < end, then zero rows up to a multiple of kBlock; returns that
// many.
template <class T>
int64_t gather(const Row<T> &row, int64_t begin, int64_t end, T *tile, const Work<T> &work) {
    constexpr int64_t L = kLanes<T>, ahead = 8;
    const int64_t whole = row.f / L * L, n = end - begin;
    for (int64_t i = 0; i < n; i++) {
        if (begin + i + ahead < row.n) prefetch_row(row.fixed + row.where[begin + i + ahead] * row.stride, row.f);
        const T *y = row.fixed + row.where[begin + i] * row.stride, weight = row.weight[begin + i];
        T *w = tile + i * work.ld;
        for (int64_t j = 0; j < whole; j += L) store(w + j, weight * (load(row.scale + j) * load(y + j)));
        for (int64_t j = whole; j < work.padded; j++) w[j] = j < row.f ? weight * (row.scale[j] * y[j]) : 0;
    }
    const int64_t filled = (n + kBlock - 1) / kBlock * kBlock;
    for (int64_t i = n; i < filled; i++)
        for (int64_t j = 0; j < work.padded; j += L) store(tile + i * work.ld + j, Vec<T>{});
    return filled;
}

// A run of entries of one sign, as it lies in the tile.
template <class T>
struct Run {
    T *tile;
    int64_t rows;  // a multiple of kBlock
    const T *q;
    T sign;
};

// Calls visit(Run) for all entries of a row, those with a >= 0 first. Rows that fit are gathered on the first
// walk only, longer ones in pieces on every walk.
template <class T>
struct Walk {
    const Row<T> &row;
    const Work<T> &work;
    bool fits, gathered = false;
    int64_t filled[2] = {0, 0}, fetched = 0;

    Walk(const Row<T> &r, const Work<T> &w) : row(r), work(w), fits(r.n + 2 * kBlock <= w.tile_rows) {}

    // One of the next row's entries: called for each block of each pass, so that its gather is under way while this row
    // computes, and all of it is there after about four passes.
    void fetch_ahead() {
        if (fetched >= row.n_next) return;
        prefetch_row(row.fixed + row.next[fetched] * row.stride, row.f);
        fetched++;
    }

    template <class F>
    void operator()(F visit) {
        const int64_t bounds[3] = {0, row.n_positive, row.n};
        for (int part = 0; part < 2; part++) {
            const T sign = part == 0 ? 1 : -1;
            if (fits) {
                T *tile = work.tile + (part == 0 ? 0 : filled[0]) * work.ld;
                if (!gathered) filled[part] = gather(row, bounds[part], bounds[part + 1], tile, work);
                visit(Run<T>{tile, filled[part], row.q + bounds[part], sign});
                continue;
            }
            for (int64_t begin = bounds[part]; begin < bounds[part + 1]; begin += work.tile_rows) {
                const int64_t left = bounds[part + 1] - begin;
                const int64_t end = begin + (left < work.tile_rows ? left : work.tile_rows);
                visit(Run<T>{work.tile, gather(row, begin, end, work.tile, work), row.q + begin, sign});
            }
        }
        gathered = true;
    }
};
