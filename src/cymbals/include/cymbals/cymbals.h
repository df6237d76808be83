/* cymbals.h: the C interface of libcymbals, alternating least squares over CSR rows.
 *
 * Inputs are borrowed for the time of a call, results go to memory of the caller, and every function that can fail
 * returns a cymbals_status. Nothing is kept between calls but in a workspace, which says how many threads work, with
 * which instructions, and holds the memory they need: one call at a time uses it, so that threads that call at once
 * have one each, while they may share all inputs, an index among them. Matrices are row-major.
 *
 * A fit repeats, for either side, with the other as `fixed` (examples/embed/c shows it whole):
 *     cymbals_gram(fixed); the eigendecomposition of that (any LAPACK's dsyevd); cymbals_basis;
 *     cymbals_rotate(fixed); cymbals_rotate(solved); cymbals_half_step(rows, fixed, solved).
 *
 * Null pointers, sizes, shapes, types and options that will not do are CYMBALS_BAD_ARGUMENT, with nothing written where
 * no function says otherwise; so is a workspace that another call uses, or that was made before a fork in whose child
 * its threads are gone. Workspaces that such a child makes itself work on one thread. It is the caller's duty that
 * memory is as large as sizes say, that outputs overlap nothing, and that CSR matrices are good: functions trust indptr
 * and indices, and cymbals_check_csr tells whether they may.
 *
 * Structs that begin with struct_size may grow in later versions of an ABI: set it with sizeof. Enumerations are passed
 * as int32_t. Functions are safe to call from any thread, and none but those that take or make a workspace allocate.
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

#define CYMBALS_VERSION "0.1.0"
#define CYMBALS_ABI_VERSION 1

typedef enum cymbals_status {
    CYMBALS_OK = 0,
    CYMBALS_BAD_ARGUMENT = 1, /* cymbals_workspace_message names it and says what it should be */
    CYMBALS_NO_MEMORY = 2,
    CYMBALS_NO_SIMD = 3,    /* the instruction set asked for is unknown or not on this machine */
    CYMBALS_INDEFINITE = 4, /* a row's system is not positive definite: see the failing row */
    CYMBALS_BAD_VALUE = 5,  /* a row's solution, or a matrix, is not finite */
    CYMBALS_CANCELLED = 6,  /* the progress function said so */
    CYMBALS_TOO_HEAVY = 7   /* a row's targets add up to more than its type can resolve: see the failing row */
} cymbals_status;

/* Element types. */
enum { CYMBALS_FLOAT32 = 0, CYMBALS_FLOAT64 = 1, CYMBALS_INT32 = 2, CYMBALS_INT64 = 3 };

/* Instruction sets. AUTO is $CYMBALS_SIMD where set, else the best that this machine has. */
enum { CYMBALS_AUTO = 0, CYMBALS_BASELINE = 1, CYMBALS_AVX2 = 2, CYMBALS_AVX512 = 3 };

/* -- The library ------------------------------------------------------------------------------------------------ */

/* CYMBALS_ABI_VERSION of the library: another number than the header's means that they do not fit each other. */
CYMBALS_API int32_t cymbals_abi_version(void);
CYMBALS_API const char *cymbals_version(void);
CYMBALS_API const char *cymbals_compiler(void);
CYMBALS_API const char *cymbals_status_message(int32_t status);
/* "auto", "baseline", "avx2", "avx512"; null for an unknown number. */
CYMBALS_API const char *cymbals_simd_name(int32_t simd);
/* The instruction set that `simd` stands for here; CYMBALS_AUTO is resolved. */
CYMBALS_API int32_t cymbals_simd_resolve(int32_t simd, int32_t *resolved);

/* -- Workspaces --------------------------------------------------------------------------------------------------- */

typedef struct cymbals_workspace cymbals_workspace;

/* Called by the thread that called half_step, topk, index_topk or rank_metrics, with how many of its rows are done:
 * once before the first, then now and then, never with the same number twice; where several threads work, the caller's
 * may not see the last. Anything but 0 ends the call early, with CYMBALS_CANCELLED: each row is then as it was or done.
 */
