/* cymbals_topk and an index against scores computed one by one, cymbals_rank_metrics against metrics worked out by
 * hand. */
#include <cymbals/cymbals.h>

#include "check.h"
#include "problem.h"

typedef struct {
    cymbals_matrix queries, items;
    const int64_t *list;
    int64_t n_list;
    const void *scale;
    const cymbals_csr *skip;
    int64_t k;
} search;

/* Small whole numbers, so that scores are exact in either type and many are equal. */
static void make_whole(cymbals_matrix *m) {
    for (int64_t i = 0; i < m->n_rows; i++)
        for (int64_t j = 0; j < m->n_cols; j++)
            set_real(m->data, m->type, i * m->stride + j, floor(3 * element(m, i, j)));
}

/* The k best of a query: the best of all, then the best of the others, and so on. */
static void check_brute_force(const search *s, const int64_t *ids, const void *scores) {
    const int64_t n = s->items.n_rows;
    double *score = allocate(n, sizeof *score); /* NaN for items that do not count */
    for (int64_t q = 0; q < s->queries.n_rows; q++) {
        for (int64_t i = 0; i < n; i++) score[i] = s->list ? NAN : 0;
        for (int64_t i = 0; s->list && i < s->n_list; i++) score[s->list[i]] = 0;
        for (int64_t i = s->skip ? s->skip->indptr[q] : 0; s->skip && i < s->skip->indptr[q + 1]; i++)
            score[whole(s->skip->indices, s->skip->index_type, i)] = NAN;
        for (int64_t i = 0; i < n; i++) {
            for (int64_t j = 0; j < s->items.n_cols; j++)
                score[i] += element(&s->queries, q, j) * element(&s->items, i, j);
            if (s->scale) score[i] *= real(s->scale, s->items.type, i);
        }
        for (int64_t place = q * s->k; place < (q + 1) * s->k; place++) {
            int64_t best = -1;
            for (int64_t i = 0; i < n; i++)
                if (!isnan(score[i]) && (best < 0 || score[i] > score[best])) best = i;
            CHECK_EQUAL(ids[place], best);
            CHECK(real(scores, s->items.type, place) == (best < 0 ? -INFINITY : score[best]));
            if (best >= 0) score[best] = NAN;
        }
    }
    free(score);
}

static void test_search(cymbals_workspace *workspace, const search *s, int brute_force) {
    const int64_t n = s->queries.n_rows * s->k;
    const size_t size = size_of(s->items.type);
    int64_t *ids = allocate(n, sizeof *ids), *same_ids = allocate(n, sizeof *ids);
    void *scores = allocate(n, size), *same_scores = allocate(n, size);
    cymbals_index *index = NULL;
    CHECK_OK(cymbals_topk(workspace, &s->queries, &s->items, s->list, s->n_list, s->scale, s->skip, s->k, ids, scores));
    CHECK_OK(cymbals_index_create(workspace, &s->items, s->list, s->n_list, s->scale, &index));
    CHECK(cymbals_index_bytes(index) > 0);
    CHECK_OK(cymbals_index_topk(workspace, index, &s->queries, s->skip, s->k, same_ids, same_scores));
    CHECK_SAME(ids, same_ids, (size_t)n * sizeof *ids);
    CHECK_SAME(scores, same_scores, (size_t)n * size);
    if (brute_force) check_brute_force(s, ids, scores);
    cymbals_index_destroy(index);
    free(ids), free(same_ids), free(scores), free(same_scores);
}

