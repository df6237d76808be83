/* Inputs of the C tests, made from a seed: matrices and CSR of any type. Their elements are read and written as
 * doubles. */
#ifndef PROBLEM_H
#define PROBLEM_H

#include <cymbals/cymbals.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int32_t float_types[] = {CYMBALS_FLOAT32, CYMBALS_FLOAT64};
static const int32_t index_types[] = {CYMBALS_INT32, CYMBALS_INT64};

static inline size_t size_of(int32_t type) { return type == CYMBALS_FLOAT32 || type == CYMBALS_INT32 ? 4 : 8; }
static inline double real(const void *data, int32_t type, int64_t at) {
    return type == CYMBALS_FLOAT32 ? ((const float *)data)[at] : ((const double *)data)[at];
}
static inline void set_real(void *data, int32_t type, int64_t at, double value) {
    if (type == CYMBALS_FLOAT32)
        ((float *)data)[at] = (float)value;
    else
        ((double *)data)[at] = value;
}
static inline int64_t whole(const void *data, int32_t type, int64_t at) {
    return type == CYMBALS_INT32 ? ((const int32_t *)data)[at] : ((const int64_t *)data)[at];
}
static inline void set_whole(void *data, int32_t type, int64_t at, int64_t value) {
    if (type == CYMBALS_INT32)
        ((int32_t *)data)[at] = (int32_t)value;
    else
        ((int64_t *)data)[at] = value;
}
static inline double element(const cymbals_matrix *m, int64_t i, int64_t j) {
    return real(m->data, m->type, i * m->stride + j);
}

/* Allocates at least one byte, so that null always means that there is not enough memory. */
static inline void *allocate(int64_t n, size_t size) {
    void *memory = malloc((size_t)n * size + (n == 0));
    if (!memory) abort();
    return memory;
}
static inline void *copy_of(const void *from, int64_t n, size_t size) {
    return memcpy(allocate(n, size), from, (size_t)n * size);
}

/* A random number in [0, 1), by splitmix64 (Steele, Lea, Flood 2014). */
static inline double uniform(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) / 9007199254740992.0;
}

/* A random matrix with elements in [-size, size). The elements between its columns and the stride are NaN, and no
 * function may read them. */
static inline cymbals_matrix random_matrix(int64_t n_rows, int64_t n_cols, int64_t stride, int32_t type, double size,
                                           uint64_t seed) {
    cymbals_matrix m = {sizeof m, allocate(n_rows * stride, size_of(type)), n_rows, n_cols, stride, type};
    for (int64_t i = 0; i < n_rows; i++)
        for (int64_t j = 0; j < stride; j++)
            set_real(m.data, type, i * stride + j, j < n_cols ? size * (2 * uniform(&seed) - 1) : NAN);
    return m;
}
static inline cymbals_matrix copy_matrix(const cymbals_matrix *m) {
    cymbals_matrix copy = *m;
    copy.data = copy_of(m->data, m->n_rows * m->stride, size_of(m->type));
    return copy;
}

/* A random matrix of whole values from 1 to 5, with sorted columns. If it has enough rows, row 1 is empty, row 2 has
 * one entry, and row 3 has an entry in every column. */
static inline cymbals_csr random_csr(int64_t n_rows, int64_t n_cols, double density, int32_t index_type,
                                     int32_t value_type, uint64_t seed) {
    int64_t *indptr = allocate(n_rows + 1, sizeof *indptr), n = 0;
    void *indices = allocate(n_rows * n_cols, size_of(index_type));
    void *values = allocate(n_rows * n_cols, size_of(value_type));
    indptr[0] = 0;
    for (int64_t r = 0; r < n_rows; r++) {
        for (int64_t c = 0; c < n_cols; c++) {
            const double chance = uniform(&seed), value = 1 + floor(5 * uniform(&seed));
            if (r == 1 || (r == 2 ? c != n_cols / 2 : r != 3 && chance >= density)) continue;
            set_whole(indices, index_type, n, c);
            set_real(values, value_type, n++, value);
        }
        indptr[r + 1] = n;
    }
    const cymbals_csr made = {sizeof made, n_rows, n_cols, indptr, indices, index_type, values, value_type};
    return made;
}
static inline void free_csr(cymbals_csr *c) {
    free((void *)c->indptr);
    free((void *)c->indices);
    free((void *)c->values);
}

static inline cymbals_workspace *make_workspace(int32_t n_threads) {
    cymbals_workspace_options options = CYMBALS_WORKSPACE_OPTIONS_INIT;
    cymbals_workspace *workspace = NULL;
    options.n_threads = n_threads;
    if (cymbals_workspace_create(&options, &workspace) != CYMBALS_OK) abort();
    return workspace;
}

#endif
