/* cymbals.h: the C interface of libcymbals, alternating least squares over CSR rows.
 *
 * Functions read their inputs only during the call, and write results to memory that the caller owns. There
 * are two exceptions: an index reads its inputs until it is destroyed, and records are in the memory of the workspace.
 * Every function that can fail returns a cymbals_status. Matrices are row-major.
 *
 * A workspace keeps state between calls. It sets the number of threads and the instruction set, and holds memory. One
 * call at a time can use a workspace, so threads that call at the same time need one each. They may share all inputs,
 * such as matrices and an index.
 *
 * A fit repeats these steps, first for one side, then with the two sides exchanged (examples/embed/c has all of it):
 *     cymbals_gram(fixed); its eigendecomposition (with dsyevd of any LAPACK); cymbals_basis;
 *     cymbals_rotate(fixed); cymbals_rotate(solved); cymbals_half_step(rows, fixed, solved).
 *
 * Functions check pointers, sizes, shapes, types and options. If one is wrong they return CYMBALS_BAD_ARGUMENT and
 * write no output, unless their comment says otherwise. They trust three things. Memory must be as large as the sizes
 * say. Outputs must overlap nothing else. indptr and indices of CSR matrices must be valid; cymbals_check_csr checks
 * them.
 *
 * CYMBALS_BAD_ARGUMENT is also returned for a workspace that another call is using. After a fork of a process that has
 * run in parallel, the child has no OpenMP threads: there, a workspace of several threads that was made before the fork
 * is refused in the same way, and new workspaces run on one thread.
 *
 * Structs that begin with struct_size may grow in later versions of the ABI: set struct_size with sizeof. Enumerations
 * are passed as int32_t. Functions can be called from any thread. Only functions that take or make a workspace
 * allocate.
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
#define CYMBALS_ABI_VERSION 2

typedef enum cymbals_status {
    CYMBALS_OK = 0,
    CYMBALS_BAD_ARGUMENT = 1, /* cymbals_workspace_message says which, and what it should be */
    CYMBALS_NO_MEMORY = 2,
    CYMBALS_NO_SIMD = 3,    /* the instruction set is unknown, or this machine does not have it */
    CYMBALS_INDEFINITE = 4, /* a row's system is not positive definite: info->failed_row tells which */
    CYMBALS_BAD_VALUE = 5,  /* a row's solution, or a matrix, is not finite */
    CYMBALS_CANCELLED = 6,  /* the progress function returned a number other than 0 */
    CYMBALS_TOO_HEAVY = 7,  /* a row's weighted targets add up to too much for the factors' type: see failed_row */
    CYMBALS_BAD_INDEX = 8   /* an index of a row is not a row of the fixed side: see failed_row */
} cymbals_status;

/* Element types. */
enum { CYMBALS_FLOAT32 = 0, CYMBALS_FLOAT64 = 1, CYMBALS_INT32 = 2, CYMBALS_INT64 = 3 };

/* Instruction sets. AUTO is the one that the environment variable CYMBALS_SIMD names; if it is not set, the best of
 * this machine. */
enum { CYMBALS_AUTO = 0, CYMBALS_BASELINE = 1, CYMBALS_AVX2 = 2, CYMBALS_AVX512 = 3 };

/* -- The library ------------------------------------------------------------------------------------------------ */

/* CYMBALS_ABI_VERSION of the library. If it differs from the header's, the two do not fit together. */
CYMBALS_API int32_t cymbals_abi_version(void);
CYMBALS_API const char *cymbals_version(void);
CYMBALS_API const char *cymbals_compiler(void);
CYMBALS_API const char *cymbals_status_message(int32_t status);
/* "auto", "baseline", "avx2" or "avx512"; null if the number is unknown. */
CYMBALS_API const char *cymbals_simd_name(int32_t simd);
/* Sets *resolved to the instruction set that a workspace made with `simd` uses on this machine. For CYMBALS_AUTO, this
 * is the set that the library chooses. */
CYMBALS_API int32_t cymbals_simd_resolve(int32_t simd, int32_t *resolved);

/* -- Workspaces --------------------------------------------------------------------------------------------------- */

typedef struct cymbals_workspace cymbals_workspace;

/* A progress function. half_step, topk, index_topk and rank_metrics call it on the thread that called them: once before
 * the first row, then from time to time. `done` is the number of rows done so far, which is larger each time. With
 * several threads, the progress function may be called for the last time before all rows are done. If it returns a
 * number other than 0, half_step (or whichever function called it) ends early with CYMBALS_CANCELLED; each row is then
 * either finished or unchanged. */