typedef int32_t (*cymbals_progress)(void *context, int64_t done, int64_t total);

typedef struct cymbals_workspace_options {
    size_t struct_size;
    int32_t n_threads; /* at least 1 */
    int32_t simd;
    cymbals_progress progress; /* null for none */
    void *progress_context;
    int32_t record; /* 1: calls leave spans and row classes behind, see there */
} cymbals_workspace_options;
#define CYMBALS_WORKSPACE_OPTIONS_INIT {sizeof(cymbals_workspace_options), 1, CYMBALS_AUTO, NULL, NULL, 0}

/* On failure *workspace is null. */
CYMBALS_API int32_t cymbals_workspace_create(const cymbals_workspace_options *options, cymbals_workspace **workspace);
/* Null is fine. */
CYMBALS_API void cymbals_workspace_destroy(cymbals_workspace *workspace);
/* What the last call with this workspace has to say beyond its status; valid until the next. A call that found the
 * workspace in use says nothing. */
CYMBALS_API const char *cymbals_workspace_message(const cymbals_workspace *workspace);
/* Bytes that it holds from one call to the next; a half-step leaves cymbals_half_step_bytes, or more from before. */
CYMBALS_API int64_t cymbals_workspace_bytes(const cymbals_workspace *workspace);

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

/* A dense row-major matrix; row r starts at data + r * stride elements. n_cols is from 1 to 2^20. */
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
/* The 16-bit copy of a float32 fixed side that CG reads: none; of sides of 2 MB and more, for up to 8 steps of solver
 * CG; always. */
enum { CYMBALS_COMPACT_NEVER = 0, CYMBALS_COMPACT_LARGE = 1, CYMBALS_COMPACT_ALWAYS = 2 };
typedef struct cymbals_solve_options {
    size_t struct_size;
    int32_t solver;
    int32_t cg_steps;    /* CG: so many; SOLVER_AUTO: fewer only where an eighth of the tolerance is reached ... */
    double cg_tolerance; /* ... more until |residual|^2 <= tolerance^2 * b'z in whitened coordinates; from a start that
                          * explains most of a row, at least until the residual is 12.5 tolerances of the start's */
    double relaxation;   /* a row becomes start + relaxation * (solution - start): 1 for the solution itself */
    int32_t compact;
    double reg;            /* regularization of every row ... */
    const double *row_reg; /* ... or of each (n_rows values), null for none */
} cymbals_solve_options;
#define CYMBALS_SOLVE_OPTIONS_INIT \
    {sizeof(cymbals_solve_options), CYMBALS_SOLVER_AUTO, 3, 0.016, 1.0, CYMBALS_COMPACT_LARGE, 0.0, NULL}

typedef struct cymbals_solve_info {
    int64_t rows_empty, rows_cg, rows_dual, rows_primal; /* by the solver that gave the result */
    int64_t cg_steps;                                    /* over all rows tried by CG */
    int64_t rows_retried;                                /* solved again in float64, or exactly after CG */
    int64_t failed_row;                                  /* -1, or the lowest row that failed */
} cymbals_solve_info;

/* gram (n_cols x n_cols, float64) = matrix' matrix, both triangles. */
CYMBALS_API int32_t cymbals_gram(cymbals_workspace *workspace, const cymbals_matrix *matrix, double *gram);
/* From the eigendecomposition of a Gramian to the basis that makes it diagonal: `values` (f) by rising size, row k of
 * `vectors` (f x f) the eigenvector of values[k], which is what LAPACK's column-major dsyevd leaves. Columns of `basis`
 * (f x f) are the vectors by falling eigenvalue, each with its largest entry positive; `spectrum` (f) is alpha0 times
 * the eigenvalues, at least 0. Neither may be what it is made of. BAD_VALUE where a number is not finite. */
CYMBALS_API int32_t cymbals_basis(cymbals_workspace *workspace, int64_t f, const double *values, const double *vectors,
                                  double alpha0, double *spectrum, double *basis);