/* All ways to search n_items with n_queries, with ties; and the plain search without ties. */
static void test_searches(cymbals_workspace *workspace, int64_t n_queries, int64_t n_items, int64_t f, int64_t k,
                          int32_t type, int32_t index_type) {
    WHERE("%lld queries, %lld items, f %lld, k %lld, types %d %d", (long long)n_queries, (long long)n_items,
          (long long)f, (long long)k, (int)type, (int)index_type);
    search s = {.queries = random_matrix(n_queries, f, f + 3, type, 1, 10),
                .items = random_matrix(n_items, f, f + 5, type, 1, 11),
                .k = k};
    cymbals_csr skip = random_csr(n_queries, n_items, 0.1, index_type, CYMBALS_FLOAT32, 12);
    int64_t *list = allocate(n_items, sizeof *list), n_list = 0;
    void *scale = allocate(n_items, size_of(type));
    for (int64_t i = 0; i < n_items; i++) {
        if (i % 7 != 2) list[n_list++] = i;
        set_real(scale, type, i, (double)(1 + i % 4) / 2);
    }
    test_search(workspace, &s, 0);
    make_whole(&s.queries), make_whole(&s.items);
    for (int choice = 0; choice < 8; choice++) {
        s.list = choice & 1 ? list : NULL, s.n_list = choice & 1 ? n_list : 0;
        s.scale = choice & 2 ? scale : NULL;
        s.skip = choice & 4 ? &skip : NULL;
        test_search(workspace, &s, 1);
    }
    free(s.queries.data), free(s.items.data), free(list), free(scale);
    free_csr(&skip);
}

/* An index made with one instruction set serves workspaces of the others. */
static void test_index_of_another_set(void) {
    const cymbals_matrix queries = random_matrix(5, 20, 20, CYMBALS_FLOAT32, 1, 13);
    const cymbals_matrix items = random_matrix(3000, 20, 20, CYMBALS_FLOAT32, 1, 14);
    for (int32_t made = CYMBALS_BASELINE; made <= CYMBALS_AVX512; made++)
        for (int32_t used = CYMBALS_BASELINE; used <= CYMBALS_AVX512; used++) {
            WHERE("index of set %d, used with %d", (int)made, (int)used);
            cymbals_workspace_options options = CYMBALS_WORKSPACE_OPTIONS_INIT;
            cymbals_workspace *maker, *workspace = NULL;
            cymbals_index *index;
            int64_t ids[50], same_ids[50];
            float scores[50], same_scores[50];
            options.simd = made;
            if (cymbals_workspace_create(&options, &maker) != CYMBALS_OK) continue; /* not on this machine */
            options.simd = used;
            if (cymbals_workspace_create(&options, &workspace) == CYMBALS_OK) {
                CHECK_EQUAL(cymbals_index_create(maker, &items, NULL, 0, NULL, &index), CYMBALS_OK);
                CHECK_OK(cymbals_topk(workspace, &queries, &items, NULL, 0, NULL, NULL, 10, ids, scores));
                CHECK_OK(cymbals_index_topk(workspace, index, &queries, NULL, 10, same_ids, same_scores));
                CHECK_SAME(ids, same_ids, sizeof ids);
                CHECK_SAME(scores, same_scores, sizeof scores);
                cymbals_index_destroy(index);
            }
            cymbals_workspace_destroy(workspace);
            cymbals_workspace_destroy(maker);
        }
    free(queries.data), free(items.data);
}