typedef int32_t (*cymbals_progress)(void *context, int64_t done, int64_t total);

typedef struct cymbals_workspace_options {
    size_t struct_size;
    int32_t n_threads; /* at least 1 */
    int32_t simd;
    cymbals_progress progress; /* null: none */
    void *progress_context;
    int32_t record; /* 1: calls record spans and row classes, see below */
} cymbals_workspace_options;
#define CYMBALS_WORKSPACE_OPTIONS_INIT {sizeof(cymbals_workspace_options), 1, CYMBALS_AUTO, NULL, NULL, 0}

/* On failure *workspace becomes null. */
CYMBALS_API int32_t cymbals_workspace_create(const cymbals_workspace_options *options, cymbals_workspace **workspace);
/* workspace may be null. */
CYMBALS_API void cymbals_workspace_destroy(cymbals_workspace *workspace);
/* Why the last call with this workspace failed; empty after a success. Valid until the next call. A call that found the
 * workspace in use leaves no message. */
CYMBALS_API const char *cymbals_workspace_message(const cymbals_workspace *workspace);
/* Bytes that the workspace keeps between calls, without its records. After a half-step, at least what
 * cymbals_half_step_bytes tells. */
CYMBALS_API int64_t cymbals_workspace_bytes(const cymbals_workspace *workspace);

/* A sparse matrix: row r holds entries indptr[r] to indptr[r + 1] - 1. */
typedef struct cymbals_csr {
    size_t struct_size;
    int64_t n_rows, n_cols;
    const int64_t *indptr; /* n_rows + 1 */
    const void *indices;   /* int32 or int64, each in [0, n_cols) */
    int32_t index_type;
    const void *values; /* float32 or float64; may be null if the function reads no values */
    int32_t value_type;
} cymbals_csr;

/* A dense row-major matrix; row r starts at data + r * stride elements. n_cols is from 1 to 2^20. */
typedef struct cymbals_matrix {
    size_t struct_size;
    void *data;
    int64_t n_rows, n_cols, stride;
    int32_t type; /* float32 or float64 */
} cymbals_matrix;

/* The objective gives each stored value r a weight a and a weighted target b. A row x then solves
 *   (alpha0 G + sum a y y' + reg) x = sum b y,
 * where the sums run over its entries and G is the Gramian of the fixed side. Let w = alpha g(|r|), where g(|r|)
 * is |r| (LINEAR), log(1 + |r| / epsilon) (LOG) or 1 (BINARY; a stored 0 has 0). With TOTAL, which is not for IALS,
 * w = alpha |r| - 1, so alpha |r| is the total weight of the entry. Then
 *   HU        a = 1 + w - alpha0;  b = 1 + w for r > 0, 0 for r < 0
 *   IALS      a = b = w
 *   EXPLICIT  a = 1, b = r (alpha0 must be 0) */
enum { CYMBALS_HU = 0, CYMBALS_IALS = 1, CYMBALS_EXPLICIT = 2 };
enum { CYMBALS_LINEAR = 0, CYMBALS_LOG = 1, CYMBALS_BINARY = 2, CYMBALS_TOTAL = 3 };
typedef struct cymbals_objective {
    size_t struct_size;
    int32_t kind, confidence;
    double alpha, epsilon, alpha0;
} cymbals_objective;

/* How a row is solved: by conjugate gradients (CG) or exactly, with a system as large as the row (DUAL) or as the rank
 * (PRIMAL). EXACT takes the faster of DUAL and PRIMAL for each row; SOLVER_AUTO the fastest of all three. */
enum { CYMBALS_SOLVER_AUTO = 0, CYMBALS_CG = 1, CYMBALS_EXACT = 2, CYMBALS_DUAL = 3, CYMBALS_PRIMAL = 4 };
/* Whether solvers AUTO and CG read a 16-bit copy of the fixed side. NEVER: no. LARGE: if the fixed side has at least
 * 2 MB; with solver CG, cg_steps must also be at most 8. ALWAYS: yes. A float64 side is never copied. An entry with the
 * weight a reads row y of the fixed side itself if |a| y'D^(-1)y is above CYMBALS_HEAVIEST_COMPACT, where D = spectrum
 * + reg with the least regularization of all rows. */
enum { CYMBALS_COMPACT_NEVER = 0, CYMBALS_COMPACT_LARGE = 1, CYMBALS_COMPACT_ALWAYS = 2 };
enum { CYMBALS_HEAVIEST_COMPACT = 64 };
/* A 16-bit copy of a fixed side, as cymbals_compress makes it. With it, a half-step needs the fixed side itself only
 * for heavy entries: `fixed` then has only the rows that these may name, and `rows` has their numbers, which ascend. If
 * the row of a heavy entry is missing, its row fails with BAD_VALUE. */
