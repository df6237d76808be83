/* Checks of the C tests. Each of the first 20 checks that fail prints its file and line, its text and the parameters
 * that WHERE has set. main returns finish(), which is 1 if any check failed. */
#ifndef CHECK_H
#define CHECK_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int checks, failures;
static char where[200];

#define WHERE(...) snprintf(where, sizeof where, __VA_ARGS__)
#define CHECK(holds) check((holds) ? 1 : 0, __FILE__, __LINE__, "%s", #holds)
#define CHECK_EQUAL(a, b) check_equal((int64_t)(a), (int64_t)(b), __FILE__, __LINE__, #a, #b)
#define CHECK_NEAR(a, b, tolerance) check_near((a), (b), (tolerance), __FILE__, __LINE__, #a, #b)
#define CHECK_SAME(a, b, n_bytes) check(memcmp((a), (b), (n_bytes)) == 0, __FILE__, __LINE__, "%s is not %s", #a, #b)
/* Checks the status of a call with `workspace`; a failure prints the workspace's message. */
#define CHECK_OK(call) check_ok((call), workspace, __FILE__, __LINE__, #call)

#define check(holds, file, line, ...)                           \
    do {                                                        \
        checks++;                                               \
        if (!(holds) && failures++ < 20) {                      \
            fprintf(stderr, "%s:%d: [%s] ", file, line, where); \
            fprintf(stderr, __VA_ARGS__);                       \
            fprintf(stderr, "\n");                              \
        }                                                       \
    } while (0)

static inline void check_equal(int64_t a, int64_t b, const char *file, int line, const char *left, const char *right) {
    check(a == b, file, line, "%s is %lld, %s is %lld", left, (long long)a, right, (long long)b);
}
static inline void check_near(double a, double b, double tolerance, const char *file, int line, const char *left,
                              const char *right) {
    check(fabs(a - b) <= tolerance, file, line, "%s is %.17g, %s is %.17g", left, a, right, b);
}
static inline void check_ok(int32_t status, const cymbals_workspace *workspace, const char *file, int line,
                            const char *call) {
    check(status == CYMBALS_OK, file, line, "%s is %d: %s", call, (int)status, cymbals_workspace_message(workspace));
}

static inline int finish(void) {
    printf("%d checks, %d failed\n", checks, failures);
    return checks == 0 || failures > 0;
}

#endif
