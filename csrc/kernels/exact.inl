// The two exact solvers of a row. The dual solves an n x n system and suits short rows. The primal solves an f x f
// system and suits long rows.

// Sets a to the identity matrix with `edge` rows and columns.
template <class T>
inline void identity(T *a, int64_t edge) {
    for (int64_t i = 0; i < edge; i++) {
        for (int64_t j = 0; j < edge; j += kLanes<T>) store(a + i * edge + j, Vec<T>{});
        a[i * edge + i] = 1;
    }
}

template <class T>
inline void write_solution(const Row<T> &row, const RowScratch<T> &scratch, T *x) {
    multiply(scratch.z, scratch.z, row.full.scale, scratch.padded);
    for (int64_t j = 0; j < row.f; j++) x[j] = scratch.z[j];
}

// Solves (I + WW') t = q; the solution in whitened coordinates is then z = W't.
template <class T>
Outcome solve_dual(const Row<T> &row, const RowScratch<T> &scratch, T *x) {
    const int64_t edge = round_up<T>(row.n), n = scratch.padded, ld = scratch.ld;
    T *a = scratch.matrix, *t = scratch.t, *inverse = scratch.t + scratch.side;
    const int64_t filled = gather(row, 0, row.n, scratch);
    note_gathered(scratch);
    identity(a, edge);
    for (int64_t i = 0; i < row.n; i += kBlock) {
        const int64_t rows = row.n - i < kBlock ? row.n - i : kBlock;
        dots(a + i * edge + i, edge, scratch.tile + i * ld, ld, rows, scratch.tile + i * ld, ld, row.n - i, n);
        for (int64_t k = i; k < i + rows; k++) a[k * edge + k] += 1;
    }
    for (int64_t i = 0; i < edge; i++) t[i] = i < row.n ? row.q[i] : 0;
    if (!cholesky(a, edge, edge, inverse)) return Outcome::indefinite;
    cholesky_solve(a, edge, edge, inverse, t);
    for (int64_t j = 0; j < n; j += kLanes<T>) store(scratch.z + j, Vec<T>{});
    for (int64_t i = 0; i < filled; i += kBlock)
        add_rows(Rows<kBlock>(), scratch.tile + i * ld, ld, t + i, n, scratch.z);
    write_solution(row, scratch, x);
    return Outcome::done;
}

// Solves (I + W'SW) z = W'q.
template <class T>
Outcome solve_primal(const Row<T> &row, const RowScratch<T> &scratch, T *x) {
    const int64_t n = scratch.padded, ld = scratch.ld;
    T *a = scratch.matrix, *inverse = scratch.t;
    identity(a, n);
    for (int64_t j = 0; j < n; j += kLanes<T>) store(scratch.z + j, Vec<T>{});
    for (int64_t begin = 0, end; begin < row.n; begin = end) {  // runs of entries with one sign that fit in the tile
        const bool positive = begin < row.n_positive;
        end = positive ? row.n_positive : row.n;
        if (end - begin > scratch.tile_rows) end = begin + scratch.tile_rows;
        const int64_t gathering = begin > 0 && scratch.gathered ? ticks() : 0;
        const int64_t rows = gather(row, begin, end, scratch);
        note_gathered(scratch, gathering);
        for (int64_t i = 0; i < rows; i += kBlock)
            add_rows(Rows<kBlock>(), scratch.tile + i * ld, ld, row.q + begin + i, n, scratch.z);
        if (positive)
            syrk(a, n, scratch.tile, ld, rows, int64_t(0), n, n);
        else
            for (int64_t i = 0; i < rows; i += kEdge<T>)
                subtract_panel(a, n, scratch.tile + i * ld, ld, rows - i < kEdge<T> ? rows - i : kEdge<T>, n);
    }
    if (!cholesky(a, n, n, inverse)) return Outcome::indefinite;
    cholesky_solve(a, n, n, inverse, scratch.z);
    write_solution(row, scratch, x);
    return Outcome::done;
}