/* matrix <- matrix basis, in place; basis is n_cols x n_cols. Scores x'y do not change if both sides are rotated. */
CYMBALS_API int32_t cymbals_rotate(cymbals_workspace *workspace, cymbals_matrix *matrix, const double *basis);
/* Solves every row of `rows` against `fixed` (n_cols x f), writing `solved` (n_rows x f), whose contents are CG's
 * starting point. The Gramian of `fixed` must be diagonal in the present basis; `spectrum` holds alpha0 times its
 * diagonal (f values, all 0 for EXPLICIT). INDEFINITE and BAD_VALUE: info->failed_row tells where, other rows are
 * solved. Indices must be valid: cymbals_check_csr tells. */
CYMBALS_API int32_t cymbals_half_step(cymbals_workspace *workspace, const cymbals_csr *rows,
                                      const cymbals_objective *objective, const cymbals_matrix *fixed,
                                      const double *spectrum, cymbals_matrix *solved,
                                      const cymbals_solve_options *options, cymbals_solve_info *info);
/* *bytes: what a half-step of these takes of a workspace. Trusts indptr. */
CYMBALS_API int32_t cymbals_half_step_bytes(cymbals_workspace *workspace, const cymbals_csr *rows,
                                            const cymbals_matrix *fixed, const cymbals_solve_options *options,
                                            int64_t *bytes);
/* One row, of n entries, on the calling thread: solved (f numbers of fixed's type) as half_step would have it but for
 * the last bits, without work for the columns that it does not touch and, once the workspace has met a row as long,
 * without an allocation, second attempts aside. Indices are checked. options->reg counts, row_reg must be null. With
 * EXPLICIT and reg 0 the least ridge there is is relative to the row's own entries, not to all of `fixed`. */
CYMBALS_API int32_t cymbals_solve_row(cymbals_workspace *workspace, int64_t n, const void *indices, int32_t index_type,
                                      const void *values, int32_t value_type, const cymbals_objective *objective,
                                      const cymbals_matrix *fixed, const double *spectrum, void *solved,
                                      const cymbals_solve_options *options, cymbals_solve_info *info);
/* *loss = sum over entries of (a s^2 - 2 b s + c), s = x'y; c = b (EXPLICIT: r^2). Indices must be valid. */
CYMBALS_API int32_t cymbals_loss(cymbals_workspace *workspace, const cymbals_csr *rows,
                                 const cymbals_objective *objective, const cymbals_matrix *x, const cymbals_matrix *y,
                                 double *loss);

/* -- Sparse matrices ---------------------------------------------------------------------------------------------- */

/* The transpose: t_indptr (n_cols + 1), t_indices (of t_index_type) and t_values (of value_type); rows come out sorted.
 * Indices must be valid, and indptr start at 0. */
CYMBALS_API int32_t cymbals_transpose(cymbals_workspace *workspace, const cymbals_csr *matrix, int64_t *t_indptr,
                                      void *t_indices, int32_t t_index_type, void *t_values);
/* Triplets (rows and cols of index_type, values of value_type) to CSR with sorted, distinct indices (of index_type);
 * equal pairs are summed in float64, in input order. Rows and cols are checked. indices and values must hold n entries;
 * indptr[n_rows] tells how many were used. */
CYMBALS_API int32_t cymbals_from_triplets(cymbals_workspace *workspace, int64_t n, const void *rows, const void *cols,
                                          int32_t index_type, const void *values, int32_t value_type, int64_t n_rows,
                                          int64_t n_cols, int64_t *indptr, void *indices, void *out_values);

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
/* Takes nothing for granted but n_rows + 1 numbers in indptr and n_entries in indices and, where not null, values. */
CYMBALS_API int32_t cymbals_check_csr(cymbals_workspace *workspace, const cymbals_csr *matrix, int64_t n_entries,
                                      cymbals_csr_report *report);

/* -- Ranking ------------------------------------------------------------------------------------------------------ */

