/* threads [callers] [OpenMP threads of each] [rounds]: callers fit and search at the same time. Each has its own
 * workspace; all inputs are shared, an index among them. Each must get what a single caller gets, bit for bit. */
#include <cymbals/cymbals.h>
#include <pthread.h>

#include "check.h"
#include "reference.h"

enum { USERS = 400, ITEMS = 2200, RANK = 16, K = 10, HALF_STEPS = 4, N_K = 2, ENTRIES = 30000 };

/* Shared by all callers, which only read them. */
static cymbals_csr by_user, by_item, held_out;
static cymbals_matrix start_x, start_y;
static cymbals_index *shared_index;
static double novelty[ITEMS];
static int32_t n_threads = 1;

typedef struct {
    float x[USERS * RANK], y[ITEMS * RANK], scores[USERS * K], index_scores[USERS * K], row[RANK];
    int64_t ids[USERS * K], index_ids[USERS * K];
    double metrics[USERS * (2 + 5 * N_K)], loss;
    int64_t t_indptr[ITEMS + 1];
    int32_t t_indices[ENTRIES];
    float t_values[ENTRIES];
    uint8_t covered[N_K * ITEMS];
} results;

/* Runs one half-step, after rotating both sides to the basis of the fixed side. Returns 0 on success. */
static int half_step(cymbals_workspace *workspace, const cymbals_csr *rows, cymbals_matrix *fixed,
                     cymbals_matrix *solved, double *spectrum) {
    const cymbals_objective hu = {sizeof hu, CYMBALS_HU, CYMBALS_LOG, 1, 1, 1};
    cymbals_solve_options options = CYMBALS_SOLVE_OPTIONS_INIT;
    double gram[RANK * RANK], values[RANK], vectors[RANK * RANK], basis[RANK * RANK];
    cymbals_solve_info info;
    options.reg = 0.1;
    int status = cymbals_gram(workspace, fixed, gram);
    jacobi(gram, RANK, values, vectors);
    status |= cymbals_basis(workspace, RANK, values, vectors, 1, spectrum, basis);
    status |= cymbals_rotate(workspace, fixed, basis);
    status |= cymbals_rotate(workspace, solved, basis);
    return status | cymbals_half_step(workspace, rows, &hu, fixed, spectrum, solved, &options, &info);
}

/* Returns 0 on success. It makes no checks itself, because only one thread may count checks. */
static int work(cymbals_workspace *workspace, results *r) {
    const int64_t ks[N_K] = {5, K}, begin = by_user.indptr[7];
    const cymbals_objective hu = {sizeof hu, CYMBALS_HU, CYMBALS_LOG, 1, 1, 1};
    const cymbals_solve_options options = CYMBALS_SOLVE_OPTIONS_INIT;
    cymbals_matrix x = {sizeof x, memcpy(r->x, start_x.data, sizeof r->x), USERS, RANK, RANK, CYMBALS_FLOAT32};
    cymbals_matrix y = {sizeof y, memcpy(r->y, start_y.data, sizeof r->y), ITEMS, RANK, RANK, CYMBALS_FLOAT32};
    double spectrum[RANK];
    cymbals_solve_info info;
    int status = 0;
    for (int i = 0; i < HALF_STEPS; i += 2) {
        status |= half_step(workspace, &by_item, &x, &y, spectrum);
        status |= half_step(workspace, &by_user, &y, &x, spectrum);
    }
    memset(r->row, 0, sizeof r->row);
    status |= cymbals_solve_row(workspace, by_user.indptr[8] - begin, (const int32_t *)by_user.indices + begin,
                                CYMBALS_INT32, (const float *)by_user.values + begin, CYMBALS_FLOAT32, &hu, &y,
                                spectrum, r->row, &options, &info);
    status |= cymbals_loss(workspace, &by_user, &hu, &x, &y, &r->loss);
    status |= cymbals_topk(workspace, &x, &y, NULL, 0, NULL, &by_user, K, r->ids, r->scores);
    status |= cymbals_index_topk(workspace, shared_index, &x, &by_user, K, r->index_ids, r->index_scores);
    memset(r->covered, 0, sizeof r->covered);
    status |= cymbals_rank_metrics(workspace, &x, &y, &by_user, &held_out, novelty, ks, N_K, r->metrics, r->covered);
    return status | cymbals_transpose(workspace, &by_user, r->t_indptr, r->t_indices, CYMBALS_INT32, r->t_values);
}

