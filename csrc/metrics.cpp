// Ranking quality of every user in one pass. A user's candidates are the items not in train; those in test are the
// positives, the others the negatives. Memory a thread: the scores of a block of users, as many as fit kScoreBytes, at
// least one.

#include <cmath>
#include <limits>

#include "best.h"
#include "common.h"

namespace cymbals {
namespace {

constexpr int64_t kScoreBytes = 8 * 1024 * 1024, kMostUsers = 32;
constexpr int64_t kItemBytes = 128 * 1024;  // of a tile of items, which all users of a block meet while it is in cache
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

template <class T>
struct Scratch {
    Buffer<T> scores, positive;
    Buffer<Scored<T>> best;
    Buffer<uint8_t> role;  // of each item for the user in hand
    explicit operator bool() const { return scores && positive && best && role; }
};
// Twice the scores below a value, those equal to it counted once.
template <class T>
int64_t twice_below(const T *scores, int64_t n, T value) {
    constexpr int64_t run = 1 << 16;  // short enough for 32-bit counters, which fill vectors better
    int64_t total = 0;
    for (int64_t begin = 0; begin < n; begin += run) {
        const int64_t end = std::min(n, begin + run);
        int32_t count = 0;
        for (int64_t i = begin; i < end; i++) count += (scores[i] < value) + (scores[i] <= value);
        total += count;
    }
    return total;
}

enum : uint8_t { negative = 0, positive = 1, left_out = 2 };

template <class T>
struct Evaluation {
    const cymbals_matrix &users, &items;
    const cymbals_csr &train, &test;
    const int64_t *k;
    int32_t n_k;
    int64_t most_k;
    double *out;
    uint8_t *covered;
    const Kernels<T> &kernels;

