/* cymbals_gram, cymbals_basis and cymbals_rotate against dense products in float64; the rows of cymbals_draw_normal. */
#include <cymbals/cymbals.h>

#include "check.h"
#include "reference.h"

static void test_gram(cymbals_workspace *workspace, int64_t n, int64_t f, int64_t stride, int32_t type) {
    WHERE("gram %lld x %lld, stride %lld, type %d", (long long)n, (long long)f, (long long)stride, (int)type);
    cymbals_matrix m = random_matrix(n, f, stride, type, 1, 1);
    double *gram = allocate(f * f, sizeof *gram), *wanted = reference_gram(&m);
    CHECK_OK(cymbals_gram(workspace, &m, gram));
    for (int64_t i = 0; i < f * f; i++)
        CHECK_NEAR(gram[i], wanted[i], (type == CYMBALS_FLOAT32 ? 1e-5 : 1e-13) * (double)(n + 1));
    free(m.data), free(gram), free(wanted);
}

/* The sums of two parts add up to the Gramian, bit for bit. */
static void test_gram_parts(cymbals_workspace *workspace, int32_t type) {
    enum { N = 5000, F = 11 };
    int64_t n = 0, count = 0, begins[65];
    CHECK_EQUAL(cymbals_gram_segments(N, F, &n, begins), CYMBALS_OK);
    CHECK_EQUAL(cymbals_gram_segments(N, F, &count, NULL), CYMBALS_OK);
    CHECK_EQUAL(n, count);
    CHECK(n > 2 && begins[0] == 0 && begins[n] == N);
    cymbals_matrix m = random_matrix(N, F, F, type, 1, 6), part = m;
    double gram[F * F], total[F * F] = {0}, *sums = allocate(n * F * F, sizeof *sums);
    CHECK_OK(cymbals_gram(workspace, &m, gram));
    part.n_rows = begins[2];
    CHECK_OK(cymbals_gram_parts(workspace, &part, 2, begins, sums));
    part.data = (char *)m.data + begins[2] * F * (int64_t)size_of(type), part.n_rows = N - begins[2];
    CHECK_OK(cymbals_gram_parts(workspace, &part, n - 2, begins + 2, sums + 2 * F * F));
    for (int64_t s = 0; s < n; s++)
        for (int64_t i = 0; i < F * F; i++) total[i] += sums[s * F * F + i];
    CHECK_SAME(total, gram, sizeof gram);
    free(m.data), free(sums);
}

/* Signs and order of a known decomposition; eigenvalues below 0, which are rounding errors, become 0. */
static void test_basis(cymbals_workspace *workspace) {
    WHERE("basis");
    const double values[] = {-1e-18, 2, 5}, vectors[] = {0, 0, -1, 0.6, -0.8, 0, 0.8, 0.6, 0};
    const double wanted[] = {0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1};
    double spectrum[3], basis[9];
    CHECK_OK(cymbals_basis(workspace, 3, values, vectors, 0.5, spectrum, basis));
    CHECK_NEAR(spectrum[0], 2.5, 0);
    CHECK_NEAR(spectrum[1], 1, 0);
    CHECK_NEAR(spectrum[2], 0, 0);
    for (int i = 0; i < 9; i++) CHECK_NEAR(basis[i], wanted[i], 0);

    const double infinite[] = {0, 1, INFINITY};
    CHECK_EQUAL(cymbals_basis(workspace, 3, infinite, vectors, 0.5, spectrum, basis), CYMBALS_BAD_VALUE);
}