typedef struct cymbals_copy {
    size_t struct_size;
    int64_t n_rows;        /* of the fixed side */
    const int32_t *pairs;  /* n_rows x P / 2, where P is f rounded up to a multiple of 32 */
    const float *leverage; /* y'D^(-1)y of each row */
    const int64_t *rows;   /* fixed->n_rows numbers */
} cymbals_copy;
/* A half-step may be done in parts, for instance if the rows do not fit in memory, or if several machines share them.
 * Each part solves some of the rows. Its results are bitwise those of the whole half-step, if every part knows the
 * following about the whole. */
typedef struct cymbals_part {
    size_t struct_size;
    double least_reg, most_reg; /* over all rows with entries; 0 and 0 if there are none */
    int32_t prepared; /* 1: `fixed`, `spectrum`, least_reg and most_reg are those of the last half-step with this
                       * workspace, and so are `solver`, `cg_steps` and `compact`. What that half-step has computed from
                       * them is used again. Refused if the workspace has kept nothing of this shape. */
    /* Null, or a copy: the half-step then does not make one, and `prepared` and `compact` are not read. Callers whose
     * struct_size ends before this field have null. */
    const cymbals_copy *copy;
} cymbals_part;
/* With SOLVER_AUTO, CG stops when |residual|^2 <= cg_tolerance^2 * part, in the coordinates z = (spectrum + reg)^(1/2)
 * x. part is the smaller of two numbers: the part of the row's loss that z explains, and the part that remains. The
 * second counts as at least a thousandth of the first or of the row's number of entries, whichever is smaller. If the
 * start explains most of the loss already, CG also stops when |residual|^2 <= (12.5 * cg_tolerance)^2 times the amount
 * by which its steps have lowered the loss; 12.5 * cg_tolerance then counts as at most 1. */
typedef struct cymbals_solve_options {
    size_t struct_size;
    int32_t solver;
    int32_t cg_steps;    /* CG: the number of steps. SOLVER_AUTO: the minimum, unless the residual falls below an
                          * eighth of the tolerance first. */
    double cg_tolerance; /* see above; solver CG does not read it */
    double relaxation; /* a row becomes start + relaxation * (solution - start); 1: the solution itself. It counts as 1
                        * if rounding errors dominate a column of the fixed side. */
    int32_t compact;
    double reg;            /* regularization of every row; not read if row_reg is given */
    const double *row_reg; /* null, or the regularization of each row (n_rows values) */
    /* Null, or a matrix of n_rows x f of fixed's type, in the basis of fixed: the regularization then pulls row x
     * towards its row of prior instead of 0, with reg |x - prior|^2. A row without entries becomes its row of prior.
     * Callers whose struct_size ends before this field have null. */
    const cymbals_matrix *prior;
    const cymbals_part *part; /* null: the rows are those of the whole half-step. solve_row does not read it. */
} cymbals_solve_options;
#define CYMBALS_SOLVE_OPTIONS_INIT \
    {sizeof(cymbals_solve_options), CYMBALS_SOLVER_AUTO, 3, 0.016, 1.0, CYMBALS_COMPACT_LARGE, 0.0, NULL, NULL, NULL}

typedef struct cymbals_solve_info {
    int64_t rows_empty, rows_cg, rows_dual, rows_primal; /* rows by solver, see below */
    int64_t cg_steps;                                    /* over all rows that CG tried */
    int64_t rows_retried;                                /* later attempts: in float64, or exactly after CG */
    int64_t failed_row;                                  /* the lowest row that failed; -1: none */
} cymbals_solve_info;
/* A row that CG gave up counts for the exact solver that was chosen next. It still counts for that solver if a further
 * attempt in float64 solved it. Each further attempt adds 1 to rows_retried. */

/* gram (n_cols x n_cols, float64) = matrix' matrix; both triangles are written. */
CYMBALS_API int32_t cymbals_gram(cymbals_workspace *workspace, const cymbals_matrix *matrix, double *gram);
/* cymbals_gram cuts the rows of an n_rows x n_cols matrix into segments, and adds up the Gramians of the segments in
 * order. These two functions do it in parts, for instance on several machines; the sum of all segments in order is
 * bitwise what cymbals_gram computes. cymbals_gram_segments sets *n_segments, at most 64, and writes the first row of
 * each segment and then n_rows to begins (n_segments + 1 numbers; null: it only counts). cymbals_gram_parts writes the
 * Gramians of some consecutive segments to sums (n_segments x n_cols x n_cols): `begins` has the first row of each of
 * these and the row after the last, and `matrix` has the rows between. */