/* The k best columns of queries items' a row, best first, ties to the lower item; missing places -1 and -inf.
 * item_list: null for all, else n_list rising item numbers, which are checked; item_scale: null, or a factor an item,
 * of the matrices' type; skip: null, or a CSR of items left out, row for row (n_queries x items, valid, sorted, values
 * unread). ids and scores are n_queries x k, scores of the matrices' type. */
CYMBALS_API int32_t cymbals_topk(cymbals_workspace *workspace, const cymbals_matrix *queries,
                                 const cymbals_matrix *items, const int64_t *item_list, int64_t n_list,
                                 const void *item_scale, const cymbals_csr *skip, int64_t k, int64_t *ids,
                                 void *scores);
/* Items prepared for searching, for few queries at a time; borrows what it is made of, and is read by many threads.
 * On failure *index is null. */
typedef struct cymbals_index cymbals_index;
CYMBALS_API int32_t cymbals_index_create(cymbals_workspace *workspace, const cymbals_matrix *items,
                                         const int64_t *item_list, int64_t n_list, const void *item_scale,
                                         cymbals_index **index);
/* Null is fine. */
CYMBALS_API void cymbals_index_destroy(cymbals_index *index);
CYMBALS_API int64_t cymbals_index_bytes(const cymbals_index *index);
/* What cymbals_topk gives, to the bit. */
CYMBALS_API int32_t cymbals_index_topk(cymbals_workspace *workspace, const cymbals_index *index,
                                       const cymbals_matrix *queries, const cymbals_csr *skip, int64_t k, int64_t *ids,
                                       void *scores);
/* Ranking quality of each user. train and test are CSR, users x items, valid and sorted; entries of test that stand
 * in train too, or whose value is not above 0, do not count. out is n_users x (2 + 4 n_k): auc, mrr, then for
 * every k precision, recall, map, ndcg; NaN where undefined. n_k is at most 100,000. covered is n_k x n_items bytes:
 * set to 1 where an item is in a top k. */
CYMBALS_API int32_t cymbals_rank_metrics(cymbals_workspace *workspace, const cymbals_matrix *users,
                                         const cymbals_matrix *items, const cymbals_csr *train, const cymbals_csr *test,
                                         const int64_t *k, int32_t n_k, double *out, uint8_t *covered);

/* -- Files and ids ------------------------------------------------------------------------------------------------ */

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
 * has room for n_fields columns of the *n_lines given (too few: BAD_ARGUMENT), *n_good is what was taken,
 * rejected[reason] counts the others, and first_rejected[reason] is the number (from 1) of the first such line, 0 for
 * none. */
CYMBALS_API int32_t cymbals_parse_numbers(cymbals_workspace *workspace, const char *text, int64_t size,
                                          int32_t n_fields, int64_t *n_lines, int64_t *numbers, int64_t *n_good,
                                          int64_t rejected[CYMBALS_LINE_REASONS],
                                          int64_t first_rejected[CYMBALS_LINE_REASONS]);
/* The same for lines of an id, a tab (FIELDS: there is none) and a name: three columns, the id and where in text the
 * name begins and ends, white space around it left out. */
CYMBALS_API int32_t cymbals_parse_names(cymbals_workspace *workspace, const char *text, int64_t size, int64_t *n_lines,
                                        int64_t *numbers, int64_t *n_good, int64_t rejected[CYMBALS_LINE_REASONS],
                                        int64_t first_rejected[CYMBALS_LINE_REASONS]);
/* table[id - lowest] = the place of an id among the distinct ones of `ids` in rising order, -1 for every other number
 * of [lowest, lowest + range). BAD_ARGUMENT where an id lies outside; the table then holds nothing of use. */
CYMBALS_API int32_t cymbals_number_ids(cymbals_workspace *workspace, int64_t n, const int64_t *ids, int64_t lowest,
                                       int64_t range, int32_t *table, int64_t *n_distinct);
/* places[i] = table[ids[i] - lowest], -1 outside the table. Any ids will do. */
CYMBALS_API int32_t cymbals_look_up_ids(cymbals_workspace *workspace, int64_t n, const int64_t *ids, int64_t lowest,
                                        int64_t range, const int32_t *table, int32_t *places);