/* After a rotation to the basis of its Gramian, a matrix has a diagonal Gramian: the spectrum. */
static void test_rotate(cymbals_workspace *workspace, int64_t n, int64_t f, int64_t stride, int32_t type) {
    WHERE("rotate %lld x %lld, stride %lld, type %d", (long long)n, (long long)f, (long long)stride, (int)type);
    const double near = type == CYMBALS_FLOAT32 ? 1e-5 : 1e-12;
    cymbals_matrix m = random_matrix(n, f, stride, type, 1, 2), before = copy_matrix(&m);
    double *gram = reference_gram(&m), *values = allocate(f, sizeof *values);
    double *vectors = allocate(f * f, sizeof *vectors), *basis = allocate(f * f, sizeof *basis);
    double *spectrum = allocate(f, sizeof *spectrum);
    jacobi(gram, f, values, vectors);
    CHECK_OK(cymbals_basis(workspace, f, values, vectors, 1, spectrum, basis));
    CHECK_OK(cymbals_rotate(workspace, &m, basis));
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < f; j++) {
            double wanted = 0;
            for (int64_t k = 0; k < f; k++) wanted += element(&before, i, k) * basis[k * f + j];
            CHECK_NEAR(element(&m, i, j), wanted, near);
        }
        for (int64_t j = f; j < stride; j++) CHECK(isnan(element(&m, i, j)));
    }
    free(gram), gram = reference_gram(&m);
    for (int64_t i = 0; i < f * f; i++)
        CHECK_NEAR(gram[i], i % (f + 1) == 0 ? spectrum[i / f] : 0, 10 * near * (double)(n + 1));
    free(m.data), free(before.data), free(gram), free(values), free(vectors), free(basis), free(spectrum);
}

/* A part of the rows is the same as in the whole matrix, bit for bit; memory between rows is not written. */
static void test_draw_normal(cymbals_workspace *workspace, int64_t f, int64_t stride, int32_t type) {
    WHERE("draw_normal, rank %lld, stride %lld, type %d", (long long)f, (long long)stride, (int)type);
    const int64_t n = 700, begin = 311, far = (int64_t)1 << 40;
    cymbals_matrix whole = random_matrix(n, f, stride, type, 1, 3), part = random_matrix(n - begin, f, f, type, 1, 4);
    cymbals_matrix other = random_matrix(n - begin, f, f, type, 1, 5);
    CHECK_OK(cymbals_draw_normal(workspace, 0x123456789abcdef0u, 1, far, 0.5, &whole));
    CHECK_OK(cymbals_draw_normal(workspace, 0x123456789abcdef0u, 1, far + begin, 0.5, &part));
    CHECK_OK(cymbals_draw_normal(workspace, 0x123456789abcdef0u, 0, far + begin, 0.5, &other));
    double square = 0;
    int64_t equal = 0;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < f; j++) square += element(&whole, i, j) * element(&whole, i, j);
        for (int64_t j = f; j < stride; j++) CHECK(isnan(element(&whole, i, j)));
        for (int64_t j = 0; j < f && i >= begin; j++) {
            CHECK_NEAR(element(&part, i - begin, j), element(&whole, i, j), 0);
            equal += element(&other, i - begin, j) == element(&whole, i, j);
        }
    }
    CHECK_EQUAL(equal, 0);
    CHECK_NEAR(square / (double)(n * f), 0.25, 5 * 0.25 * sqrt(2.0 / (double)(n * f)));
    free(whole.data), free(part.data), free(other.data);
}

int main(void) {
    cymbals_workspace *workspace = make_workspace(2);
    test_basis(workspace);
    for (int t = 0; t < 2; t++) {
        for (int64_t f = 1; f <= 33; f += f < 5 ? 1 : 7) {
            test_gram(workspace, 50, f, f, float_types[t]);
            test_gram(workspace, 50, f, f + 3, float_types[t]);
            test_rotate(workspace, 70, f, f + 3, float_types[t]);
        }
        test_gram(workspace, 0, 5, 5, float_types[t]);
        test_gram(workspace, 3000, 20, 20, float_types[t]);
        test_gram_parts(workspace, float_types[t]);
        test_rotate(workspace, 0, 5, 5, float_types[t]);
        test_rotate(workspace, 3000, 20, 20, float_types[t]);
        for (int64_t f = 1; f <= 130; f += f < 9 ? 1 : 11) test_draw_normal(workspace, f, f + 2, float_types[t]);
    }
    cymbals_workspace_destroy(workspace);
    return finish();
}
