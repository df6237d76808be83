/* cymbals.h: the C interface of libcymbals, alternating least squares over CSR rows.
 *
 * Every function borrows its inputs for the time of the call, keeps no state between calls, may be
 * called from several threads at once, and returns a cymbals_status. The caller owns all memory that
 * it passes. Matrices are row-major; n_threads and simd are always explicit.
 */
#ifndef CYMBALS_H
#define CYMBALS_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#if defined(CYMBALS_BUILD)
#define CYMBALS_API __declspec(dllexport)
#else
#define CYMBALS_API __declspec(dllimport)
#endif
#else
#define CYMBALS_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define CYMBALS_ABI_VERSION 1

typedef enum cymbals_status {
    CYMBALS_OK = 0,
    CYMBALS_BAD_ARGUMENT = 1, /* a null pointer, a negative size, an unknown type or option */
    CYMBALS_NO_MEMORY = 2,
    CYMBALS_NO_SIMD = 3,    /* the instruction set asked for is unknown or not on this machine */
    CYMBALS_INDEFINITE = 4, /* a row's system is not positive definite: see the failing row */
    CYMBALS_BAD_VALUE = 5   /* a row's solution is not finite: see the failing row */
} cymbals_status;

/* Element types. */
enum { CYMBALS_FLOAT32 = 0, CYMBALS_FLOAT64 = 1, CYMBALS_INT32 = 2, CYMBALS_INT64 = 3 };

/* Instruction sets. AUTO is $CYMBALS_SIMD where set, else the best that this machine has. */
enum { CYMBALS_AUTO = 0, CYMBALS_BASELINE = 1, CYMBALS_AVX2 = 2, CYMBALS_AVX512 = 3 };

/* A sparse matrix: row r holds entries indptr[r] to indptr[r + 1] - 1. */
typedef struct cymbals_csr {
    size_t struct_size;
    int64_t n_rows, n_cols;
    const int64_t *indptr; /* n_rows + 1 */
    const void *indices;   /* int32 or int64, each in [0, n_cols) */
    int32_t index_type;
    const void *values; /* float32 or float64; may be null where a function reads no values */
    int32_t value_type;
} cymbals_csr;

/* A dense row-major matrix; row r starts at data + r * stride elements. */
typedef struct cymbals_matrix {
    size_t struct_size;
    void *data;
    int64_t n_rows, n_cols, stride;
    int32_t type; /* float32 or float64 */
} cymbals_matrix;

/* What a stored value r says: weights a and targets b of (alpha0 G + sum a y y' + reg) x = sum b y,
 * with w = alpha g(r), g odd: LINEAR r, LOG log(1 + r / epsilon), BINARY 1.
 *   HU        a = 1 + |w| - alpha0;  b = 1 + w for r > 0, 0 for r < 0
 *   IALS      a = b = w
 *   EXPLICIT  a = 1, b = r (alpha0 must be 0) */
enum { CYMBALS_HU = 0, CYMBALS_IALS = 1, CYMBALS_EXPLICIT = 2 };
enum { CYMBALS_LINEAR = 0, CYMBALS_LOG = 1, CYMBALS_BINARY = 2 };
typedef struct cymbals_objective {
    size_t struct_size;
    int32_t kind, confidence;
    double alpha, epsilon, alpha0;
} cymbals_objective;

/* How a row is solved. EXACT picks DUAL or PRIMAL by length; SOLVER_AUTO also considers CG. */
enum { CYMBALS_SOLVER_AUTO = 0, CYMBALS_CG = 1, CYMBALS_EXACT = 2, CYMBALS_DUAL = 3, CYMBALS_PRIMAL = 4 };
typedef struct cymbals_solve_options {
    size_t struct_size;
    int32_t solver;
    int32_t cg_steps;    /* CG: so many; SOLVER_AUTO: fewer only where an eighth of the tolerance is reached ... */
    double cg_tolerance; /* ... more until |residual|^2 <= tolerance^2 * b'z in whitened coordinates; from a start that
                          * explains most of a row, at least until the residual is 12.5 tolerances of the start's */
    double relaxation;   /* a row becomes start + relaxation * (solution - start): 1 for the solution itself */
    int32_t compact;     /* CG reads a float32 side from a 16-bit copy that is made for the call */
    double reg;          /* regularization of every row ... */
    const double *row_reg; /* ... or of each (n_rows values), null for none */
    void *memory; /* for the copy, memory_bytes of it, which the call may overwrite; with null, or where it does */
    int64_t memory_bytes; /* not suffice (2 bytes a number, ranks rounded up to 32, and 64 more), some is allocated */
} cymbals_solve_options;