/* -- Profiles ----------------------------------------------------------------------------------------------------- */

/* What this machine does at most, in float32, all threads together; takes about a second and 300 MB. */
typedef struct cymbals_peaks {
    size_t struct_size;
    double multiply_adds; /* a second, in registers */
    double near_bytes;    /* a second, read from the second-level cache in order */
    double stream_bytes;  /* the same from memory */
    double gather_rows;   /* a second: rows of 256 bytes read at random from 256 MB */
} cymbals_peaks;
CYMBALS_API int32_t cymbals_measure_peaks(cymbals_workspace *workspace, cymbals_peaks *peaks);

/* What a call, and a thread within it, was at. WHITEN: the fixed side's lengths and 16-bit copy; SOLVE: rows. */
enum {
    CYMBALS_PHASE_OTHER = 0,
    CYMBALS_PHASE_GRAM = 1,
    CYMBALS_PHASE_ROTATE = 2,
    CYMBALS_PHASE_WHITEN = 3,
    CYMBALS_PHASE_SOLVE = 4,
    CYMBALS_PHASE_LOSS = 5,
    CYMBALS_PHASE_TRANSPOSE = 6,
    CYMBALS_PHASE_TRIPLETS = 7,
    CYMBALS_PHASE_CHECK = 8,
    CYMBALS_PHASE_INDEX = 9,
    CYMBALS_PHASE_TOPK = 10,
    CYMBALS_PHASE_METRICS = 11,
    CYMBALS_PHASES
};
/* A stretch of work of one thread, on one chunk of rows; or of a whole call, with nothing but its time. flops (a
 * multiply-add is two) and bytes (of the caller's matrices and the tiles of rows, not of vectors that stay in the
 * first-level cache) are by the model in csrc/README.md. */
typedef struct cymbals_span {
    int64_t begin, end; /* nanoseconds of the system's monotonic clock */
    int64_t rows, entries;
    double flops, bytes;
    int32_t phase, thread; /* thread -1: the whole call */
    int32_t n_threads;     /* that shared the call's work */
    int32_t reserved;
} cymbals_span;
/* Rows of 2^length to 2^(length + 1) - 1 entries that one thread solved in one way (CG, DUAL or PRIMAL) in half-steps.
 * To gather is to weigh a row's entries, read their rows of the fixed side and, with CG, to make the first residual of
 * them meanwhile. Nanoseconds; flops and bytes by the model. */
typedef struct cymbals_row_class {
    int32_t thread, solver, length;
    int64_t rows, entries, cg_steps, retried;
    int64_t gather_time, solve_time;
    double gather_flops, gather_bytes, solve_flops, solve_bytes;
} cymbals_row_class;
/* What has been recorded since the workspace was made or made to forget; valid until its next call. *lost, if lost is
 * not null: spans that there was no memory for. */
CYMBALS_API int32_t cymbals_workspace_spans(cymbals_workspace *workspace, const cymbals_span **spans, int64_t *n,
                                            int64_t *lost);
CYMBALS_API int32_t cymbals_workspace_row_classes(cymbals_workspace *workspace, const cymbals_row_class **classes,
                                                  int64_t *n);
CYMBALS_API void cymbals_workspace_forget(cymbals_workspace *workspace);

/* -- Threads ------------------------------------------------------------------------------------------------------ */

/* Threads that its calls have at most: options.n_threads, or fewer once a call found that the system starts no more. */
CYMBALS_API int32_t cymbals_workspace_threads(const cymbals_workspace *workspace);

/* -- Without linking ---------------------------------------------------------------------------------------------- */

/* All functions by pointer. A Python extension that defines CYMBALS_USE_CAPSULE before it includes this file, after
 * Python.h, needs no library to link: it calls cymbals_import() once, which is -1 with an exception set where there is
 * no such table, and then everything above by its name. */
