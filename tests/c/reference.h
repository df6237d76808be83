/* Slow and obvious computations in float64, with which the C tests compare the library's results. */
#ifndef REFERENCE_H
#define REFERENCE_H

#include "problem.h"

/* m'm, n_cols x n_cols. */
static inline double *reference_gram(const cymbals_matrix *m) {
    const int64_t f = m->n_cols;
    double *gram = allocate(f * f, sizeof *gram);
    for (int64_t i = 0; i < f; i++)
        for (int64_t j = 0; j < f; j++) {
            gram[i * f + j] = 0;
            for (int64_t r = 0; r < m->n_rows; r++) gram[i * f + j] += element(m, r, i) * element(m, r, j);
        }
    return gram;
}

/* Eigenvalues of a symmetric matrix, lowest first; row k of `vectors` is the eigenvector of values[k]. `matrix` is
 * overwritten. Cyclic Jacobi rotations (Golub, Van Loan, Matrix Computations, 8.5). */
static inline void jacobi(double *matrix, int64_t f, double *values, double *vectors) {
    for (int64_t i = 0; i < f * f; i++) vectors[i] = i % (f + 1) == 0;
    for (int sweep = 0; sweep < 30; sweep++)
        for (int64_t p = 0; p < f; p++)
            for (int64_t q = p + 1; q < f; q++) {
                const double apq = matrix[p * f + q];
                if (apq == 0) continue;
                const double theta = (matrix[q * f + q] - matrix[p * f + p]) / (2 * apq);
                const double t = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1));
                const double c = 1 / sqrt(t * t + 1), s = t * c;
                for (int64_t k = 0; k < f; k++) {
                    const double x = matrix[k * f + p], y = matrix[k * f + q];
                    matrix[k * f + p] = c * x - s * y, matrix[k * f + q] = s * x + c * y;
                }
                for (int64_t k = 0; k < f; k++) {
                    const double x = matrix[p * f + k], y = matrix[q * f + k], u = vectors[p * f + k],
                                 v = vectors[q * f + k];
                    matrix[p * f + k] = c * x - s * y, matrix[q * f + k] = s * x + c * y;
                    vectors[p * f + k] = c * u - s * v, vectors[q * f + k] = s * u + c * v;
                }
            }
    for (int64_t i = 0; i < f; i++) values[i] = matrix[i * (f + 1)];
    for (int64_t i = 0; i < f; i++) {
        int64_t least = i;
        for (int64_t j = i + 1; j < f; j++)
            if (values[j] < values[least]) least = j;
        for (int64_t k = 0; k < f && least != i; k++) {
            const double swap = vectors[i * f + k];
            vectors[i * f + k] = vectors[least * f + k], vectors[least * f + k] = swap;
        }
        const double swap = values[i];
        values[i] = values[least], values[least] = swap;
    }
}

/* The weight a and the weighted target b of a stored value, by the table in cymbals.h. */
static inline void reference_cell(const cymbals_objective *o, double r, double *a, double *b) {
    const double size = fabs(r), strength = o->confidence == CYMBALS_LINEAR ? size
                                            : o->confidence == CYMBALS_LOG  ? log(1 + size / o->epsilon)
                                                                            : 1;
    const double w = o->confidence == CYMBALS_TOTAL ? o->alpha * size - 1 : o->alpha * strength;
    *a = o->kind == CYMBALS_HU ? 1 + w - o->alpha0 : o->kind == CYMBALS_IALS ? w : 1;
    *b = o->kind == CYMBALS_EXPLICIT ? r : o->kind == CYMBALS_IALS ? w : r > 0 ? 1 + w : 0;
}

/* Solves (alpha0 gram + sum a y y' + reg) x = sum b y for one row, by elimination. x has f elements, which are 0 for a
 * row without entries. */
static inline void reference_row(const cymbals_csr *rows, int64_t r, const cymbals_objective *o,
                                 const cymbals_matrix *fixed, const double *gram, double reg, double *x) {
    const int64_t f = fixed->n_cols;
    double *system = allocate(f * f, sizeof *system);
    for (int64_t i = 0; i < f * f; i++) system[i] = o->alpha0 * gram[i] + (i % (f + 1) == 0 ? reg : 0);
    for (int64_t i = 0; i < f; i++) x[i] = 0;
    for (int64_t at = rows->indptr[r]; at < rows->indptr[r + 1]; at++) {
        const int64_t item = whole(rows->indices, rows->index_type, at);
        double a, b;
        reference_cell(o, real(rows->values, rows->value_type, at), &a, &b);
        for (int64_t i = 0; i < f; i++) {
            x[i] += b * element(fixed, item, i);
            for (int64_t j = 0; j < f; j++) system[i * f + j] += a * element(fixed, item, i) * element(fixed, item, j);
        }
    }
    for (int64_t p = 0; p < f; p++)
        for (int64_t i = p + 1; i < f; i++) {
            const double by = system[i * f + p] / system[p * f + p];
            for (int64_t j = p; j < f; j++) system[i * f + j] -= by * system[p * f + j];
            x[i] -= by * x[p];
        }
    for (int64_t p = f - 1; p >= 0; p--) {
        for (int64_t j = p + 1; j < f; j++) x[p] -= system[p * f + j] * x[j];
        x[p] /= system[p * f + p];
    }
    free(system);
}

#endif