CYMBALS_API int32_t cymbals_gram_segments(int64_t n_rows, int64_t n_cols, int64_t *n_segments, int64_t *begins);
CYMBALS_API int32_t cymbals_gram_parts(cymbals_workspace *workspace, const cymbals_matrix *matrix, int64_t n_segments,
                                       const int64_t *begins, double *sums);
/* Makes the basis in which a Gramian is diagonal from its eigendecomposition. `values` (f) are the eigenvalues, lowest
 * first. Row k of `vectors` (f x f) is the eigenvector of values[k]. LAPACK's dsyevd writes both in this form: it
 * stores eigenvectors as columns of a column-major matrix. The columns of `basis` (f x f) become the eigenvectors,
 * largest eigenvalue first, each with the sign that makes its entry of largest absolute value positive. `spectrum` (f)
 * becomes alpha0 times the eigenvalues, negative ones set to 0. Inputs and outputs may not share memory. BAD_VALUE if
 * an input is not finite. */
CYMBALS_API int32_t cymbals_basis(cymbals_workspace *workspace, int64_t f, const double *values, const double *vectors,
                                  double alpha0, double *spectrum, double *basis);
/* matrix = matrix basis, in place; basis is n_cols x n_cols. If both sides are rotated, scores x'y stay the same. */
CYMBALS_API int32_t cymbals_rotate(cymbals_workspace *workspace, cymbals_matrix *matrix, const double *basis);
/* Solves every row of `rows` against `fixed` (n_cols x f) and writes `solved` (n_rows x f). CG starts from what
 * `solved` contains. The Gramian of `fixed` must be diagonal, which cymbals_basis and cymbals_rotate achieve;
 * `spectrum` (f) is alpha0 times its diagonal, or all 0 for EXPLICIT. If rows fail (INDEFINITE, BAD_VALUE,
 * TOO_HEAVY or BAD_INDEX), all other rows are solved, unless failed_row is -1: then the fixed side has a bad value, and
 * no row is solved. Each row's indices are copied and checked before they are used, so rows may be mapped from a file
 * that others change. indptr must be valid, and must not change. */
CYMBALS_API int32_t cymbals_half_step(cymbals_workspace *workspace, const cymbals_csr *rows,
                                      const cymbals_objective *objective, const cymbals_matrix *fixed,
                                      const double *spectrum, cymbals_matrix *solved,
                                      const cymbals_solve_options *options, cymbals_solve_info *info);
/* Makes the 16-bit copy of some rows of a float32 fixed side, for cymbals_copy: `pairs` and `leverage` have room for
 * them. The copy is bitwise the one that a half-step with this spectrum makes, if least_reg and most_reg are those of
 * all its rows. Its layout depends on the instruction set. The spectrum must not be 0, because without a Gramian the
 * copy depends on all rows of the fixed side. */
CYMBALS_API int32_t cymbals_compress(cymbals_workspace *workspace, const cymbals_matrix *fixed, const double *spectrum,
                                     double least_reg, double most_reg, int32_t *pairs, float *leverage);
/* Sets *bytes to the bytes of memory that a half-step with these arguments keeps in the workspace. indptr must be
 * valid. */
CYMBALS_API int32_t cymbals_half_step_bytes(cymbals_workspace *workspace, const cymbals_csr *rows,
                                            const cymbals_matrix *fixed, const cymbals_solve_options *options,
                                            int64_t *bytes);
/* Solves one row of n entries on the calling thread and writes `solved` (f numbers of fixed's type). It reads only the
 * rows of `fixed` that the entries name. It allocates only for a row longer than all before it in this workspace, and
 * for second attempts. Indices are checked; options->row_reg must be null. The result may differ from half_step's in
 * the last bits, and by more if half_step reads a 16-bit copy: this function never does. With EXPLICIT and reg 0, the
 * ridge that keeps the system solvable depends on the row's own entries here, and on all of `fixed` in half_step. */
CYMBALS_API int32_t cymbals_solve_row(cymbals_workspace *workspace, int64_t n, const void *indices, int32_t index_type,
                                      const void *values, int32_t value_type, const cymbals_objective *objective,
                                      const cymbals_matrix *fixed, const double *spectrum, void *solved,
                                      const cymbals_solve_options *options, cymbals_solve_info *info);
