/* cymbals_parse_numbers, cymbals_parse_names, cymbals_number_ids, cymbals_look_up_ids, cymbals_renumber,
 * cymbals_count_ids, cymbals_code_ids, cymbals_code_texts and cymbals_group. */
#include <cymbals/cymbals.h>

#include "check.h"
#include "problem.h"

enum { MOST_LINES = 20 };

typedef struct {
    int64_t n_lines, numbers[3 * MOST_LINES], n_good, rejected[CYMBALS_LINE_REASONS], first[CYMBALS_LINE_REASONS];
} parsed;

/* Parses names if n_fields is 0, else numbers. The text is copied to the end of an allocation, so that sanitizers see
 * reads beyond it. */
static parsed parse(cymbals_workspace *workspace, const char *from, int32_t n_fields) {
    parsed p;
    const int64_t size = (int64_t)strlen(from);
    char *text = copy_of(from, size, 1);
    for (int pass = 0; pass < 2; pass++) {
        int64_t *numbers = pass == 0 ? NULL : p.numbers;
        if (n_fields > 0)
            CHECK_OK(cymbals_parse_numbers(workspace, text, size, n_fields, &p.n_lines, numbers, &p.n_good, p.rejected,
                                           p.first));
        else
            CHECK_OK(cymbals_parse_names(workspace, text, size, &p.n_lines, numbers, &p.n_good, p.rejected, p.first));
    }
    free(text);
    return p;
}

static void test_numbers(cymbals_workspace *workspace) {
    const char *text =
        "1 2 3\n"
        "\n"
        "4\t 5  6\r\n"
        "1 2\n"
        "1 2 3 4\n"
        "1 x 3\n"
        "1 -2 3\n"
        "9223372036854775807 0 +7\n"
        "9223372036854775808 0 0\n"
        "  7 8 9  ";
    const int64_t wanted[3][4] = {{1, 4, INT64_MAX, 7}, {2, 5, 0, 8}, {3, 6, 7, 9}};
    const int64_t rejected[] = {0, 2, 1, 1, 1, 0}, first[] = {0, 4, 6, 7, 9, 0};
    const parsed p = parse(workspace, text, 3);
    CHECK_EQUAL(p.n_lines, 10);
    CHECK_EQUAL(p.n_good, 4);
    for (int j = 0; j < 3; j++)
        for (int i = 0; i < 4; i++) CHECK_EQUAL(p.numbers[j * p.n_lines + i], wanted[j][i]);
    CHECK_SAME(p.rejected, rejected, sizeof rejected);
    CHECK_SAME(p.first, first, sizeof first);

    CHECK_EQUAL(parse(workspace, "", 2).n_lines, 0);
    CHECK_EQUAL(parse(workspace, "12", 1).numbers[0], 12);
}

static void test_names(cymbals_workspace *workspace) {
    const char *text =
        "12\tThe Band \n"
        "no tab\n"
        "x\tA\n"
        "99999999999999999999\tB\n"
        "5\t \n"
        "\n"
        "7\tC\r\n";
    const int64_t rejected[] = {0, 1, 1, 0, 1, 1}, first[] = {0, 2, 3, 0, 4, 5};
    const parsed p = parse(workspace, text, 0);
    CHECK_EQUAL(p.n_good, 2);
    CHECK_EQUAL(p.numbers[0], 12);
    CHECK_EQUAL(p.numbers[1], 7);
    const int64_t begin = p.numbers[p.n_lines], end = p.numbers[2 * p.n_lines];
    CHECK_EQUAL(end - begin, 8);
    CHECK_SAME(text + begin, "The Band", 8);
    CHECK_EQUAL(text[p.numbers[p.n_lines + 1]], 'C');
    CHECK_SAME(p.rejected, rejected, sizeof rejected);
    CHECK_SAME(p.first, first, sizeof first);
}

static void test_ids(cymbals_workspace *workspace) {
    const int64_t ids[] = {-3, 5, -3, 0, 5}, asked[] = {5, -3, 1, 6, -4, INT64_MAX, INT64_MIN};
    const int32_t wanted[] = {0, -1, -1, 1, -1, -1, -1, -1, 2}, places[] = {2, 0, -1, -1, -1, -1, -1};
    int32_t table[9], found[7];
    int64_t n_distinct = -1;
    CHECK_OK(cymbals_number_ids(workspace, 5, ids, -3, 9, table, &n_distinct));
    CHECK_EQUAL(n_distinct, 3);
    CHECK_SAME(table, wanted, sizeof wanted);
    CHECK_OK(cymbals_look_up_ids(workspace, 7, asked, -3, 9, table, found));
    CHECK_SAME(found, places, sizeof places);

    CHECK_OK(cymbals_number_ids(workspace, 0, NULL, 0, 0, NULL, &n_distinct));
    CHECK_EQUAL(n_distinct, 0);
    CHECK_OK(cymbals_look_up_ids(workspace, 7, asked, 0, 0, NULL, found));
    for (int i = 0; i < 7; i++) CHECK_EQUAL(found[i], -1);
    CHECK_OK(cymbals_look_up_ids(workspace, 0, NULL, 0, 0, NULL, NULL));
}