    int64_t block_users() const {
        return std::clamp<int64_t>(kScoreBytes / (std::max<int64_t>(1, items.n_rows) * sizeof(T)), 1, kMostUsers);
    }
    void block(int64_t first, Scratch<T> &scratch) const;
    void user(int64_t u, T *scores, Scratch<T> &scratch) const;
};

template <class T>
void Evaluation<T>::block(int64_t first, Scratch<T> &scratch) const {
    const int64_t n = std::min(block_users(), users.n_rows - first), m = items.n_rows;
    const int64_t tile = std::max<int64_t>(16, kItemBytes / (users.n_cols * sizeof(T)));
    bool any = false;
    for (int64_t u = first; u < first + n; u++) any |= test.indptr[u + 1] > test.indptr[u];
    for (int64_t begin = 0; any && begin < m; begin += tile)
        kernels.dots(scratch.scores.get() + begin, m, row_of<T>(users, first), users.stride, n, row_of<T>(items, begin),
                     items.stride, std::min(tile, m - begin), users.n_cols);
    for (int64_t u = 0; u < n; u++) user(first + u, scratch.scores.get() + u * m, scratch);
}

template <class T>
void Evaluation<T>::user(int64_t u, T *scores, Scratch<T> &scratch) const {
    const int64_t m = items.n_rows, columns = 2 + 4 * n_k;
    double *row = out + u * columns;
    std::fill_n(row, columns, kNaN);
    uint8_t *role = scratch.role.get();
    int64_t n_positive = 0;
    for (int64_t i = test.indptr[u]; i < test.indptr[u + 1]; i++)
        if (value_at(test, i) > 0) role[index_at(test, i)] = positive;
    for (int64_t i = train.indptr[u]; i < train.indptr[u + 1]; i++) role[index_at(train, i)] = left_out;
    for (int64_t i = test.indptr[u]; i < test.indptr[u + 1]; i++) {
        const int64_t item = index_at(test, i);
        if (role[item] == positive) scratch.positive[n_positive++] = scores[item];
    }

    if (n_positive > 0) {
        // What is out of the race becomes NaN, which no comparison below takes: first what train has, then the
        // positives.
        int64_t n_left_out = 0, twice = 0, above = 0;
        for (int64_t i = train.indptr[u]; i < train.indptr[u + 1]; i++, n_left_out++) scores[index_at(train, i)] = kNaN;
        Best<T> best(scratch.best.get(), most_k);
        for (int64_t i = 0; i < m; i++) best.offer(i, scores[i]);
        const T *values = scratch.positive.get(), top = *std::max_element(values, values + n_positive);
        int64_t top_item = m;  // the best positive; ties go to the lower item
        for (int64_t i = test.indptr[u]; i < test.indptr[u + 1]; i++) {
            const int64_t item = index_at(test, i);
            if (role[item] != positive) continue;
            if (scores[item] == top) top_item = std::min(top_item, item);
            scores[item] = kNaN;
        }
        for (int64_t i = 0; i < n_positive; i++) twice += twice_below(scores, m, values[i]);
        for (int64_t i = 0; i < m; i++) above += scores[i] > top;
        for (int64_t i = 0; i < top_item; i++) above += scores[i] == top;
        const int64_t n_negative = m - n_left_out - n_positive;
        if (n_negative > 0) row[0] = (double)twice / 2 / n_positive / n_negative;
        row[1] = 1.0 / (above + 1);

        const int64_t found = best.finish();
        for (int32_t c = 0; c < n_k; c++) {
            const int64_t possible = std::min(k[c], n_positive);
            double hits = 0, precisions = 0, gain = 0, ideal = 0;
            for (int64_t i = 0; i < std::min(k[c], found); i++) {
                const int64_t item = scratch.best[i].item;
#pragma omp atomic write
                covered[c * m + item] = 1;
                if (role[item] != positive) continue;
                hits++;
                precisions += hits / (i + 1);
                gain += 1 / std::log2(i + 2.0);
            }
            for (int64_t i = 0; i < possible; i++) ideal += 1 / std::log2(i + 2.0);
            double *at = row + 2 + 4 * c;
            at[0] = hits / k[c];
            at[1] = hits / n_positive;
            at[2] = precisions / possible;
            at[3] = gain / ideal;
        }
    }
    for (int64_t i = test.indptr[u]; i < test.indptr[u + 1]; i++) role[index_at(test, i)] = negative;
    for (int64_t i = train.indptr[u]; i < train.indptr[u + 1]; i++) role[index_at(train, i)] = negative;
}

template <class T>
int32_t run(const Evaluation<T> &evaluation, int32_t n_threads) {
    const int64_t m = evaluation.items.n_rows, block = evaluation.block_users();
    const int64_t blocks = (evaluation.users.n_rows + block - 1) / block;
    bool enough = true;
#pragma omp parallel num_threads(n_threads) reduction(&& : enough)
    {
        Scratch<T> scratch = {buffer<T>(block * m), buffer<T>(m), buffer<Scored<T>>(evaluation.most_k),
                              buffer<uint8_t>(m)};
        enough = bool(scratch);
        if (enough) std::fill_n(scratch.role.get(), m, uint8_t(negative));
#pragma omp for schedule(dynamic, 1)
        for (int64_t b = 0; b < blocks; b++)
            if (enough) evaluation.block(b * block, scratch);
    }
    return enough ? CYMBALS_OK : CYMBALS_NO_MEMORY;
}

}  // namespace
}  // namespace cymbals

extern "C" int32_t cymbals_rank_metrics(const cymbals_matrix *users, const cymbals_matrix *items,
                                        const cymbals_csr *train, const cymbals_csr *test, const int64_t *k,
                                        int32_t n_k, double *out, uint8_t *covered, int32_t n_threads, int32_t simd) {
    using namespace cymbals;
    if (!good(users) || !good(items) || !good(train, false) || !good(test, true) || users->type != items->type ||
        users->n_cols != items->n_cols || train->n_rows != users->n_rows || test->n_rows != users->n_rows || n_k < 1 ||
        !k || !out || !covered || train->n_cols != items->n_rows || test->n_cols != items->n_rows || n_threads < 1)
        return CYMBALS_BAD_ARGUMENT;
    int64_t most_k = 0;
    for (int32_t c = 0; c < n_k; c++) {
        if (k[c] < 1) return CYMBALS_BAD_ARGUMENT;
        most_k = std::max(most_k, std::min(k[c], items->n_rows));
    }
    int32_t status;
    const KernelTable *table = kernel_table(simd, &status);
    if (!table) return status;
    return with_float(items->type, [&](auto zero) {
        using T = decltype(zero);
        const Evaluation<T> evaluation = {
            *users, *items, *train, *test, k, n_k, std::max<int64_t>(1, most_k), out, covered, kernels_of<T>(*table)};
        return run(evaluation, n_threads);
    });
}