/* Three users and six items whose ranking is worked out by hand. */
static void test_rank_metrics(cymbals_workspace *workspace, int32_t type, int32_t index_type) {
    WHERE("rank_metrics, types %d %d", (int)type, (int)index_type);
    cymbals_matrix users = random_matrix(3, 1, 2, type, 1, 15), items = random_matrix(6, 1, 3, type, 1, 16);
    for (int64_t u = 0; u < 3; u++) set_real(users.data, type, 2 * u, u == 1 ? -1 : 1);
    for (int64_t i = 0; i < 6; i++) set_real(items.data, type, 3 * i, (double)(6 - i)); /* user 0 ranks 0, 1, 2 .. */
    const int64_t train_indptr[] = {0, 1, 1, 2}, test_indptr[] = {0, 3, 5, 6}, k[] = {1, 3, 100};
    const int64_t in_train[] = {0, 4}, in_test[] = {0, 2, 4, 1, 4, 4};
    /* Test has an entry that is also in train (user 0, item 0), an entry with value 0 (user 1, item 1), and a user
     * without positives (user 2, whose only entry is also in train). */
    const double kept[] = {1, 1, 1, 0, 1, 1};
    void *train_indices = allocate(2, size_of(index_type)), *test_indices = allocate(6, size_of(index_type));
    void *values = allocate(6, size_of(type));
    for (int64_t i = 0; i < 2; i++) set_whole(train_indices, index_type, i, in_train[i]);
    for (int64_t i = 0; i < 6; i++)
        set_whole(test_indices, index_type, i, in_test[i]), set_real(values, type, i, kept[i]);
    const cymbals_csr train = {sizeof train, 3, 6, train_indptr, train_indices, index_type, NULL, 0};
    const cymbals_csr test = {sizeof test, 3, 6, test_indptr, test_indices, index_type, values, type};
    const double novelty[] = {0, 1, 2, 3, 4, 5};
    double out[3][17];
    uint8_t covered[3][6] = {{0}};
    CHECK_OK(cymbals_rank_metrics(workspace, &users, &items, &train, &test, novelty, k, 3, &out[0][0], &covered[0][0]));
    /* user 0: candidates 1 2 3 4 5, positives 2 and 4, at ranks 2 and 4 */
    const double ideal = 1 + 1 / log2(3), gain = 1 / log2(3) + 1 / log2(5);
    const double first[17] = {
        3.0 / 6,         1.0 / 2,      0, 0, 0, 0, 1, 1.0 / 3, 1.0 / 2, 0.25, 1 / log2(3) / ideal, 2, 0.02, 1,
        (0.5 + 0.5) / 2, gain / ideal, 3};
    /* user 1: candidates 5 4 3 2 1 0, positive 4, at rank 2 */
    const double second[17] = {4.0 / 5, 1.0 / 2,     0, 0,    0, 0,   5,           1.0 / 3, 1,
                               0.5,     1 / log2(3), 4, 0.01, 1, 0.5, 1 / log2(3), 2.5};
    for (int i = 0; i < 17; i++) {
        CHECK_NEAR(out[0][i], first[i], 1e-15);
        CHECK_NEAR(out[1][i], second[i], 1e-15);
        CHECK(isnan(out[2][i]));
    }
    const uint8_t top_1[6] = {0, 1, 0, 0, 0, 1}, top_3[6] = {0, 1, 1, 1, 1, 1}, all[6] = {1, 1, 1, 1, 1, 1};
    CHECK_SAME(covered[0], top_1, 6);
    CHECK_SAME(covered[1], top_3, 6);
    CHECK_SAME(covered[2], all, 6);

    CHECK_OK(cymbals_rank_metrics(workspace, &users, &items, &train, &test, NULL, k, 3, &out[0][0], &covered[0][0]));
    for (int i = 0; i < 17; i++) /* every fifth of the figures is a novelty, which is NaN without item_novelty */
        if (i > 1 && (i - 2) % 5 == 4)
            CHECK(isnan(out[0][i]));
        else
            CHECK_NEAR(out[0][i], first[i], 1e-15);

    users.n_rows = 0;
    const cymbals_csr nobody = {sizeof nobody, 0, 6, train_indptr, NULL, index_type, NULL, CYMBALS_FLOAT32};
    CHECK_OK(cymbals_rank_metrics(workspace, &users, &items, &nobody, &nobody, NULL, k, 3, &out[0][0], &covered[0][0]));
    free(users.data), free(items.data), free(train_indices), free(test_indices), free(values);
}

int main(void) {
    cymbals_workspace *workspace = make_workspace(2);
    for (int t = 0; t < 2; t++)
        for (int i = 0; i < 2; i++) {
            test_searches(workspace, 9, 30, 5, 4, float_types[t], index_types[i]);
            test_searches(workspace, 9, 30, 5, 40, float_types[t],
                          index_types[i]); /* k is larger than the number of items */
            test_searches(workspace, 0, 30, 5, 4, float_types[t], index_types[i]);
            test_searches(workspace, 9, 0, 5, 4, float_types[t], index_types[i]);
            test_searches(workspace, 4, 3000, 17, 70, float_types[t],
                          index_types[i]); /* so many items that the index screens them (screen.h) */
            test_rank_metrics(workspace, float_types[t], index_types[i]);
        }
    test_searches(workspace, 300, 2500, 16, 3, CYMBALS_FLOAT32,
                  CYMBALS_INT32); /* so many queries that topk screens, too */
    test_index_of_another_set();
    cymbals_workspace_destroy(workspace);
    return finish();
}