/* Fills `matrix` with independent normal numbers of mean 0 and standard deviation `scale`, the usual start of a fit.
 * Row r depends on the key, the stream and first_row + r alone, so parts of a matrix can be drawn anywhere, in any
 * order (Philox4x32-10). Streams are independent of each other: use one for each side. Numbers have the precision of
 * float32, and are the same with every instruction set of an architecture. */
CYMBALS_API int32_t cymbals_draw_normal(cymbals_workspace *workspace, uint64_t key, int32_t stream, int64_t first_row,
                                        double scale, cymbals_matrix *matrix);
/* *loss = the sum over entries of a s^2 - 2 b s + c, with s = x'y and c = b (EXPLICIT: c = r^2). Indices are
 * checked; indptr must be valid. */
CYMBALS_API int32_t cymbals_loss(cymbals_workspace *workspace, const cymbals_csr *rows,
                                 const cymbals_objective *objective, const cymbals_matrix *x, const cymbals_matrix *y,
                                 double *loss);

/* -- Sparse matrices ---------------------------------------------------------------------------------------------- */

/* Writes the transpose, with sorted rows: t_indptr (n_cols + 1), t_indices (of t_index_type) and t_values (of
 * value_type). indptr and indices must be valid. */
CYMBALS_API int32_t cymbals_transpose(cymbals_workspace *workspace, const cymbals_csr *matrix, int64_t *t_indptr,
                                      void *t_indices, int32_t t_index_type, void *t_values);
/* Makes a CSR matrix of n triplets (rows and cols of index_type, values of value_type). Its indices (of index_type) are
 * sorted and distinct: values of the same row and column are added up in float64, in input order. rows and cols are
 * checked. indices and out_values need room for n entries, and must not overlap the input, because they are written
 * while it is read; indptr[n_rows] is the number of entries written. */
CYMBALS_API int32_t cymbals_from_triplets(cymbals_workspace *workspace, int64_t n, const void *rows, const void *cols,
                                          int32_t index_type, const void *values, int32_t value_type, int64_t n_rows,
                                          int64_t n_cols, int64_t *indptr, void *indices, void *out_values);

/* Writes rows of a matrix after changes: row i of the result is row rows[i] of `matrix` (row i, if rows is null) with
 * the entries of that row of `changes`. If both have an entry for a column, it gets the value of `changes`. `changes`
 * has the shape and the types of `matrix`; null: there are none. Rows must be sorted. `matrix` has n_entries entries;
 * its indptr is checked, that of `changes` must be valid. Two calls make the result. With indices null, the first one
 * only writes indptr (n_rows + 1). The second one writes indices (of index_type) and values (of value_type), which need
 * room for indptr[n_rows] entries. Outputs must not overlap inputs. */
CYMBALS_API int32_t cymbals_merge_rows(cymbals_workspace *workspace, const cymbals_csr *matrix, int64_t n_entries,
                                       const cymbals_csr *changes, int64_t n_rows, const int64_t *rows, int64_t *indptr,
                                       void *indices, void *values);

/* What is wrong with a CSR matrix. A report names the first problem in this list that the matrix has, the lowest row
 * with that problem, and the position of the entry in indices and values (for CSR_INDPTR, in indptr). */
enum {
    CYMBALS_CSR_GOOD = 0,
    CYMBALS_CSR_INDPTR = 1,   /* indptr does not start at 0, decreases, or ends beyond n_entries */
    CYMBALS_CSR_INDEX = 2,    /* an index outside [0, n_cols) */
    CYMBALS_CSR_NAN = 3,      /* a value is NaN or infinite */
    CYMBALS_CSR_UNSORTED = 4, /* the indices of a row do not strictly increase */
    CYMBALS_CSR_NEGATIVE = 5, /* a value is negative: reported if nothing above is wrong */
    CYMBALS_CSR_ZERO = 6      /* a stored value is 0: reported if nothing above is wrong */
};
typedef struct cymbals_csr_report {
    int32_t problem;
    int64_t row, position;
} cymbals_csr_report;
/* Needs n_rows + 1 numbers in indptr, and n_entries in indices and in values (which may be null); trusts nothing else.
 */
CYMBALS_API int32_t cymbals_check_csr(cymbals_workspace *workspace, const cymbals_csr *matrix, int64_t n_entries,
                                      cymbals_csr_report *report);

/* -- Ranking ------------------------------------------------------------------------------------------------------ */

/* For each row of `queries`, the k items with the highest scores, best first; of equal scores the lower item number
 * comes first. A score is the inner product of a row of `queries` and a row of `items`. If there are fewer than k, the
 * last ids are -1 and their scores -inf. ids and scores are n_queries x k; scores have the type of the matrices.
 * item_list: null for all items, or the n_list item numbers to choose from, strictly increasing (checked).
 * item_scale: null, or a number for each item, of the type of the matrices, by which its scores are multiplied.
 * skip: null, or a CSR matrix (n_queries x n_items, valid, sorted; values are not read) of items that a query must not
 * get. */