typedef struct cymbals_solve_info {
    int64_t rows_empty, rows_cg, rows_dual, rows_primal; /* by the solver that gave the result */
    int64_t cg_steps;                                    /* over all rows tried by CG */
    int64_t rows_retried;                                /* solved again in float64, or exactly after CG */
    int64_t failed_row;                                  /* -1, or the lowest row that failed */
} cymbals_solve_info;

CYMBALS_API int32_t cymbals_abi_version(void);
CYMBALS_API const char *cymbals_version(void);
CYMBALS_API const char *cymbals_compiler(void);
CYMBALS_API const char *cymbals_status_message(int32_t status);
/* "baseline", "avx2", "avx512"; null for an unknown number. */
CYMBALS_API const char *cymbals_simd_name(int32_t simd);
/* The instruction set that `simd` stands for here; CYMBALS_AUTO is resolved. */
CYMBALS_API int32_t cymbals_simd_resolve(int32_t simd, int32_t *resolved);

/* gram (n_cols x n_cols, float64) = matrix' matrix, both triangles. */
CYMBALS_API int32_t cymbals_gramian(const cymbals_matrix *matrix, double *gram, int32_t n_threads, int32_t simd);
/* matrix <- matrix basis, in place; basis is n_cols x n_cols, float64. */
CYMBALS_API int32_t cymbals_rotate(cymbals_matrix *matrix, const double *basis, int32_t n_threads, int32_t simd);
/* Solves every row of `rows` against `fixed` (n_cols x f), writing `solved` (n_rows x f), whose
 * contents are CG's starting point. The Gramian of `fixed` must be diagonal in the present basis;
 * `spectrum` holds alpha0 times its diagonal (f values, all 0 for EXPLICIT). */
CYMBALS_API int32_t cymbals_half_step(const cymbals_csr *rows, const cymbals_objective *objective,
                                      const cymbals_matrix *fixed, const double *spectrum, cymbals_matrix *solved,
                                      const cymbals_solve_options *options, cymbals_solve_info *info, int32_t n_threads,
                                      int32_t simd);
/* *loss = sum over entries of (a s^2 - 2 b s + c), s = x'y; c = b (EXPLICIT: r^2). */
CYMBALS_API int32_t cymbals_loss(const cymbals_csr *rows, const cymbals_objective *objective, const cymbals_matrix *x,
                                 const cymbals_matrix *y, double *loss, int32_t n_threads, int32_t simd);

/* The transpose: t_indptr (n_cols + 1), t_indices (of t_index_type) and t_values (of value_type); rows
 * come out sorted. */
CYMBALS_API int32_t cymbals_transpose(const cymbals_csr *matrix, int64_t *t_indptr, void *t_indices,
                                      int32_t t_index_type, void *t_values, int32_t n_threads);
/* Triplets (rows and cols of index_type, values of value_type) to CSR with sorted, distinct indices (of index_type);
 * equal pairs are summed in float64, in input order. indices and values must hold n entries; indptr[n_rows] tells
 * how many were used. */
CYMBALS_API int32_t cymbals_from_triplets(int64_t n, const void *rows, const void *cols, int32_t index_type,
                                          const void *values, int32_t value_type, int64_t n_rows, int64_t n_cols,
                                          int64_t *indptr, void *indices, void *out_values, int32_t n_threads);

/* What is wrong with a CSR matrix, if anything: the lowest row concerned and the entry's position. */
enum {
    CYMBALS_CSR_GOOD = 0,
    CYMBALS_CSR_INDPTR = 1,   /* indptr does not start at 0, or falls, or ends beyond n_entries */
    CYMBALS_CSR_INDEX = 2,    /* an index outside [0, n_cols) */
    CYMBALS_CSR_NAN = 3,      /* NaN or infinite */
    CYMBALS_CSR_UNSORTED = 4, /* indices of a row not strictly rising */
    CYMBALS_CSR_NEGATIVE = 5, /* only reported where nothing above is wrong */
    CYMBALS_CSR_ZERO = 6      /* likewise: a stored zero */
};
typedef struct cymbals_csr_report {
    int32_t problem;
    int64_t row, position;
} cymbals_csr_report;
CYMBALS_API int32_t cymbals_check_csr(const cymbals_csr *matrix, int64_t n_entries, cymbals_csr_report *report,
                                      int32_t n_threads);