static void test_codes(cymbals_workspace *workspace) {
    const int32_t table[] = {7, 5, 3, 1}, wanted[] = {1, 7, 1, 3};
    const int64_t long_codes[] = {3, 0, 3, 2};
    int32_t codes[] = {3, 0, 3, 2}, places[4];
    const uint8_t marks[] = {1, 0, 1, 1};
    uint8_t used[] = {9, 9, 9, 9};
    CHECK_OK(cymbals_renumber(workspace, 4, long_codes, CYMBALS_INT64, 4, table, places, used));
    CHECK_SAME(places, wanted, sizeof wanted);
    CHECK_SAME(used, marks, sizeof marks);
    CHECK_OK(cymbals_renumber(workspace, 4, codes, CYMBALS_INT32, 4, table, codes, used)); /* in place */
    CHECK_SAME(codes, wanted, sizeof wanted);
    CHECK_SAME(used, marks, sizeof marks);
    CHECK_OK(cymbals_renumber(workspace, 4, long_codes, CYMBALS_INT64, 4, NULL, places, used));
    for (int i = 0; i < 4; i++) CHECK_EQUAL(places[i], long_codes[i]);
    CHECK_SAME(used, marks, sizeof marks);
    CHECK_OK(cymbals_renumber(workspace, 0, NULL, CYMBALS_INT32, 4, table, NULL, used));
    for (int i = 0; i < 4; i++) CHECK_EQUAL(used[i], 0);
    CHECK_OK(cymbals_renumber(workspace, 0, NULL, CYMBALS_INT64, 0, NULL, NULL, NULL));
}

/* Ids that are spread over several blocks of the table. */
static void test_many_ids(cymbals_workspace *workspace) {
    enum { RANGE = 300000, STEP = 7 };
    int64_t *ids = allocate(RANGE / STEP, sizeof *ids), n_distinct, n = RANGE / STEP;
    int32_t *table = allocate(RANGE, sizeof *table);
    for (int64_t i = 0; i < n; i++) ids[i] = (n - 1 - i) * STEP + 100;
    CHECK_OK(cymbals_number_ids(workspace, n, ids, 100, RANGE, table, &n_distinct));
    CHECK_EQUAL(n_distinct, n);
    for (int64_t i = 0; i < RANGE; i++) CHECK_EQUAL(table[i], i % STEP == 0 && i / STEP < n ? i / STEP : -1);
    free(ids), free(table);
}

static void test_ids_in_parts(cymbals_workspace *workspace) {
    const int64_t ids[] = {7, -3, 7, 0}, more[] = {INT64_MIN, 0, INT64_MAX, -3, 5};
    const int32_t wanted[] = {10, 0, 10, 3}, first[] = {0, 1, 0, 2}, second[] = {3, 2};
    int64_t counts[11] = {1}, slots[16], known[4], n_known = 0, done = -1;
    int32_t codes[5];
    CHECK_OK(cymbals_count_ids(workspace, 4, ids, -3, 11, counts, codes));
    CHECK_SAME(codes, wanted, sizeof wanted);
    CHECK_EQUAL(counts[0], 2);
    CHECK_EQUAL(counts[3], 1);
    CHECK_EQUAL(counts[10], 2);
    CHECK_EQUAL(counts[1], 0);
    CHECK_OK(cymbals_count_ids(workspace, 0, NULL, 0, 0, NULL, NULL));

    for (int i = 0; i < 16; i++) slots[i] = -1;
    CHECK_OK(cymbals_code_ids(workspace, 4, ids, 8, slots, 4, known, counts, &n_known, codes, &done));
    CHECK_EQUAL(n_known, 3);
    CHECK_EQUAL(done, 4);
    CHECK_SAME(codes, first, sizeof first);
    CHECK_OK(cymbals_code_ids(workspace, 5, more, 8, slots, 4, known, counts, &n_known, codes, &done));
    CHECK_EQUAL(n_known, 4); /* there is no room for the third one */
    CHECK_EQUAL(done, 2);
    CHECK_SAME(codes, second, sizeof second);
    const int64_t all[] = {7, -3, 0, INT64_MIN}, times[] = {2, 1, 2, 1};
    CHECK_SAME(known, all, sizeof all);
    CHECK_SAME(counts, times, sizeof times);
}