CYMBALS_API int32_t cymbals_topk(cymbals_workspace *workspace, const cymbals_matrix *queries,
                                 const cymbals_matrix *items, const int64_t *item_list, int64_t n_list,
                                 const void *item_scale, const cymbals_csr *skip, int64_t k, int64_t *ids,
                                 void *scores);
/* Prepares items for searches with few queries each. The index keeps pointers to the inputs, which must outlive it.
 * Several threads may search in it at the same time. On failure *index becomes null. */
typedef struct cymbals_index cymbals_index;
CYMBALS_API int32_t cymbals_index_create(cymbals_workspace *workspace, const cymbals_matrix *items,
                                         const int64_t *item_list, int64_t n_list, const void *item_scale,
                                         cymbals_index **index);
/* index may be null. */
CYMBALS_API void cymbals_index_destroy(cymbals_index *index);
CYMBALS_API int64_t cymbals_index_bytes(const cymbals_index *index);
/* The same results as cymbals_topk, bit for bit. */
CYMBALS_API int32_t cymbals_index_topk(cymbals_workspace *workspace, const cymbals_index *index,
                                       const cymbals_matrix *queries, const cymbals_csr *skip, int64_t k, int64_t *ids,
                                       void *scores);
/* Ranking quality for each user. train and test are CSR matrices, users x items, valid and sorted. Entries of test do
 * not count if they are in train too, or if their value is not above 0. out is n_users x (2 + 5 n_k): auc, mrr, then
 * for each k precision, recall, map, ndcg and novelty; NaN if a metric is undefined for the user. n_k is at most
 * 100,000. The novelty of a user is the mean of item_novelty (a number for each item) over the first k items.
 * item_novelty may be null; every novelty is then NaN. covered (n_k x n_items bytes) is set to 1 for each item that is
 * among the first k of a user with an entry of test that counts. */
CYMBALS_API int32_t cymbals_rank_metrics(cymbals_workspace *workspace, const cymbals_matrix *users,
                                         const cymbals_matrix *items, const cymbals_csr *train, const cymbals_csr *test,
                                         const double *item_novelty, const int64_t *k, int32_t n_k, double *out,
                                         uint8_t *covered);

/* -- Files and ids ------------------------------------------------------------------------------------------------ */

/* Why a line was rejected. */
enum {
    CYMBALS_LINE_FIELDS = 1,   /* too few or too many fields */
    CYMBALS_LINE_NUMBER = 2,   /* a field is not a whole number */
    CYMBALS_LINE_NEGATIVE = 3, /* a number is negative */
    CYMBALS_LINE_RANGE = 4,    /* a number does not fit in 63 bits */
    CYMBALS_LINE_EMPTY = 5,    /* the name is empty */
    CYMBALS_LINE_REASONS = 6
};
/* Parses lines of n_fields whole numbers, separated by spaces or tabs. Lines end with LF or CR LF; blank lines are
 * ignored. Call it twice. The first call, with numbers null, only sets *n_lines to an upper bound of the number of
 * lines. For the second call, numbers must have room for n_fields columns of *n_lines numbers each; it returns
 * BAD_ARGUMENT if *n_lines is too small. It sets *n_good to the number of lines parsed, rejected[reason] to the number
 * of lines rejected for that reason, and first_rejected[reason] to the number of the first such line, counted from 1,
 * or to 0 if there is none. */
CYMBALS_API int32_t cymbals_parse_numbers(cymbals_workspace *workspace, const char *text, int64_t size,
                                          int32_t n_fields, int64_t *n_lines, int64_t *numbers, int64_t *n_good,
                                          int64_t rejected[CYMBALS_LINE_REASONS],
                                          int64_t first_rejected[CYMBALS_LINE_REASONS]);
/* The same for lines of an id, a tab and a name; LINE_FIELDS means that there is no tab. It writes three columns: the
 * id, and the positions in text where the name begins and ends, without white space around it. */
CYMBALS_API int32_t cymbals_parse_names(cymbals_workspace *workspace, const char *text, int64_t size, int64_t *n_lines,
                                        int64_t *numbers, int64_t *n_good, int64_t rejected[CYMBALS_LINE_REASONS],
                                        int64_t first_rejected[CYMBALS_LINE_REASONS]);
