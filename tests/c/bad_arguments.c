/* Wrong arguments are refused with BAD_ARGUMENT and a message that names the argument, before results are written. */
#include <cymbals/cymbals.h>

#include "check.h"
#include "problem.h"

static cymbals_workspace *workspace;
static int thing; /* number of the defect in the last bad struct */

/* All outputs of the functions, filled with a pattern that they must not change. */
static union {
    unsigned char bytes[512];
    double numbers[64];
    int64_t wholes[64];
    int32_t small[128];
    cymbals_solve_info info;
    cymbals_csr_report report;
    cymbals_index *index;
} out, before;

#define REFUSED(call, name)                                                                                    \
    do {                                                                                                       \
        memset(&out, 0xa5, sizeof out);                                                                        \
        memset(&before, 0xa5, sizeof before);                                                                  \
        const int32_t status = call;                                                                           \
        WHERE("%s, thing %d", #call, thing);                                                                   \
        CHECK_EQUAL(status, CYMBALS_BAD_ARGUMENT);                                                             \
        CHECK_SAME(out.bytes, before.bytes, sizeof out);                                                       \
        const char *message = cymbals_workspace_message(workspace);                                            \
        check(strstr(message, name), __FILE__, __LINE__, "the message is \"%s\": no %s in it", message, name); \
    } while (0)

/* Good arguments: two rows, three columns, a rank of two. */
static const int64_t indptr[3] = {0, 1, 3};
static const int32_t indices[3] = {1, 0, 2};
static const float values[3] = {1, 2, 3};
static float x_data[4] = {1, 2, 3, 4}, y_data[6] = {1, 2, 3, 4, 5, 6}, scale[3] = {1, 1, 1};
static const double spectrum[2] = {1, 1};
static const int64_t ks[2] = {1, 2}, list[2] = {0, 2};
static const cymbals_csr good_csr = {sizeof(cymbals_csr), 2, 3, indptr, indices, CYMBALS_INT32, values,
                                     CYMBALS_FLOAT32};
static const cymbals_matrix x = {sizeof x, x_data, 2, 2, 2, CYMBALS_FLOAT32},
                            y = {sizeof y, y_data, 3, 2, 2, CYMBALS_FLOAT32};
static const cymbals_objective good_objective = {sizeof good_objective, CYMBALS_HU, CYMBALS_LOG, 1, 1, 1};
static const cymbals_solve_options good_options = CYMBALS_SOLVE_OPTIONS_INIT;

/* The functions below return a good struct in which the i-th thing is bad. `too_small` is used as a struct that has
 * only a struct_size, so that sanitizers notice a function that reads further. */
static size_t too_small = sizeof too_small;

static const cymbals_matrix *bad_matrix(const cymbals_matrix *good, int i) {
    static cymbals_matrix m;
    m = *good, thing = i;
    if (i == 0) return NULL;
    if (i == 1) return (const cymbals_matrix *)(void *)&too_small;
    if (i == 2) m.struct_size = 0;
    if (i == 3) m.struct_size--;
    if (i == 4) m.data = NULL;
    if (i == 5) m.n_rows = -1;
    if (i == 6) m.n_cols = 0;
    if (i == 7) m.n_cols = -2;
    if (i == 8) m.stride = m.n_cols - 1;
    if (i == 9) m.type = CYMBALS_INT32;
    if (i == 10) m.type = -1;
    if (i == 11) m.n_cols = m.stride = INT64_MAX / 2;
    if (i == 12) m.n_rows = INT64_MAX / 2;
    if (i == 13) m.stride = INT64_MAX;
    return &m;
}
enum { BAD_MATRICES = 14 };

static const cymbals_csr *bad_csr(int i) {
    static cymbals_csr c;
    c = good_csr, thing = i;
    if (i == 0) return NULL;
    if (i == 1) return (const cymbals_csr *)(void *)&too_small;
    if (i == 2) c.struct_size--;
    if (i == 3) c.n_rows = -1;
    if (i == 4) c.n_cols = -1;
    if (i == 5) c.indptr = NULL;
    if (i == 6) c.indices = NULL;
    if (i == 7) c.index_type = CYMBALS_FLOAT64;
    if (i == 8) c.index_type = 9;
    if (i == 9) c.values = NULL;
    if (i == 10) c.value_type = CYMBALS_INT64;
    return &c;
}
enum { BAD_PATTERNS = 9, BAD_CSRS = 11 }; /* the last two are for functions that read values */

static const cymbals_objective *bad_objective(int i) {
    static cymbals_objective o;
    o = good_objective, thing = i;
    if (i == 0) return NULL;
    if (i == 1) return (const cymbals_objective *)(void *)&too_small;
    if (i == 2) o.struct_size--;
    if (i == 3) o.kind = -1;
    if (i == 4) o.kind = 3;
    if (i == 5) o.confidence = -1;
    if (i == 6) o.confidence = 4;
    if (i == 7) o.alpha = NAN;
    if (i == 8) o.alpha = -INFINITY;
    if (i == 9) o.alpha0 = NAN;
    if (i == 10) o.alpha0 = -1;
    if (i == 11) o.alpha0 = INFINITY;
    if (i == 12) o.epsilon = NAN;
    if (i == 13) o.epsilon = 0;
    if (i == 14) o.epsilon = INFINITY;
    if (i == 15) o.kind = CYMBALS_EXPLICIT;
    if (i == 16) o.kind = CYMBALS_IALS, o.confidence = CYMBALS_TOTAL;
    return &o;
}
enum { BAD_OBJECTIVES = 17 };

static const cymbals_solve_options *bad_options(int i) {
    static cymbals_solve_options o;
    o = good_options, thing = i;
    if (i == 0) return NULL;
    if (i == 1) return (const cymbals_solve_options *)(void *)&too_small;
    if (i == 2) o.struct_size = offsetof(cymbals_solve_options, prior) - 1;
    if (i == 3) o.solver = -1;
    if (i == 4) o.solver = 5;
    if (i == 5) o.cg_steps = 0;
    if (i == 6) o.cg_tolerance = NAN;
    if (i == 7) o.cg_tolerance = -1;
    if (i == 8) o.cg_tolerance = INFINITY;
    if (i == 9) o.relaxation = NAN;
    if (i == 10) o.relaxation = 0;
    if (i == 11) o.relaxation = 2;
    if (i == 12) o.compact = -1;
    if (i == 13) o.compact = 3;
    if (i == 14) o.reg = NAN;
    if (i == 15) o.reg = -1;
    if (i == 16) o.reg = INFINITY;
    return &o;
}
enum { BAD_OPTIONS = 17 };

static void test_dense(void) {
    for (int i = 0; i < BAD_MATRICES; i++) {
        REFUSED(cymbals_gram(workspace, bad_matrix(&x, i), out.numbers), "matrix");
        REFUSED(cymbals_rotate(workspace, (cymbals_matrix *)bad_matrix(&x, i), spectrum), "matrix");
        REFUSED(cymbals_draw_normal(workspace, 0, 0, 0, 1, (cymbals_matrix *)bad_matrix(&x, i)), "matrix");
    }
    REFUSED(cymbals_gram(workspace, &x, NULL), "gram");
    const int64_t begins[] = {3, 4, 5}, falling[] = {3, 6, 5}, longer[] = {3, 4, 6};
    for (int i = 0; i < BAD_MATRICES; i++)
        REFUSED(cymbals_gram_parts(workspace, bad_matrix(&x, i), 2, begins, out.numbers), "matrix");
    REFUSED(cymbals_gram_parts(workspace, &x, -1, begins, out.numbers), "n_segments");
    REFUSED(cymbals_gram_parts(workspace, &x, 2, NULL, out.numbers), "begins");
    REFUSED(cymbals_gram_parts(workspace, &x, 2, falling, out.numbers), "begins[1]");
    REFUSED(cymbals_gram_parts(workspace, &x, 2, longer, out.numbers), "begins[n_segments]");
    REFUSED(cymbals_gram_parts(workspace, &x, 2, begins, NULL), "sums");
    CHECK_EQUAL(cymbals_gram_segments(-1, 2, out.wholes, NULL), CYMBALS_BAD_ARGUMENT);
    CHECK_EQUAL(cymbals_gram_segments(2, 0, out.wholes, NULL), CYMBALS_BAD_ARGUMENT);
    CHECK_EQUAL(cymbals_gram_segments(2, 2, NULL, NULL), CYMBALS_BAD_ARGUMENT);
    REFUSED(cymbals_draw_normal(workspace, 0, -1, 0, 1, (cymbals_matrix *)&x), "stream");
    REFUSED(cymbals_draw_normal(workspace, 0, 0, -1, 1, (cymbals_matrix *)&x), "first_row");
    REFUSED(cymbals_draw_normal(workspace, 0, 0, 0, NAN, (cymbals_matrix *)&x), "scale");
    REFUSED(cymbals_rotate(workspace, (cymbals_matrix *)&x, NULL), "basis");

    double *s = out.numbers, *b = out.numbers + 2;
    const double vectors[4] = {1, 0, 0, 1};
    REFUSED(cymbals_basis(workspace, 0, spectrum, vectors, 1, s, b), "f is 0");
    REFUSED(cymbals_basis(workspace, -1, spectrum, vectors, 1, s, b), "f is -1");
    REFUSED(cymbals_basis(workspace, 2, NULL, vectors, 1, s, b), "values");
    REFUSED(cymbals_basis(workspace, 2, spectrum, NULL, 1, s, b), "vectors");
    REFUSED(cymbals_basis(workspace, 2, spectrum, vectors, NAN, s, b), "alpha0");
    REFUSED(cymbals_basis(workspace, 2, spectrum, vectors, -1, s, b), "alpha0");
    REFUSED(cymbals_basis(workspace, 2, spectrum, vectors, INFINITY, s, b), "alpha0");
    REFUSED(cymbals_basis(workspace, 2, spectrum, vectors, 1, NULL, b), "spectrum");
    REFUSED(cymbals_basis(workspace, 2, spectrum, vectors, 1, s, NULL), "basis");
    REFUSED(cymbals_basis(workspace, 2, s, vectors, 1, s, b), "spectrum");
    REFUSED(cymbals_basis(workspace, 2, spectrum, b, 1, s, b), "basis");
}

static void test_half_step(void) {
    cymbals_matrix solved = {sizeof solved, out.bytes, 2, 2, 2, CYMBALS_FLOAT32}, other = solved;
    cymbals_solve_info *info = (cymbals_solve_info *)(out.numbers + 8);
    const double bad_spectrum[3][2] = {{1, NAN}, {-1, 1}, {INFINITY, 1}}, no_gramian[2] = {0, 0},
                 bad_reg[2][2] = {{1, NAN}, {-1, 1}};
    cymbals_solve_options options = good_options;
#define HALF_STEP(rows, objective, fixed, spectrum, solved, options, info) \
    cymbals_half_step(workspace, rows, objective, fixed, spectrum, solved, options, info)
#define SOLVE(rows, objective, fixed, options) HALF_STEP(rows, objective, fixed, spectrum, &solved, options, info)
    for (int i = 0; i < BAD_CSRS; i++) REFUSED(SOLVE(bad_csr(i), &good_objective, &y, &good_options), "rows");
    for (int i = 0; i < BAD_OBJECTIVES; i++)
        REFUSED(SOLVE(&good_csr, bad_objective(i), &y, &good_options), "objective");
    for (int i = 0; i < BAD_MATRICES; i++)
        REFUSED(SOLVE(&good_csr, &good_objective, bad_matrix(&y, i), &good_options), "fixed");
    for (int i = 0; i < BAD_OPTIONS; i++) REFUSED(SOLVE(&good_csr, &good_objective, &y, bad_options(i)), "options");
    for (int i = 0; i < BAD_MATRICES; i++) {
        cymbals_matrix *bad = (cymbals_matrix *)bad_matrix(&solved, i);
        REFUSED(HALF_STEP(&good_csr, &good_objective, &y, spectrum, bad, &good_options, info), "solved");
    }
    for (int i = 0; i < 3; i++)
        REFUSED(HALF_STEP(&good_csr, &good_objective, &y, bad_spectrum[i], &solved, &good_options, info), "spectrum[");
    for (int i = 0; i < 2; i++) {
        options.row_reg = bad_reg[i];
        REFUSED(SOLVE(&good_csr, &good_objective, &y, &options), "options->row_reg[");
    }
    options = good_options;
    for (int i = 1; i < BAD_MATRICES; i++) {
        options.prior = bad_matrix(&solved, i);
        REFUSED(SOLVE(&good_csr, &good_objective, &y, &options), "options->prior");
    }
    options = good_options;
    for (int i = 0; i < 8; i++) {
        cymbals_part part = {sizeof part, 0, 1, 0, NULL};
        if (i == 0) part.struct_size = offsetof(cymbals_part, copy) - 1;
        if (i == 1) part.least_reg = NAN;
        if (i == 2) part.least_reg = -1;
        if (i == 3) part.least_reg = 2;
        if (i == 4) part.most_reg = INFINITY;
        if (i == 5) part.prepared = 2;
        if (i == 6) part.prepared = 1; /* but no half-step has prepared anything */
        options.part = i == 7 ? (const cymbals_part *)(void *)&too_small : &part, thing = i;
        REFUSED(HALF_STEP(&good_csr, &good_objective, &y, spectrum, &solved, &options, info), "options->part");
    }
    options = good_options;
    const float leverage[3] = {1, 1, 1};
    const int64_t all[3] = {0, 1, 2}, not_ascending[3] = {0, 2, 2}, beyond[3] = {0, 1, 3}, negative[3] = {-1, 1, 2};
    for (int i = 0; i < 13; i++) {
        cymbals_copy copy = {sizeof copy, 3, indices, leverage, all};
        cymbals_part part = {sizeof part, 1, 1, 0, &copy};
        cymbals_matrix few = y;
        options.part = &part, thing = i;
        if (i == 0) copy.struct_size--;
        if (i == 1) copy.n_rows = 2;
        if (i == 2) copy.pairs = NULL;
        if (i == 3) copy.leverage = NULL;
        if (i == 4) copy.rows = NULL;
        if (i == 5) copy.rows = not_ascending;
        if (i == 6) copy.rows = beyond;
        if (i == 7) copy.rows = negative;
        if (i == 8) part.copy = (const cymbals_copy *)(void *)&too_small;
        if (i == 9) options.solver = CYMBALS_EXACT;
        if (i == 10) options.prior = &solved;
        if (i == 11) few.type = solved.type = CYMBALS_FLOAT64;
        REFUSED(HALF_STEP(&good_csr, &good_objective, &few, i == 12 ? no_gramian : spectrum, &solved, &options, info),
                i == 12 ? "spectrum is 0" : "options->part->copy");
        options = good_options, solved.type = CYMBALS_FLOAT32;
    }
    options.prior = &other;
    other = solved, other.n_rows = 1;
    REFUSED(SOLVE(&good_csr, &good_objective, &y, &options), "options->prior->n_rows");
    other = solved, other.n_cols = 1;
    REFUSED(SOLVE(&good_csr, &good_objective, &y, &options), "options->prior->n_cols");
    options = good_options;
    REFUSED(HALF_STEP(&good_csr, &good_objective, &y, NULL, &solved, &good_options, info), "spectrum");
    REFUSED(HALF_STEP(&good_csr, &good_objective, &y, spectrum, &solved, &good_options, NULL), "info");
    REFUSED(SOLVE(&good_csr, &good_objective, &x, &good_options), "fixed->n_rows is 2, rows->n_cols is 3");
    other.n_rows = 1;
    REFUSED(HALF_STEP(&good_csr, &good_objective, &y, spectrum, &other, &good_options, info), "solved->n_rows");
    other = solved, other.n_cols = 1;
    REFUSED(HALF_STEP(&good_csr, &good_objective, &y, spectrum, &other, &good_options, info), "solved->n_cols");
    other = solved, other.type = CYMBALS_FLOAT64;
    REFUSED(HALF_STEP(&good_csr, &good_objective, &y, spectrum, &other, &good_options, info), "solved->type");
#undef SOLVE
#undef HALF_STEP

#define COMPRESS(fixed, spectrum, least, most, pairs, leverage) \
    cymbals_compress(workspace, fixed, spectrum, least, most, pairs, leverage)
    int32_t *pairs = (int32_t *)out.bytes;
    float *lengths = (float *)(out.numbers + 16);
    for (int i = 0; i < BAD_MATRICES; i++)
        REFUSED(COMPRESS(bad_matrix(&y, i), spectrum, 1, 1, pairs, lengths), "fixed");
    for (int i = 0; i < 3; i++) REFUSED(COMPRESS(&y, bad_spectrum[i], 1, 1, pairs, lengths), "spectrum[");
    REFUSED(COMPRESS(&y, NULL, 1, 1, pairs, lengths), "spectrum");
    REFUSED(COMPRESS(&y, no_gramian, 1, 1, pairs, lengths), "spectrum is 0");
    REFUSED(COMPRESS(&y, spectrum, NAN, 1, pairs, lengths), "least_reg");
    REFUSED(COMPRESS(&y, spectrum, -1, 1, pairs, lengths), "least_reg");
    REFUSED(COMPRESS(&y, spectrum, 2, 1, pairs, lengths), "least_reg");
    REFUSED(COMPRESS(&y, spectrum, 1, INFINITY, pairs, lengths), "least_reg");
    REFUSED(COMPRESS(&y, spectrum, 1, 1, NULL, lengths), "pairs");
    REFUSED(COMPRESS(&y, spectrum, 1, 1, pairs, NULL), "leverage");
    other = y, other.type = CYMBALS_FLOAT64;
    REFUSED(COMPRESS(&other, spectrum, 1, 1, pairs, lengths), "fixed->type");
#undef COMPRESS

    for (int i = 0; i < BAD_PATTERNS; i++)
        REFUSED(cymbals_half_step_bytes(workspace, bad_csr(i), &y, &good_options, out.wholes), "rows");
    for (int i = 0; i < BAD_MATRICES; i++)
        REFUSED(cymbals_half_step_bytes(workspace, &good_csr, bad_matrix(&y, i), &good_options, out.wholes), "fixed");
    for (int i = 0; i < BAD_OPTIONS; i++)
        REFUSED(cymbals_half_step_bytes(workspace, &good_csr, &y, bad_options(i), out.wholes), "options");
    REFUSED(cymbals_half_step_bytes(workspace, &good_csr, &x, &good_options, out.wholes), "fixed->n_rows");
    REFUSED(cymbals_half_step_bytes(workspace, &good_csr, &y, &good_options, NULL), "bytes");
}

static void test_solve_row(void) {
    const int32_t outside[2][2] = {{0, 3}, {-1, 0}};
    const double bad_spectrum[2] = {1, NAN}, row_reg[1] = {1};
    cymbals_solve_options options = good_options;
    cymbals_solve_info *info = (cymbals_solve_info *)(out.numbers + 8);
    const int32_t i32 = CYMBALS_INT32, f32 = CYMBALS_FLOAT32;
#define SOLVE(n, indices, index_type, values, value_type, objective, fixed, spectrum, x, options, info)              \
    cymbals_solve_row(workspace, n, indices, index_type, values, value_type, objective, fixed, spectrum, x, options, \
                      info)
    void *to = out.bytes;
    for (int i = 0; i < BAD_OBJECTIVES; i++)
        REFUSED(SOLVE(2, indices, i32, values, f32, bad_objective(i), &y, spectrum, to, &good_options, info),
                "objective");
    for (int i = 0; i < BAD_MATRICES; i++)
        REFUSED(
            SOLVE(2, indices, i32, values, f32, &good_objective, bad_matrix(&y, i), spectrum, to, &good_options, info),
            "fixed");
    for (int i = 0; i < BAD_OPTIONS; i++)
        REFUSED(SOLVE(2, indices, i32, values, f32, &good_objective, &y, spectrum, to, bad_options(i), info),
                "options");
    const cymbals_objective *o = &good_objective;
    REFUSED(SOLVE(-1, indices, i32, values, f32, o, &y, spectrum, to, &good_options, info), "n is -1");
    REFUSED(SOLVE(2, NULL, i32, values, f32, o, &y, spectrum, to, &good_options, info), "indices");
    REFUSED(SOLVE(2, indices, f32, values, f32, o, &y, spectrum, to, &good_options, info), "index_type is 0");
    REFUSED(SOLVE(2, indices, i32, NULL, f32, o, &y, spectrum, to, &good_options, info), "values");
    REFUSED(SOLVE(2, indices, i32, values, i32, o, &y, spectrum, to, &good_options, info), "value_type is 2");
    REFUSED(SOLVE(2, indices, i32, values, f32, o, &y, NULL, to, &good_options, info), "spectrum");
    REFUSED(SOLVE(2, indices, i32, values, f32, o, &y, bad_spectrum, to, &good_options, info), "spectrum[1]");
    REFUSED(SOLVE(2, indices, i32, values, f32, o, &y, spectrum, NULL, &good_options, info), "solved");
    REFUSED(SOLVE(2, indices, i32, values, f32, o, &y, spectrum, to, &good_options, NULL), "info");
    for (int i = 0; i < 2; i++)
        REFUSED(SOLVE(2, outside[i], i32, values, f32, o, &y, spectrum, to, &good_options, info), "indices[");
    options.row_reg = row_reg;
    REFUSED(SOLVE(2, indices, i32, values, f32, o, &y, spectrum, to, &options, info), "options->row_reg");
#undef SOLVE
}

static void test_loss(void) {
    cymbals_matrix other = x;
    for (int i = 0; i < BAD_CSRS; i++)
        REFUSED(cymbals_loss(workspace, bad_csr(i), &good_objective, &x, &y, out.numbers), "rows");
    for (int i = 0; i < BAD_OBJECTIVES; i++)
        REFUSED(cymbals_loss(workspace, &good_csr, bad_objective(i), &x, &y, out.numbers), "objective");
    for (int i = 0; i < BAD_MATRICES; i++) {
        REFUSED(cymbals_loss(workspace, &good_csr, &good_objective, bad_matrix(&x, i), &y, out.numbers), "x");
        REFUSED(cymbals_loss(workspace, &good_csr, &good_objective, &x, bad_matrix(&y, i), out.numbers), "y");
    }
    REFUSED(cymbals_loss(workspace, &good_csr, &good_objective, &x, &y, NULL), "loss");
    REFUSED(cymbals_loss(workspace, &good_csr, &good_objective, &y, &y, out.numbers), "x->n_rows");
    REFUSED(cymbals_loss(workspace, &good_csr, &good_objective, &x, &x, out.numbers), "y->n_rows");
    other.n_cols = 1;
    REFUSED(cymbals_loss(workspace, &good_csr, &good_objective, &other, &y, out.numbers), "x->n_cols");
    other = x, other.type = CYMBALS_FLOAT64;
    REFUSED(cymbals_loss(workspace, &good_csr, &good_objective, &other, &y, out.numbers), "x->type");
}

static void test_sparse(void) {
    int64_t *p = out.wholes;
    int32_t *i32 = out.small + 32;
    float *v = (float *)(out.small + 64);
    const int32_t rows[2] = {0, 1}, outside[3][2] = {{0, 2}, {-1, 0}, {3, 0}}, i = CYMBALS_INT32, f = CYMBALS_FLOAT32;
    for (int b = 0; b < BAD_CSRS; b++) REFUSED(cymbals_transpose(workspace, bad_csr(b), p, i32, i, v), "matrix");
    REFUSED(cymbals_transpose(workspace, &good_csr, NULL, i32, i, v), "t_indptr");
    REFUSED(cymbals_transpose(workspace, &good_csr, p, NULL, i, v), "t_indices");
    REFUSED(cymbals_transpose(workspace, &good_csr, p, i32, f, v), "t_index_type");
    REFUSED(cymbals_transpose(workspace, &good_csr, p, i32, i, NULL), "t_values");

#define FROM(n, rows, cols, index_type, values, value_type, n_rows, n_cols, indptr, indices, out_values)             \
    cymbals_from_triplets(workspace, n, rows, cols, index_type, values, value_type, n_rows, n_cols, indptr, indices, \
                          out_values)
    REFUSED(FROM(-1, rows, rows, i, values, f, 2, 2, p, i32, v), "n is -1");
    REFUSED(FROM(2, NULL, rows, i, values, f, 2, 2, p, i32, v), "rows");
    REFUSED(FROM(2, rows, NULL, i, values, f, 2, 2, p, i32, v), "cols");
    REFUSED(FROM(2, rows, rows, f, values, f, 2, 2, p, i32, v), "index_type");
    REFUSED(FROM(2, rows, rows, i, NULL, f, 2, 2, p, i32, v), "values");
    REFUSED(FROM(2, rows, rows, i, values, i, 2, 2, p, i32, v), "value_type");
    REFUSED(FROM(2, rows, rows, i, values, f, -1, 2, p, i32, v), "n_rows");
    REFUSED(FROM(2, rows, rows, i, values, f, 2, -1, p, i32, v), "n_cols");
    REFUSED(FROM(2, rows, rows, i, values, f, 2, 2, NULL, i32, v), "indptr");
    REFUSED(FROM(2, rows, rows, i, values, f, 2, 2, p, NULL, v), "indices");
    REFUSED(FROM(2, rows, rows, i, values, f, 2, 2, p, i32, NULL), "out_values");
    for (int o = 0; o < 3; o++) {
        REFUSED(FROM(2, outside[o], rows, i, values, f, 2, 2, p, i32, v), "rows");
        REFUSED(FROM(2, rows, outside[o], i, values, f, 2, 2, p, i32, v), "cols");
    }
#undef FROM

    const int64_t first[2] = {0, 0}, beyond[2][2] = {{0, 2}, {-1, 0}};
    cymbals_csr other = good_csr;
#define MERGE(matrix, changes, n_rows, rows, indptr, indices, values) \
    cymbals_merge_rows(workspace, matrix, 3, changes, n_rows, rows, indptr, indices, values)
    for (int b = 0; b < BAD_CSRS; b++) {
        REFUSED(MERGE(bad_csr(b), NULL, 2, NULL, p, NULL, NULL), "matrix");
        if (bad_csr(b)) REFUSED(MERGE(&good_csr, bad_csr(b), 2, NULL, p, NULL, NULL), "changes");
    }
    other.n_rows = 1;
    REFUSED(MERGE(&good_csr, &other, 2, NULL, p, NULL, NULL), "changes->n_rows");
    other = good_csr, other.n_cols = 4;
    REFUSED(MERGE(&good_csr, &other, 2, NULL, p, NULL, NULL), "changes->n_cols");
    other = good_csr, other.index_type = CYMBALS_INT64;
    REFUSED(MERGE(&good_csr, &other, 2, NULL, p, NULL, NULL), "changes->index_type");
    other = good_csr, other.value_type = CYMBALS_FLOAT64;
    REFUSED(MERGE(&good_csr, &other, 2, NULL, p, NULL, NULL), "changes->value_type");
    REFUSED(MERGE(&good_csr, NULL, -1, NULL, p, NULL, NULL), "n_rows");
    REFUSED(MERGE(&good_csr, NULL, 3, NULL, p, NULL, NULL), "n_rows");
    for (int b = 0; b < 2; b++) REFUSED(MERGE(&good_csr, NULL, 2, beyond[b], p, NULL, NULL), "rows");
    REFUSED(MERGE(&good_csr, NULL, 2, first, NULL, NULL, NULL), "indptr");
    REFUSED(MERGE(&good_csr, NULL, 2, first, p, i32, NULL), "values");
#undef MERGE
    REFUSED(cymbals_merge_rows(workspace, &good_csr, -1, NULL, 2, NULL, p, NULL, NULL), "n_entries");
    const int64_t broken[][3] = {{0, 2, 1}, {-1, 2, 3}, {0, INT64_MAX, 3}, {0, 2, 4}, {0, 3, 2}, {INT64_MIN, 0, 3}};
    for (int b = 0; b < 6; b++) {
        int64_t written[3] = {0, 2, 3}; /* undefined after these calls */
        int32_t columns[3];
        float numbers[3];
        other = good_csr, other.indptr = broken[b];
        thing = b;
        REFUSED(cymbals_merge_rows(workspace, &other, 3, NULL, 2, NULL, written, NULL, NULL), "indptr");
        memcpy(written, indptr, sizeof written);
        REFUSED(cymbals_merge_rows(workspace, &other, 3, NULL, 2, NULL, written, columns, numbers), "indptr");
        written[0] = -1;
        REFUSED(cymbals_merge_rows(workspace, &good_csr, 3, NULL, 2, NULL, written, columns, numbers), "indptr");
    }

    cymbals_csr no_type = good_csr;
    no_type.value_type = CYMBALS_INT32;
    for (int b = 0; b < BAD_PATTERNS; b++) REFUSED(cymbals_check_csr(workspace, bad_csr(b), 3, &out.report), "matrix");
    REFUSED(cymbals_check_csr(workspace, &no_type, 3, &out.report), "matrix->value_type");
    REFUSED(cymbals_check_csr(workspace, &good_csr, -1, &out.report), "n_entries");
    REFUSED(cymbals_check_csr(workspace, &good_csr, 3, NULL), "report");
}

static void test_search(void) {
    int64_t *ids = out.wholes;
    void *scores = out.wholes + 32;
    const int64_t outside[4][2] = {{0, 3}, {-1, 1}, {1, 1}, {2, 0}};
    cymbals_matrix other = x;
    cymbals_csr skip = good_csr;
    cymbals_index *index = NULL;
    CHECK_OK(cymbals_index_create(workspace, &y, NULL, 0, scale, &index));
#define TOPK(queries, items, list, n_list, skip, k, ids, scores) \
    cymbals_topk(workspace, queries, items, list, n_list, scale, skip, k, ids, scores)
    for (int i = 0; i < BAD_MATRICES; i++) {
        REFUSED(TOPK(bad_matrix(&x, i), &y, NULL, 0, NULL, 2, ids, scores), "queries");
        REFUSED(TOPK(&x, bad_matrix(&y, i), NULL, 0, NULL, 2, ids, scores), "items");
        REFUSED(cymbals_index_topk(workspace, index, bad_matrix(&x, i), NULL, 2, ids, scores), "queries");
    }
    for (int i = 1; i < BAD_PATTERNS; i++) {
        REFUSED(TOPK(&x, &y, NULL, 0, bad_csr(i), 2, ids, scores), "skip");
        REFUSED(cymbals_index_topk(workspace, index, &x, bad_csr(i), 2, ids, scores), "skip");
    }
    for (int64_t k = -1; k <= 0; k++) {
        REFUSED(TOPK(&x, &y, NULL, 0, NULL, k, ids, scores), "k is");
        REFUSED(cymbals_index_topk(workspace, index, &x, NULL, k, ids, scores), "k is");
    }
    REFUSED(TOPK(&x, &y, list, -1, NULL, 2, ids, scores), "n_list");
    for (int i = 0; i < 4; i++) REFUSED(TOPK(&x, &y, outside[i], 2, NULL, 2, ids, scores), "item_list[");
    REFUSED(TOPK(&x, &y, NULL, 0, NULL, 2, NULL, scores), "ids");
    REFUSED(TOPK(&x, &y, NULL, 0, NULL, 2, ids, NULL), "scores");
    REFUSED(cymbals_index_topk(workspace, NULL, &x, NULL, 2, ids, scores), "index");
    REFUSED(cymbals_index_topk(workspace, index, &x, NULL, 2, NULL, scores), "ids");
    REFUSED(cymbals_index_topk(workspace, index, &x, NULL, 2, ids, NULL), "scores");
    other.n_cols = 1;
    REFUSED(TOPK(&other, &y, NULL, 0, NULL, 2, ids, scores), "queries->n_cols");
    REFUSED(cymbals_index_topk(workspace, index, &other, NULL, 2, ids, scores), "queries->n_cols");
    other = x, other.type = CYMBALS_FLOAT64;
    REFUSED(TOPK(&other, &y, NULL, 0, NULL, 2, ids, scores), "queries->type");
    REFUSED(cymbals_index_topk(workspace, index, &other, NULL, 2, ids, scores), "queries->type");
    skip.n_rows = 1;
    REFUSED(TOPK(&x, &y, NULL, 0, &skip, 2, ids, scores), "skip->n_rows");
    REFUSED(cymbals_index_topk(workspace, index, &x, &skip, 2, ids, scores), "skip->n_rows");
    skip = good_csr, skip.n_cols = 4;
    REFUSED(TOPK(&x, &y, NULL, 0, &skip, 2, ids, scores), "skip->n_cols");
    REFUSED(cymbals_index_topk(workspace, index, &x, &skip, 2, ids, scores), "skip->n_cols");
#undef TOPK
    cymbals_index_destroy(index);

    /* *index becomes null on failure */
    for (int i = 0; i < BAD_MATRICES; i++) {
        index = (cymbals_index *)&out;
        WHERE("index_create, bad matrix %d", i);
        CHECK_EQUAL(cymbals_index_create(workspace, bad_matrix(&y, i), NULL, 0, NULL, &index), CYMBALS_BAD_ARGUMENT);
        CHECK(index == NULL && strstr(cymbals_workspace_message(workspace), "items"));
    }
    for (int i = 0; i < 4; i++) {
        CHECK_EQUAL(cymbals_index_create(workspace, &y, outside[i], 2, NULL, &index), CYMBALS_BAD_ARGUMENT);
        CHECK(index == NULL && strstr(cymbals_workspace_message(workspace), "item_list["));
    }
    CHECK_EQUAL(cymbals_index_create(workspace, &y, list, -2, NULL, &index), CYMBALS_BAD_ARGUMENT);
    CHECK(index == NULL && strstr(cymbals_workspace_message(workspace), "n_list"));
    REFUSED(cymbals_index_create(workspace, &y, NULL, 0, NULL, NULL), "index");
}

static void test_rank_metrics(void) {
    double *to = out.numbers;
    uint8_t *covered = out.bytes + 256;
    const int64_t bad_k[2] = {1, 0};
    cymbals_matrix other = x;
    cymbals_csr shape = good_csr;
#define RANK(users, items, train, test, k, n_k, to, covered) \
    cymbals_rank_metrics(workspace, users, items, train, test, NULL, k, n_k, to, covered)
    const cymbals_csr *c = &good_csr;
    for (int i = 0; i < BAD_MATRICES; i++) {
        REFUSED(RANK(bad_matrix(&x, i), &y, c, c, ks, 2, to, covered), "users");
        REFUSED(RANK(&x, bad_matrix(&y, i), c, c, ks, 2, to, covered), "items");
    }
    for (int i = 0; i < BAD_PATTERNS; i++) REFUSED(RANK(&x, &y, bad_csr(i), c, ks, 2, to, covered), "train");
    for (int i = 0; i < BAD_CSRS; i++) REFUSED(RANK(&x, &y, c, bad_csr(i), ks, 2, to, covered), "test");
    REFUSED(RANK(&x, &y, c, c, NULL, 2, to, covered), "k");
    REFUSED(RANK(&x, &y, c, c, bad_k, 2, to, covered), "k[1] is 0");
    REFUSED(RANK(&x, &y, c, c, ks, 0, to, covered), "n_k");
    REFUSED(RANK(&x, &y, c, c, ks, -1, to, covered), "n_k");
    REFUSED(RANK(&x, &y, c, c, ks, 2, NULL, covered), "out");
    REFUSED(RANK(&x, &y, c, c, ks, 2, to, NULL), "covered");
    other.n_cols = 1;
    REFUSED(RANK(&other, &y, c, c, ks, 2, to, covered), "users->n_cols");
    other = x, other.type = CYMBALS_FLOAT64;
    REFUSED(RANK(&other, &y, c, c, ks, 2, to, covered), "users->type");
    shape.n_rows = 1;
    REFUSED(RANK(&x, &y, &shape, c, ks, 2, to, covered), "train->n_rows");
    REFUSED(RANK(&x, &y, c, &shape, ks, 2, to, covered), "test->n_rows");
    shape = good_csr, shape.n_cols = 2;
    REFUSED(RANK(&x, &y, &shape, c, ks, 2, to, covered), "train->n_cols");
    REFUSED(RANK(&x, &y, c, &shape, ks, 2, to, covered), "test->n_cols");
#undef RANK
}

static void test_files(void) {
    int64_t *counts = out.wholes + 16, *firsts = out.wholes + 32, room = 1, *numbers = out.wholes + 40;
#define NUMBERS(text, size, fields, lines, numbers, good, counts, firsts) \
    cymbals_parse_numbers(workspace, text, size, fields, lines, numbers, good, counts, firsts)
#define NAMES(text, size, lines, numbers, good, counts, firsts) \
    cymbals_parse_names(workspace, text, size, lines, numbers, good, counts, firsts)
    REFUSED(NUMBERS(NULL, 1, 1, out.wholes, NULL, NULL, NULL, NULL), "text");
    REFUSED(NUMBERS("1\n", -1, 1, out.wholes, NULL, NULL, NULL, NULL), "size");
    REFUSED(NUMBERS("1\n", 2, 0, out.wholes, NULL, NULL, NULL, NULL), "n_fields");
    REFUSED(NUMBERS("1\n", 2, 99, out.wholes, NULL, NULL, NULL, NULL), "n_fields");
    REFUSED(NUMBERS("1\n", 2, 1, NULL, NULL, NULL, NULL, NULL), "n_lines");
    REFUSED(NUMBERS("1\n", 2, 1, &room, numbers, NULL, counts, firsts), "n_good");
    REFUSED(NUMBERS("1\n", 2, 1, &room, numbers, out.wholes, NULL, firsts), "rejected");
    REFUSED(NUMBERS("1\n", 2, 1, &room, numbers, out.wholes, counts, NULL), "first_rejected");
    REFUSED(NUMBERS("1\n2\n", 4, 1, &room, numbers, out.wholes, counts, firsts), "n_lines is 1");
    REFUSED(NAMES(NULL, 1, out.wholes, NULL, NULL, NULL, NULL), "text");
    REFUSED(NAMES("1\ta\n", -1, out.wholes, NULL, NULL, NULL, NULL), "size");
    REFUSED(NAMES("1\ta\n", 4, NULL, NULL, NULL, NULL, NULL), "n_lines");
    REFUSED(NAMES("1\ta\n", 4, &room, numbers, NULL, counts, firsts), "n_good");
    REFUSED(NAMES("1\ta\n2\tb\n", 8, &room, numbers, out.wholes, counts, firsts), "n_lines is 1");
    CHECK_EQUAL(room, 1);
#undef NUMBERS
#undef NAMES

    const int64_t ids[2] = {5, 9};
    const int32_t table[5] = {0, -1, -1, -1, 1};
    REFUSED(cymbals_number_ids(workspace, -1, ids, 5, 5, out.small, out.wholes + 32), "n is -1");
    REFUSED(cymbals_number_ids(workspace, 2, NULL, 5, 5, out.small, out.wholes + 32), "ids");
    REFUSED(cymbals_number_ids(workspace, 2, ids, 5, -1, out.small, out.wholes + 32), "range");
    REFUSED(cymbals_number_ids(workspace, 2, ids, 5, INT64_MAX, out.small, out.wholes + 32), "range");
    REFUSED(cymbals_number_ids(workspace, 2, ids, 5, 5, NULL, out.wholes + 32), "table");
    REFUSED(cymbals_number_ids(workspace, 2, ids, 5, 5, out.small, NULL), "n_distinct");
    int32_t used[5]; /* after this call the table's contents are undefined */
    REFUSED(cymbals_number_ids(workspace, 2, ids, 5, 4, used, out.wholes), "ids");
    REFUSED(cymbals_number_ids(workspace, 2, ids, 6, 5, used, out.wholes), "ids");
    REFUSED(cymbals_look_up_ids(workspace, -1, ids, 5, 5, table, out.small), "n is -1");
    REFUSED(cymbals_look_up_ids(workspace, 2, NULL, 5, 5, table, out.small), "ids");
    REFUSED(cymbals_look_up_ids(workspace, 2, ids, 5, -1, table, out.small), "range");
    REFUSED(cymbals_look_up_ids(workspace, 2, ids, 5, 5, NULL, out.small), "table");
    REFUSED(cymbals_look_up_ids(workspace, 2, ids, 5, 5, table, NULL), "places");
    const int64_t codes[2] = {1, 4};
    uint8_t marks[5]; /* undefined after the last calls */
    REFUSED(cymbals_renumber(workspace, -1, codes, CYMBALS_INT64, 5, table, out.small, marks), "n is -1");
    REFUSED(cymbals_renumber(workspace, 2, codes, CYMBALS_FLOAT32, 5, table, out.small, marks), "code_type");
    REFUSED(cymbals_renumber(workspace, 2, NULL, CYMBALS_INT64, 5, table, out.small, marks), "codes");
    REFUSED(cymbals_renumber(workspace, 2, codes, CYMBALS_INT64, 5, table, NULL, marks), "places");
    REFUSED(cymbals_renumber(workspace, 2, codes, CYMBALS_INT64, -1, table, out.small, marks), "range");
    REFUSED(cymbals_renumber(workspace, 2, codes, CYMBALS_INT64, INT64_MAX, NULL, out.small, marks), "range");
    REFUSED(cymbals_renumber(workspace, 2, codes, CYMBALS_INT64, 5, table, out.small, NULL), "used");
    int32_t places[2];
    REFUSED(cymbals_renumber(workspace, 2, codes, CYMBALS_INT64, 4, table, places, marks), "codes");
    const int64_t negative[2] = {1, -1};
    REFUSED(cymbals_renumber(workspace, 2, negative, CYMBALS_INT64, 5, table, places, marks), "codes");
}

static void test_ids_in_parts(void) {
    const int64_t ids[2] = {5, 9};
    int64_t counts[5] = {0}, slots[8] = {0, -1, 0, -1, 0, -1, 0, -1}, known[2], many = 3, some = 0, done;
    int32_t codes[2];
    REFUSED(cymbals_count_ids(workspace, -1, ids, 5, 5, counts, codes), "n is -1");
    REFUSED(cymbals_count_ids(workspace, 2, NULL, 5, 5, counts, codes), "ids");
    REFUSED(cymbals_count_ids(workspace, 2, ids, 5, 5, NULL, codes), "counts");
    REFUSED(cymbals_count_ids(workspace, 2, ids, 5, 5, counts, NULL), "codes");
    REFUSED(cymbals_count_ids(workspace, 2, ids, 5, -1, counts, codes), "range");
    REFUSED(cymbals_count_ids(workspace, 2, ids, 5, INT64_MAX, counts, codes), "range");
    REFUSED(cymbals_count_ids(workspace, 2, ids, 5, 4, counts, codes), "ids");
#define CODE(n, ids, n_slots, slots, most, known, counts, n_known, codes, n_done) \
    cymbals_code_ids(workspace, n, ids, n_slots, slots, most, known, counts, n_known, codes, n_done)
    REFUSED(CODE(-1, ids, 4, slots, 2, known, counts, &some, codes, &done), "n is -1");
    REFUSED(CODE(2, NULL, 4, slots, 2, known, counts, &some, codes, &done), "ids");
    REFUSED(CODE(2, ids, 1, slots, 2, known, counts, &some, codes, &done), "n_slots");
    REFUSED(CODE(2, ids, 6, slots, 2, known, counts, &some, codes, &done), "n_slots is 6");
    REFUSED(CODE(2, ids, 4, NULL, 2, known, counts, &some, codes, &done), "slots");
    REFUSED(CODE(2, ids, 4, slots, 3, known, counts, &some, codes, &done), "most");
    REFUSED(CODE(2, ids, 4, slots, 2, NULL, counts, &some, codes, &done), "known");
    REFUSED(CODE(2, ids, 4, slots, 2, known, NULL, &some, codes, &done), "counts");
    REFUSED(CODE(2, ids, 4, slots, 2, known, counts, NULL, codes, &done), "n_known");
    REFUSED(CODE(2, ids, 4, slots, 2, known, counts, &many, codes, &done), "n_known is 3");
    REFUSED(CODE(2, ids, 4, slots, 2, known, counts, &some, NULL, &done), "codes");
    REFUSED(CODE(2, ids, 4, slots, 2, known, counts, &some, codes, NULL), "n_done");
#undef CODE
}

static void test_texts_in_parts(void) {
    const int64_t offsets[3] = {0, 1, 2}, falling[3] = {0, 2, 1};
    int64_t counts[2], slots[8] = {0, -1, 0, -1, 0, -1, 0, -1}, known_offsets[3] = {0}, many = 3, some = 0, done;
    int32_t codes[2];
    char known[2];
#define CODE(n, offsets, text, n_slots, slots, most, most_bytes, known_offsets, known, counts, n_known, codes, n_done) \
    cymbals_code_texts(workspace, n, offsets, text, n_slots, slots, most, most_bytes, known_offsets, known, counts,    \
                       n_known, codes, n_done)
    REFUSED(CODE(-1, offsets, "ab", 4, slots, 2, 2, known_offsets, known, counts, &some, codes, &done), "n is -1");
    REFUSED(CODE(2, NULL, "ab", 4, slots, 2, 2, known_offsets, known, counts, &some, codes, &done), "offsets");
    REFUSED(CODE(2, falling, "ab", 4, slots, 2, 2, known_offsets, known, counts, &some, codes, &done), "offsets");
    REFUSED(CODE(2, offsets, NULL, 4, slots, 2, 2, known_offsets, known, counts, &some, codes, &done), "text");
    REFUSED(CODE(2, offsets, "ab", 6, slots, 2, 2, known_offsets, known, counts, &some, codes, &done), "n_slots is 6");
    REFUSED(CODE(2, offsets, "ab", 0, slots, 2, 2, known_offsets, known, counts, &some, codes, &done), "n_slots");
    REFUSED(CODE(2, offsets, "ab", 4, NULL, 2, 2, known_offsets, known, counts, &some, codes, &done), "slots");
    REFUSED(CODE(2, offsets, "ab", 4, slots, 3, 2, known_offsets, known, counts, &some, codes, &done), "most");
    REFUSED(CODE(2, offsets, "ab", 4, slots, 2, -1, known_offsets, known, counts, &some, codes, &done), "most_bytes");
    REFUSED(CODE(2, offsets, "ab", 4, slots, 2, 2, NULL, known, counts, &some, codes, &done), "known_offsets");
    REFUSED(CODE(2, offsets, "ab", 4, slots, 2, 2, known_offsets, NULL, counts, &some, codes, &done), "known");
    REFUSED(CODE(2, offsets, "ab", 4, slots, 2, 2, known_offsets, known, NULL, &some, codes, &done), "counts");
    REFUSED(CODE(2, offsets, "ab", 4, slots, 2, 2, known_offsets, known, counts, NULL, codes, &done), "n_known");
    REFUSED(CODE(2, offsets, "ab", 4, slots, 2, 2, known_offsets, known, counts, &many, codes, &done), "n_known is 3");
    REFUSED(CODE(2, offsets, "ab", 4, slots, 2, 2, known_offsets, known, counts, &some, NULL, &done), "codes");
    REFUSED(CODE(2, offsets, "ab", 4, slots, 2, 2, known_offsets, known, counts, &some, codes, NULL), "n_done");
#undef CODE
}

static void test_groups(void) {
    const int32_t rows[2] = {1, 4}, table[5] = {0, 0, 0, 0, 2}, four[1] = {4}, three[1] = {3};
    int64_t begins[3];
    int32_t moved[2];
    const void *from[1] = {rows}, *none[1] = {NULL};
    void *to[1] = {moved}, *nowhere[1] = {NULL};
#define GROUP(n, rows, shift, first, n_rows, table, n_groups, begins, n_fields, from, to, bytes) \
    cymbals_group(workspace, n, rows, shift, first, n_rows, table, n_groups, begins, n_fields, from, to, bytes)
    REFUSED(GROUP(-1, rows, 2, 0, 0, NULL, 2, begins, 1, from, to, four), "n is -1");
    REFUSED(GROUP(2, NULL, 2, 0, 0, NULL, 2, begins, 1, from, to, four), "rows");
    REFUSED(GROUP(2, rows, 32, 0, 0, NULL, 2, begins, 1, from, to, four), "shift");
    REFUSED(GROUP(2, rows, 2, 0, -1, NULL, 2, begins, 1, from, to, four), "n_rows");
    REFUSED(GROUP(2, rows, 2, 0, 0, NULL, -1, begins, 1, from, to, four), "n_groups");
    REFUSED(GROUP(2, rows, 2, 0, 0, NULL, 2, NULL, 1, from, to, four), "begins");
    REFUSED(GROUP(2, rows, 2, 0, 0, NULL, 2, begins, 5, from, to, four), "n_fields");
    REFUSED(GROUP(2, rows, 2, 0, 0, NULL, 2, begins, 1, NULL, to, four), "fields");
    REFUSED(GROUP(2, rows, 2, 0, 0, NULL, 2, begins, 1, from, NULL, four), "grouped");
    REFUSED(GROUP(2, rows, 2, 0, 0, NULL, 2, begins, 1, from, to, NULL), "bytes");
    REFUSED(GROUP(2, rows, 2, 0, 0, NULL, 2, begins, 1, from, to, three), "bytes[0] is 3");
    REFUSED(GROUP(2, rows, 2, 0, 0, NULL, 2, begins, 1, none, to, four), "fields[0]");
    REFUSED(GROUP(2, rows, 2, 0, 0, NULL, 2, begins, 1, from, nowhere, four), "grouped[0]");
    REFUSED(GROUP(2, rows, 2, 0, 0, NULL, 1, begins, 1, from, to, four), "rows");
    REFUSED(GROUP(2, rows, 2, 1, 0, NULL, 2, begins, 1, from, to, four), "rows");
    REFUSED(GROUP(2, rows, 0, 0, 4, table, 3, begins, 1, from, to, four), "rows");
    REFUSED(GROUP(2, rows, 0, 0, 5, table, 2, begins, 1, from, to, four), "rows");
#undef GROUP
}

static void test_profiles(void) {
    const cymbals_span *spans;
    const cymbals_row_class *classes;
    int64_t n;
    REFUSED(cymbals_measure_peaks(workspace, NULL), "peaks");
    REFUSED(cymbals_measure_peaks(workspace, (cymbals_peaks *)(void *)&too_small), "peaks");
    REFUSED(cymbals_workspace_spans(workspace, NULL, &n, NULL), "spans");
    REFUSED(cymbals_workspace_spans(workspace, &spans, NULL, NULL), "n is null");
    REFUSED(cymbals_workspace_row_classes(workspace, NULL, &n), "classes");
    REFUSED(cymbals_workspace_row_classes(workspace, &classes, NULL), "n is null");
}

/* Passes null as the workspace to all functions that refuse it. */
static void test_no_workspace(void) {
    cymbals_matrix m = x;
    int64_t *w = out.wholes;
    const cymbals_objective *o = &good_objective;
    const cymbals_solve_options *s = &good_options;
    const cymbals_csr *c = &good_csr;
    const cymbals_span *spans;
    const cymbals_row_class *classes;
    cymbals_workspace *const used = workspace;
    workspace = NULL;
    REFUSED(cymbals_gram(NULL, &x, out.numbers), "workspace");
    REFUSED(cymbals_gram_parts(NULL, &x, 0, list, out.numbers), "workspace");
    REFUSED(cymbals_draw_normal(NULL, 0, 0, 0, 1, &m), "workspace");
    REFUSED(cymbals_basis(NULL, 2, spectrum, spectrum, 1, out.numbers, out.numbers), "workspace");
    REFUSED(cymbals_rotate(NULL, &m, spectrum), "workspace");
    REFUSED(cymbals_half_step(NULL, c, o, &y, spectrum, &m, s, &out.info), "workspace");
    REFUSED(cymbals_half_step_bytes(NULL, c, &y, s, w), "workspace");
    REFUSED(cymbals_solve_row(NULL, 0, NULL, 2, NULL, 0, o, &y, spectrum, w, s, &out.info), "workspace");
    REFUSED(cymbals_loss(NULL, c, o, &x, &y, out.numbers), "workspace");
    REFUSED(cymbals_transpose(NULL, c, w, out.small, CYMBALS_INT32, out.small), "workspace");
    REFUSED(cymbals_from_triplets(NULL, 0, NULL, NULL, 2, NULL, 0, 0, 0, w, NULL, NULL), "workspace");
    REFUSED(cymbals_check_csr(NULL, c, 3, &out.report), "workspace");
    REFUSED(cymbals_topk(NULL, &x, &y, NULL, 0, NULL, NULL, 1, w, w), "workspace");
    CHECK_EQUAL(cymbals_index_create(NULL, &y, NULL, 0, NULL, &out.index), CYMBALS_BAD_ARGUMENT);
    CHECK(out.index == NULL);
    REFUSED(cymbals_index_topk(NULL, NULL, &x, NULL, 1, w, w), "workspace");
    REFUSED(cymbals_rank_metrics(NULL, &x, &y, c, c, NULL, ks, 2, out.numbers, out.bytes), "workspace");
    REFUSED(cymbals_parse_numbers(NULL, "", 0, 1, w, NULL, NULL, NULL, NULL), "workspace");
    REFUSED(cymbals_parse_names(NULL, "", 0, w, NULL, NULL, NULL, NULL), "workspace");
    REFUSED(cymbals_number_ids(NULL, 0, NULL, 0, 0, NULL, w), "workspace");
    REFUSED(cymbals_look_up_ids(NULL, 0, NULL, 0, 0, NULL, NULL), "workspace");
    REFUSED(cymbals_renumber(NULL, 0, NULL, CYMBALS_INT32, 0, NULL, NULL, NULL), "workspace");
    REFUSED(cymbals_merge_rows(NULL, c, 3, NULL, 0, NULL, w, NULL, NULL), "workspace");
    REFUSED(cymbals_count_ids(NULL, 0, NULL, 0, 0, NULL, NULL), "workspace");
    REFUSED(cymbals_code_ids(NULL, 0, NULL, 2, w, 0, NULL, NULL, w, NULL, w), "workspace");
    REFUSED(cymbals_code_texts(NULL, 0, w, NULL, 2, w, 0, 0, w, NULL, NULL, w, NULL, w), "workspace");
    REFUSED(cymbals_group(NULL, 0, NULL, 0, 0, 0, NULL, 0, w, 0, NULL, NULL, NULL), "workspace");
    REFUSED(cymbals_measure_peaks(NULL, NULL), "workspace");
    REFUSED(cymbals_workspace_spans(NULL, &spans, w, w), "workspace");
    REFUSED(cymbals_workspace_row_classes(NULL, &classes, w), "workspace");
    cymbals_workspace_forget(NULL);
    workspace = used;
}

int main(void) {
    workspace = make_workspace(2);
    test_dense();
    test_half_step();
    test_solve_row();
    test_loss();
    test_sparse();
    test_search();
    test_rank_metrics();
    test_files();
    test_ids_in_parts();
    test_texts_in_parts();
    test_groups();
    test_profiles();
    test_no_workspace();
    cymbals_workspace_destroy(workspace);
    return finish();
}
