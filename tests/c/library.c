/* Version and messages of the library, workspaces, and the table of all functions. */
#include <cymbals/cymbals.h>

#include "check.h"
#include "problem.h"

static void test_versions(void) {
    CHECK_EQUAL(cymbals_abi_version(), CYMBALS_ABI_VERSION);
    CHECK(strcmp(cymbals_version(), CYMBALS_VERSION) == 0);
    CHECK(strlen(cymbals_compiler()) > 4);
    for (int32_t status = CYMBALS_OK; status <= CYMBALS_CANCELLED; status++)
        CHECK(strcmp(cymbals_status_message(status), cymbals_status_message(99)) != 0);
    CHECK(strcmp(cymbals_status_message(-1), cymbals_status_message(99)) == 0);
}

static void test_simd(void) {
    int32_t simd = -1;
    CHECK(strcmp(cymbals_simd_name(CYMBALS_BASELINE), "baseline") == 0);
    CHECK(strcmp(cymbals_simd_name(CYMBALS_AVX512), "avx512") == 0);
    CHECK(cymbals_simd_name(-1) == NULL && cymbals_simd_name(CYMBALS_AVX512 + 1) == NULL);
    CHECK_EQUAL(cymbals_simd_resolve(CYMBALS_AUTO, &simd), CYMBALS_OK);
    CHECK(simd >= CYMBALS_BASELINE && simd <= CYMBALS_AVX512);
    CHECK_EQUAL(cymbals_simd_resolve(CYMBALS_BASELINE, &simd), CYMBALS_OK);
    CHECK_EQUAL(simd, CYMBALS_BASELINE);
    simd = 77;
    CHECK_EQUAL(cymbals_simd_resolve(99, &simd), CYMBALS_NO_SIMD);
    CHECK_EQUAL(simd, 77);
    CHECK_EQUAL(cymbals_simd_resolve(CYMBALS_AUTO, NULL), CYMBALS_BAD_ARGUMENT);
}

static void test_workspaces(void) {
    cymbals_workspace_options options = CYMBALS_WORKSPACE_OPTIONS_INIT;
    cymbals_workspace *workspace = NULL;
    CHECK_EQUAL(cymbals_workspace_create(&options, &workspace), CYMBALS_OK);
    CHECK(strcmp(cymbals_workspace_message(workspace), "") == 0);
    CHECK_EQUAL(cymbals_workspace_bytes(workspace), 0);
    double gram[1];
    CHECK_EQUAL(cymbals_gram(workspace, NULL, gram), CYMBALS_BAD_ARGUMENT);
    CHECK(strcmp(cymbals_workspace_message(workspace), "matrix is null") == 0);
    double one = 3;
    const cymbals_matrix m = {sizeof m, &one, 1, 1, 1, CYMBALS_FLOAT64};
    CHECK_OK(cymbals_gram(workspace, &m, gram));
    CHECK(strcmp(cymbals_workspace_message(workspace), "") == 0);
    cymbals_workspace_destroy(workspace);
    cymbals_workspace_destroy(NULL);
    cymbals_index_destroy(NULL);
    CHECK_EQUAL(cymbals_index_bytes(NULL), 0);
    CHECK_EQUAL(cymbals_workspace_bytes(NULL), 0);
    CHECK(cymbals_workspace_message(NULL) != NULL);

    const cymbals_workspace_options good = options;
#define CHECK_REFUSED(change, status)                                        \
    do {                                                                     \
        options = good, change, workspace = (cymbals_workspace *)&options;   \
        CHECK_EQUAL(cymbals_workspace_create(&options, &workspace), status); \
        CHECK(workspace == NULL);                                            \
    } while (0)
    CHECK_REFUSED(options.struct_size--, CYMBALS_BAD_ARGUMENT);
    CHECK_REFUSED(options.n_threads = 0, CYMBALS_BAD_ARGUMENT);
    CHECK_REFUSED(options.n_threads = INT32_MAX, CYMBALS_BAD_ARGUMENT);
    CHECK_REFUSED(options.simd = 99, CYMBALS_NO_SIMD);
#undef CHECK_REFUSED
    CHECK_EQUAL(cymbals_workspace_create(NULL, &workspace), CYMBALS_BAD_ARGUMENT);
    CHECK_EQUAL(cymbals_workspace_create(&good, NULL), CYMBALS_BAD_ARGUMENT);
}

static void test_functions(void) {
    const cymbals_api *api = cymbals_functions();
    int64_t n = 0;
    CHECK_EQUAL(api->struct_size, sizeof *api);
    CHECK_EQUAL(api->abi_version_of_table, CYMBALS_ABI_VERSION);
#define CHECK_POINTER(name)             \
    CHECK(api->name == cymbals_##name); \
    n++;
    CYMBALS_FUNCTIONS(CHECK_POINTER)
#undef CHECK_POINTER
    CHECK_EQUAL(sizeof *api, offsetof(cymbals_api, abi_version) + (size_t)n * sizeof api->version);
}

int main(void) {
    test_versions();
    test_simd();
    test_workspaces();
    test_functions();
    return finish();
}