/* Sets table[id - lowest] to the position of id among the distinct `ids` in increasing order, and to -1 for all other
 * numbers from lowest to lowest + range - 1. BAD_ARGUMENT if an id is outside; the table's contents are then undefined.
 */
CYMBALS_API int32_t cymbals_number_ids(cymbals_workspace *workspace, int64_t n, const int64_t *ids, int64_t lowest,
                                       int64_t range, int32_t *table, int64_t *n_distinct);
/* Sets places[i] to table[ids[i] - lowest], or to -1 if ids[i] is outside the table. */
CYMBALS_API int32_t cymbals_look_up_ids(cymbals_workspace *workspace, int64_t n, const int64_t *ids, int64_t lowest,
                                        int64_t range, const int32_t *table, int32_t *places);
/* For codes, such as those of categories: sets places[i] to table[codes[i]], or to codes[i] if table is null; and sets
 * used[c] (range) to 1 if the code c occurs, else to 0. code_type is CYMBALS_INT32 or CYMBALS_INT64; places may be
 * codes, if these are int32. BAD_ARGUMENT if a code is outside [0, range); the contents of places and used are then
 * undefined.
 */
CYMBALS_API int32_t cymbals_renumber(cymbals_workspace *workspace, int64_t n, const void *codes, int32_t code_type,
                                     int64_t range, const int32_t *table, int32_t *places, uint8_t *used);
/* For ids that come in parts: sets codes[i] to ids[i] - lowest, and adds to counts[c] (range) how many ids have the
 * code c. BAD_ARGUMENT if an id is outside [lowest, lowest + range); the contents of counts and codes are then
 * undefined. */
CYMBALS_API int32_t cymbals_count_ids(cymbals_workspace *workspace, int64_t n, const int64_t *ids, int64_t lowest,
                                      int64_t range, int64_t *counts, int32_t *codes);
/* For ids that come in parts: sets codes[i] to the position of ids[i] in `known`, and adds 1 to counts[codes[i]]. Ids
 * that are not in `known` are appended to it, and their counts begin with 0. known and counts have room for `most`
 * elements, of which *n_known are used; the call updates it. slots is a hash table of n_slots pairs (id, position),
 * with position -1 in free ones; n_slots is a power of two and at least twice `most`. If there is no room for an id,
 * the call stops before it and returns OK. It sets *n_done to the number of ids that have got codes. */
CYMBALS_API int32_t cymbals_code_ids(cymbals_workspace *workspace, int64_t n, const int64_t *ids, int64_t n_slots,
                                     int64_t *slots, int64_t most, int64_t *known, int64_t *counts, int64_t *n_known,
                                     int32_t *codes, int64_t *n_done);
/* The same for texts: text i is the bytes from offsets[i] to offsets[i + 1] of `text`. known_offsets (most + 1) and
 * known (most_bytes bytes) hold the texts that have codes; known_offsets[0] is 0. A slot is a pair (hash of a text, its
 * code). The call also stops if there is no room for the bytes of a text. */
CYMBALS_API int32_t cymbals_code_texts(cymbals_workspace *workspace, int64_t n, const int64_t *offsets,
                                       const char *text, int64_t n_slots, int64_t *slots, int64_t most,
                                       int64_t most_bytes, int64_t *known_offsets, char *known, int64_t *counts,
                                       int64_t *n_known, int32_t *codes, int64_t *n_done);
/* Groups n events by their rows. The group of row r is table[r] (n_rows), or (r >> shift) - first if table is null.
 * begins (n_groups + 1) is set to the position where each group begins. Field f has an element of bytes[f] (4 or 8)
 * bytes for each event: fields[f] is copied to grouped[f] in the order of the groups. Events of a group keep their
 * order. There are at most 4 fields. BAD_ARGUMENT if a group is outside [0, n_groups). */
CYMBALS_API int32_t cymbals_group(cymbals_workspace *workspace, int64_t n, const int32_t *rows, int32_t shift,
                                  int64_t first, int64_t n_rows, const int32_t *table, int64_t n_groups,
                                  int64_t *begins, int32_t n_fields, const void *const *fields, void *const *grouped,
                                  const int32_t *bytes);

/* -- Profiles ----------------------------------------------------------------------------------------------------- */

/* The highest rates at which this machine computes and reads, in float32, with all threads together. Measuring them
 * takes about a second and 300 MB. */
typedef struct cymbals_peaks {
    size_t struct_size;
    double multiply_adds; /* per second, in registers */
    double near_bytes;    /* per second, read from the second-level cache in order */
    double stream_bytes;  /* per second, read from memory in order */
    double gather_rows;   /* per second: rows of 256 bytes, read from 256 MB in random order */
} cymbals_peaks;
CYMBALS_API int32_t cymbals_measure_peaks(cymbals_workspace *workspace, cymbals_peaks *peaks);