/* Compares part by part, since not all of `results` is written. */
static int same(const results *a, const results *b) {
    const size_t n = (size_t)by_user.indptr[USERS];
    return memcmp(a->x, b->x, sizeof a->x) == 0 && memcmp(a->y, b->y, sizeof a->y) == 0 &&
           memcmp(a->row, b->row, sizeof a->row) == 0 && memcmp(&a->loss, &b->loss, sizeof a->loss) == 0 &&
           memcmp(a->ids, b->ids, sizeof a->ids) == 0 && memcmp(a->scores, b->scores, sizeof a->scores) == 0 &&
           memcmp(a->index_ids, b->index_ids, sizeof a->index_ids) == 0 &&
           memcmp(a->index_scores, b->index_scores, sizeof a->index_scores) == 0 &&
           memcmp(a->metrics, b->metrics, sizeof a->metrics) == 0 &&
           memcmp(a->covered, b->covered, sizeof a->covered) == 0 &&
           memcmp(a->t_indptr, b->t_indptr, sizeof a->t_indptr) == 0 &&
           memcmp(a->t_indices, b->t_indices, n * sizeof *a->t_indices) == 0 &&
           memcmp(a->t_values, b->t_values, n * sizeof *a->t_values) == 0;
}

typedef struct {
    const results *wanted;
    int rounds, right;
} caller;

static void *run(void *argument) {
    caller *c = argument;
    results *r = allocate(1, sizeof *r);
    cymbals_workspace *workspace = make_workspace(n_threads);
    for (int round = 0; round < c->rounds; round++) {
        c->right += work(workspace, r) == 0 && same(r, c->wanted);
    }
    cymbals_workspace_destroy(workspace);
    free(r);
    return NULL;
}

int main(int argc, char **argv) {
    enum { MOST_CALLERS = 256 };
    const int callers = argc > 1 ? atoi(argv[1]) : 8, rounds = argc > 3 ? atoi(argv[3]) : 2;
    n_threads = argc > 2 ? atoi(argv[2]) : 1;
    if (callers < 1 || callers > MOST_CALLERS || n_threads < 1 || rounds < 1) return 2;

    cymbals_workspace *workspace = make_workspace(1);
    cymbals_matrix items = random_matrix(ITEMS, RANK, RANK, CYMBALS_FLOAT32, 1, 50);
    by_user = random_csr(USERS, ITEMS, 0.02, CYMBALS_INT32, CYMBALS_FLOAT32, 51);
    held_out = random_csr(USERS, ITEMS, 0.01, CYMBALS_INT32, CYMBALS_FLOAT32, 52);
    start_x = random_matrix(USERS, RANK, RANK, CYMBALS_FLOAT32, 0.1, 53);
    start_y = random_matrix(ITEMS, RANK, RANK, CYMBALS_FLOAT32, 0.1, 54);
    const int64_t n = by_user.indptr[USERS];
    if (n > ENTRIES) return 2;
    for (int i = 0; i < ITEMS; i++) novelty[i] = i;
    int64_t *indptr = allocate(ITEMS + 1, sizeof *indptr);
    int32_t *indices = allocate(n, sizeof *indices);
    float *values = allocate(n, sizeof *values);
    CHECK_OK(cymbals_transpose(workspace, &by_user, indptr, indices, CYMBALS_INT32, values));
    by_item = (cymbals_csr){sizeof by_item, ITEMS, USERS, indptr, indices, CYMBALS_INT32, values, CYMBALS_FLOAT32};
    CHECK_OK(cymbals_index_create(workspace, &items, NULL, 0, NULL, &shared_index));
    results *alone = allocate(1, sizeof *alone);
    CHECK_EQUAL(work(workspace, alone), 0);
    CHECK(isfinite(alone->loss) && alone->ids[0] >= 0);

    pthread_t threads[MOST_CALLERS];
    caller all[MOST_CALLERS];
    for (int i = 0; i < callers; i++) {
        all[i] = (caller){alone, rounds, 0};
        if (pthread_create(&threads[i], NULL, run, &all[i]) != 0) abort();
    }
    for (int i = 0; i < callers; i++) {
        pthread_join(threads[i], NULL);
        WHERE("caller %d", i);
        CHECK_EQUAL(all[i].right, rounds);
    }
    cymbals_index_destroy(shared_index);
    cymbals_workspace_destroy(workspace);
    free_csr(&by_user), free_csr(&by_item), free_csr(&held_out);
    free(items.data), free(start_x.data), free(start_y.data), free(alone);
    return finish();
}