static void test_texts_in_parts(cymbals_workspace *workspace) {
    const char *text = "--annabeannbo12345678901234567890";
    const int64_t offsets[] = {2, 5, 7, 9, 12, 12, 14, 14, 23}; /* ann ab ea nnb "" o1 "" 234567890 */
    const char *again = "annea123456789";
    const int64_t more[] = {0, 3, 5, 14}; /* ann ea 123456789 */
    const int32_t first[] = {0, 1, 2, 3, 4, 5, 4, 6}, second[] = {0, 2};
    const int64_t times[] = {2, 1, 2, 1, 2, 1, 1};
    int64_t slots[32], known_offsets[9] = {0}, counts[8], n_known = 0, done = -1;
    int32_t codes[8];
    char known[28];
    for (int i = 0; i < 32; i++) slots[i] = -1;
    CHECK_OK(cymbals_code_texts(workspace, 8, offsets, text, 16, slots, 8, 28, known_offsets, known, counts, &n_known,
                                codes, &done));
    CHECK_EQUAL(n_known, 7);
    CHECK_EQUAL(done, 8);
    CHECK_SAME(codes, first, sizeof first);
    CHECK_EQUAL(known_offsets[7], 21);
    CHECK_OK(cymbals_code_texts(workspace, 3, more, again, 16, slots, 8, 28, known_offsets, known, counts, &n_known,
                                codes, &done));
    CHECK_EQUAL(n_known, 7); /* there is no room for the bytes of the third one */
    CHECK_EQUAL(done, 2);
    CHECK_SAME(codes, second, sizeof second);
    CHECK_SAME(counts, times, sizeof times);
    CHECK_SAME(known, "annabeannbo1", 12);
    CHECK_SAME(known + 12, "234567890", 9);
}

/* Compares the groups with those that a loop over all events finds for each group. */
static void test_groups(cymbals_workspace *workspace) {
    enum { N = 3000, ROWS = 70 };
    int32_t *rows = allocate(N, sizeof *rows), *moved = allocate(N, sizeof *moved), table[ROWS];
    int64_t *events = allocate(N, sizeof *events), *order = allocate(N, sizeof *order), begins[ROWS + 1];
    const void *fields[] = {rows, events};
    void *grouped[] = {moved, order};
    const int32_t bytes[] = {4, 8};
    for (int64_t i = 0; i < N; i++) rows[i] = (int32_t)(i * i % ROWS) - 20, events[i] = i;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1)
            for (int64_t i = 0; i < N; i++) rows[i] += 20;
        for (int r = 0; r < ROWS; r++) table[r] = r * 7 % 5;
        const int64_t n_groups = pass == 0 ? 18 : 5;
        CHECK_OK(cymbals_group(workspace, N, rows, 2, -5, ROWS, pass == 0 ? NULL : table, n_groups, begins, 2, fields,
                               grouped, bytes));
        int64_t at = 0;
        for (int64_t g = 0; g < n_groups; g++) {
            CHECK_EQUAL(begins[g], at);
            for (int64_t i = 0; i < N; i++) {
                if ((pass == 0 ? (rows[i] + 20) / 4 : table[rows[i]]) != g) continue;
                CHECK_EQUAL(order[at], i);
                CHECK_EQUAL(moved[at], rows[i]);
                at++;
            }
        }
        CHECK_EQUAL(begins[n_groups], N);
    }
    CHECK_OK(cymbals_group(workspace, 0, NULL, 0, 0, 0, NULL, 0, begins, 0, NULL, NULL, NULL));
    CHECK_EQUAL(begins[0], 0);
    free(rows), free(moved), free(events), free(order);
}

int main(void) {
    for (int32_t n_threads = 1; n_threads <= 12; n_threads++) {
        WHERE("%d threads", (int)n_threads);
        cymbals_workspace *workspace = make_workspace(n_threads);
        test_numbers(workspace);
        test_names(workspace);
        test_ids(workspace);
        test_codes(workspace);
        test_ids_in_parts(workspace);
        test_texts_in_parts(workspace);
        test_groups(workspace);
        if (n_threads <= 2) test_many_ids(workspace);
        cymbals_workspace_destroy(workspace);
    }
    return finish();
}