/* What a call, or one thread of it, does. WHITEN computes the lengths of the fixed side's rows and their 16-bit copy;
 * SOLVE solves rows. Both are parts of a half-step. */
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
/* The time that one thread worked on a chunk of rows, or the time of a whole call. The span of a call has no rows,
 * entries, flops or bytes. flops (a multiply-add is two) and bytes follow the cost model in csrc/README.md. bytes count
 * what is read from the caller's matrices and from tiles of rows, and large arrays that are written, but not vectors in
 * the first-level cache. */
typedef struct cymbals_span {
    int64_t begin, end; /* nanoseconds on the system's monotonic clock */
    int64_t rows, entries;
    double flops, bytes;
    int32_t phase, thread; /* thread is -1 for a whole call */
    int32_t n_threads;     /* the threads of the call */
    int32_t reserved;
} cymbals_span;
/* Sums over rows of 2^length to 2^(length + 1) - 1 entries that one thread solved with one solver (CG, DUAL or PRIMAL)
 * in half-steps. Gathering a row means to weigh its entries and to read their rows of the fixed side; with CG it
 * includes the first residual, which is computed at the same time. Times are nanoseconds; flops and bytes follow the
 * cost model.
 */
typedef struct cymbals_row_class {
    int32_t thread, solver, length;
    int64_t rows, entries, cg_steps, retried;
    int64_t gather_time, solve_time;
    double gather_flops, gather_bytes, solve_flops, solve_bytes;
} cymbals_row_class;
/* All that was recorded since the workspace was made or cymbals_workspace_forget was called; valid until the next call.
 * lost may be null; *lost becomes the number of spans for which there was no memory. */
CYMBALS_API int32_t cymbals_workspace_spans(cymbals_workspace *workspace, const cymbals_span **spans, int64_t *n,
                                            int64_t *lost);
CYMBALS_API int32_t cymbals_workspace_row_classes(cymbals_workspace *workspace, const cymbals_row_class **classes,
                                                  int64_t *n);
CYMBALS_API void cymbals_workspace_forget(cymbals_workspace *workspace);

/* -- Threads ------------------------------------------------------------------------------------------------------ */

/* The most threads that a call runs on: options.n_threads, or fewer after the system refused to start that many. */
CYMBALS_API int32_t cymbals_workspace_threads(const cymbals_workspace *workspace);

/* -- Without linking ---------------------------------------------------------------------------------------------- */

/* A table of pointers to all functions, for Python extensions that do not link with the library. Such an extension
 * includes Python.h, defines CYMBALS_USE_CAPSULE and then includes this file. It calls cymbals_import() once, which
 * returns -1 with an exception set if cymbals is not installed or does not fit. After that it calls the functions above
 * by their usual names. */
/* clang-format off */
#define CYMBALS_FUNCTIONS(X) \
    X(abi_version) X(version) X(compiler) X(status_message) X(simd_name) X(simd_resolve) X(workspace_create) \
    X(workspace_destroy) X(workspace_message) X(workspace_bytes) X(gram) X(basis) X(rotate) X(half_step) \
    X(half_step_bytes) X(solve_row) X(loss) X(transpose) X(from_triplets) X(check_csr) X(topk) X(index_create) \
    X(index_destroy) X(index_bytes) X(index_topk) X(rank_metrics) X(parse_numbers) X(parse_names) X(number_ids) \
    X(look_up_ids) X(measure_peaks) X(workspace_spans) X(workspace_row_classes) X(workspace_forget) \
    X(workspace_threads) X(renumber) X(merge_rows) X(draw_normal) \
    X(gram_segments) X(gram_parts) X(count_ids) X(code_ids) X(group) X(code_texts) X(compress)
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
#define cymbals_renumber (*cymbals_table->renumber)
#define cymbals_merge_rows (*cymbals_table->merge_rows)
#define cymbals_draw_normal (*cymbals_table->draw_normal)
#define cymbals_gram_segments (*cymbals_table->gram_segments)
#define cymbals_gram_parts (*cymbals_table->gram_parts)
#define cymbals_count_ids (*cymbals_table->count_ids)
#define cymbals_code_ids (*cymbals_table->code_ids)
#define cymbals_group (*cymbals_table->group)
#define cymbals_code_texts (*cymbals_table->code_texts)
#define cymbals_compress (*cymbals_table->compress)
#endif

#ifdef __cplusplus
}
#endif

#endif