/* clang-format off */
#define CYMBALS_FUNCTIONS(X) \
    X(abi_version) X(version) X(compiler) X(status_message) X(simd_name) X(simd_resolve) X(workspace_create) \
    X(workspace_destroy) X(workspace_message) X(workspace_bytes) X(gram) X(basis) X(rotate) X(half_step) \
    X(half_step_bytes) X(solve_row) X(loss) X(transpose) X(from_triplets) X(check_csr) X(topk) X(index_create) \
    X(index_destroy) X(index_bytes) X(index_topk) X(rank_metrics) X(parse_numbers) X(parse_names) X(number_ids) \
    X(look_up_ids) X(measure_peaks) X(workspace_spans) X(workspace_row_classes) X(workspace_forget) \
    X(workspace_threads)
/* clang-format on */
#define CYMBALS_POINTER(name) __typeof__(cymbals_##name) *name;
typedef struct cymbals_api {
    size_t struct_size;
    int32_t abi_version_of_table;
    CYMBALS_FUNCTIONS(CYMBALS_POINTER)
} cymbals_api;
#undef CYMBALS_POINTER
CYMBALS_API const cymbals_api *cymbals_functions(void);

#ifdef CYMBALS_USE_CAPSULE
static const cymbals_api *cymbals_table;
static inline int cymbals_import(void) {
    const cymbals_api *found = (const cymbals_api *)PyCapsule_Import("cymbals._core._C_API", 0);
    if (!found) return -1;
    if (found->abi_version_of_table != CYMBALS_ABI_VERSION || found->struct_size < sizeof(cymbals_api)) {
        PyErr_SetString(PyExc_ImportError, "the installed cymbals has another ABI version: build this extension anew");
        return -1;
    }
    cymbals_table = found;
    return 0;
}
#define cymbals_abi_version (*cymbals_table->abi_version)
#define cymbals_version (*cymbals_table->version)
#define cymbals_compiler (*cymbals_table->compiler)
#define cymbals_status_message (*cymbals_table->status_message)
#define cymbals_simd_name (*cymbals_table->simd_name)
#define cymbals_simd_resolve (*cymbals_table->simd_resolve)
#define cymbals_workspace_create (*cymbals_table->workspace_create)
#define cymbals_workspace_destroy (*cymbals_table->workspace_destroy)
#define cymbals_workspace_message (*cymbals_table->workspace_message)
#define cymbals_workspace_bytes (*cymbals_table->workspace_bytes)
#define cymbals_gram (*cymbals_table->gram)
#define cymbals_basis (*cymbals_table->basis)
#define cymbals_rotate (*cymbals_table->rotate)
#define cymbals_half_step (*cymbals_table->half_step)
#define cymbals_half_step_bytes (*cymbals_table->half_step_bytes)
#define cymbals_solve_row (*cymbals_table->solve_row)
#define cymbals_loss (*cymbals_table->loss)
#define cymbals_transpose (*cymbals_table->transpose)
#define cymbals_from_triplets (*cymbals_table->from_triplets)
#define cymbals_check_csr (*cymbals_table->check_csr)
#define cymbals_topk (*cymbals_table->topk)
#define cymbals_index_create (*cymbals_table->index_create)
#define cymbals_index_destroy (*cymbals_table->index_destroy)
#define cymbals_index_bytes (*cymbals_table->index_bytes)
#define cymbals_index_topk (*cymbals_table->index_topk)
#define cymbals_rank_metrics (*cymbals_table->rank_metrics)
#define cymbals_parse_numbers (*cymbals_table->parse_numbers)
#define cymbals_parse_names (*cymbals_table->parse_names)
#define cymbals_number_ids (*cymbals_table->number_ids)
#define cymbals_look_up_ids (*cymbals_table->look_up_ids)
#define cymbals_measure_peaks (*cymbals_table->measure_peaks)
#define cymbals_workspace_spans (*cymbals_table->workspace_spans)
#define cymbals_workspace_row_classes (*cymbals_table->workspace_row_classes)
#define cymbals_workspace_forget (*cymbals_table->workspace_forget)
#define cymbals_workspace_threads (*cymbals_table->workspace_threads)
#endif

#ifdef __cplusplus
}
#endif

#endif