/* The k best columns of queries items' a row, best first, ties to the lower item; missing places -1 and -inf.
 * item_list: null for all, else n_list rising item numbers; item_scale: null, or a factor an item;
 * skip: null, or a CSR of items left out, row for row (sorted, values unread). ids and scores are
 * n_queries x k, scores of the matrices' type. */
CYMBALS_API int32_t cymbals_topk(const cymbals_matrix *queries, const cymbals_matrix *items, const int64_t *item_list,
                                 int64_t n_list, const void *item_scale, const cymbals_csr *skip, int64_t k,
                                 int64_t *ids, void *scores, int32_t n_threads, int32_t simd);
/* Ranking quality of each user. train and test are CSR, row for row with users, sorted; entries of test that
 * stand in train too, or whose value is not above 0, do not count. out is n_users x (2 + 4 n_k): auc, mrr, then for
 * every k precision, recall, map, ndcg; NaN where undefined. covered is n_k x n_items bytes: set to 1 where an item is
 * in a top k. */
CYMBALS_API int32_t cymbals_rank_metrics(const cymbals_matrix *users, const cymbals_matrix *items,
                                         const cymbals_csr *train, const cymbals_csr *test, const int64_t *k,
                                         int32_t n_k, double *out, uint8_t *covered, int32_t n_threads, int32_t simd);

/* Why a line was not taken. */
enum {
    CYMBALS_LINE_FIELDS = 1,   /* fewer or more fields than asked for */
    CYMBALS_LINE_NUMBER = 2,   /* a field is no whole number */
    CYMBALS_LINE_NEGATIVE = 3, /* a number below zero */
    CYMBALS_LINE_RANGE = 4,    /* does not fit in 63 bits */
    CYMBALS_LINE_EMPTY = 5,    /* no name */
    CYMBALS_LINE_REASONS = 6
};
/* Reads lines of n_fields whole numbers separated by blanks or tabs (LF or CR LF; blank lines are passed over)
 * from text. Two calls: with numbers null it only fills *n_lines, an upper bound of the lines; then numbers
 * has room for n_fields columns of the *n_lines given, *n_good is what was taken, rejected[reason] counts the others,
 * and first_rejected[reason] is the number (from 1) of the first such line, 0 for none. */
CYMBALS_API int32_t cymbals_parse_numbers(const char *text, int64_t size, int32_t n_fields, int64_t *n_lines,
                                          int64_t *numbers, int64_t *n_good, int64_t rejected[CYMBALS_LINE_REASONS],
                                          int64_t first_rejected[CYMBALS_LINE_REASONS], int32_t n_threads);
/* The same for lines of an id, a tab (FIELDS: there is none) and a name: three columns, the id and where in text the
 * name begins and ends, white space around it left out. */
CYMBALS_API int32_t cymbals_parse_names(const char *text, int64_t size, int64_t *n_lines, int64_t *numbers,
                                        int64_t *n_good, int64_t rejected[CYMBALS_LINE_REASONS],
                                        int64_t first_rejected[CYMBALS_LINE_REASONS], int32_t n_threads);
/* table[id - lowest] = the place of an id among the distinct ones of `ids` in rising order, -1 for every other number
 * of [lowest, lowest + range), in which all must lie. */
CYMBALS_API int32_t cymbals_number_ids(int64_t n, const int64_t *ids, int64_t lowest, int64_t range, int32_t *table,
                                       int64_t *n_distinct, int32_t n_threads);
/* places[i] = table[ids[i] - lowest], -1 outside the table. */
CYMBALS_API int32_t cymbals_look_up_ids(int64_t n, const int64_t *ids, int64_t lowest, int64_t range,
                                        const int32_t *table, int32_t *places, int32_t n_threads);

/* What this machine does at most, in float32, all threads together; takes about a second and 300 MB. */
typedef struct cymbals_peaks {
    size_t struct_size;
    double multiply_adds; /* a second, in registers */
    double near_bytes;    /* a second, read from the second-level cache in order */
    double stream_bytes;  /* the same from memory */
    double gather_rows;   /* a second: rows of 256 bytes read at random from 256 MB */
} cymbals_peaks;
CYMBALS_API int32_t cymbals_measure_peaks(cymbals_peaks *peaks, int32_t n_threads, int32_t simd);

#ifdef __cplusplus
}
#endif

#endif
