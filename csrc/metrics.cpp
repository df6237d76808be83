// Ranking quality of every user, in one pass over the items. The candidates of a user are the items that are not in
// train. Candidates with a value above 0 in test are the positives, all others the negatives. The positives are scored
// first. Then blocks of users are multiplied with tiles of items; the scores of a tile are compared with the positives'
// scores and not kept. Memory: a copy of the items, column by column, and a few hundred kB for each thread.

#include <cmath>
#include <functional>
#include <limits>

#include "best.h"
#include "workspace.h"

namespace cymbals {
namespace {

constexpr int64_t kUsers = 128, kItems = 384;  // users of a block, items of a tile: 196 kB of scores in float32
constexpr int64_t kAtOnce = 32;                // number of a user's positives that are scored at a time
// The distance from one column of a tile to the next. It is not a power of two, so that neighbouring columns lie in
// different cache sets.
constexpr int64_t kColumn = kItems + 16;
constexpr int64_t kMostCutoffs = 100'000;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// The counts of one user, while the tiles of items are compared one after the other. The arrays belong to the thread.
// `value` holds the positives' scores, highest first. `item` holds the positives' item numbers, lowest first.
template <class T>
struct Ranking {
    int64_t n_positive = 0, n_left_out = 0;
    T *value;
    int64_t *item, *less, *not_more;  // less[i], not_more[i]: negatives with a score < value[i], <= value[i]
    int64_t top_item;                 // the positive with the highest score; if several have it, the lowest item number
    int64_t tied_before;              // negatives with the score of top_item and a lower item number
    int64_t at_train, at_positive;    // the first train entry, and the first positive, of a later tile
    Best<T> best;
};

// Memory of one thread.
template <class T>
struct Scratch {
    Buffer<T> users, packed, scores, value;
    Buffer<int64_t> counts;  // the arrays item, less and not_more of all users of a block
    Buffer<Scored<T>> best;
    explicit operator bool() const { return users && packed && scores && value && counts && best; }
};

template <class T>
struct Evaluation {
    const cymbals_matrix &users, &items;
    const cymbals_csr &train, &test;
    const double *novelty;  // of each item, or null
    const int64_t *k;
    int32_t n_k;
    int64_t most_k;
    double *out;
    uint8_t *covered;
    const Kernels<T> &kernels;
    ApiCall &call;
    Buffer<T> columns = nullptr;  // tiles of kItems items, one column of factors after the other, padded with 0

    int32_t run();

 private:
    int64_t figures() const { return 2 + 5 * (int64_t)n_k; }  // columns of `out`
    void block(int64_t first, int64_t n, Scratch<T> &scratch);
    void find_positives(int64_t u, Ranking<T> &ranking) const;
    void score_positives(const T *user, Scratch<T> &scratch, Ranking<T> &ranking) const;
    void meet(int64_t u, int64_t begin, T *scores, Ranking<T> &ranking) const;
    void finish(int64_t u, Ranking<T> &ranking, const Scored<T> *best) const;
};

// Finds the positives: entries of test that are above 0 and not in train. Both rows are sorted.
template <class T>
void Evaluation<T>::find_positives(int64_t u, Ranking<T> &ranking) const {
    int64_t in_train = train.indptr[u];
    ranking.n_left_out = train.indptr[u + 1] - in_train;
    for (int64_t i = test.indptr[u]; i < test.indptr[u + 1]; i++) {
        const int64_t item = index_at(test, i);
        while (in_train < train.indptr[u + 1] && index_at(train, in_train) < item) in_train++;
        const bool seen = in_train < train.indptr[u + 1] && index_at(train, in_train) == item;
        if (!seen && value_at(test, i) > 0) ranking.item[ranking.n_positive++] = item;
    }
}

// Scores the positives with the kernel that also scores the tiles of items. The kernel adds the same products in the
// same order in both cases, so equal items get equal scores, bit for bit. The kernel
// multiplies by a matrix of kernels.pad columns, and each of them is a copy of the user's factors.
template <class T>
void Evaluation<T>::score_positives(const T *user, Scratch<T> &scratch, Ranking<T> &ranking) const {
    const int64_t f = users.n_cols, width = kernels.pad;
    T *const repeated = scratch.packed.get(), *const rows = repeated + f * width;
    for (int64_t j = 0; j < f; j++) std::fill_n(repeated + j * width, width, user[j]);
    for (int64_t begin = 0; begin < ranking.n_positive; begin += kAtOnce) {
        const int64_t count = std::min(kAtOnce, ranking.n_positive - begin), filled = round_up(count, kBlock);
        for (int64_t i = 0; i < count; i++) std::copy_n(row_of<T>(items, ranking.item[begin + i]), f, rows + i * f);
        std::fill_n(rows + count * f, (filled - count) * f, T(0));
        kernels.gemm(scratch.scores.get(), width, rows, f, repeated, width, filled, f, width);
        for (int64_t i = 0; i < count; i++) ranking.value[begin + i] = scratch.scores[i * width];
    }
    T top = ranking.value[0];
    ranking.top_item = ranking.item[0];
    for (int64_t i = 1; i < ranking.n_positive; i++)
        if (ranking.value[i] > top) top = ranking.value[i], ranking.top_item = ranking.item[i];
    std::sort(ranking.value, ranking.value + ranking.n_positive, std::greater<T>());
}

// Adds the scores of the tile that begins with item `begin` to the counts of user u. Before the best items are
// found, the scores of train items are set to NaN. Before negatives are counted, the scores of positives are set to NaN
// too. Every comparison with NaN is false, so train items are neither found nor counted, and positives are not counted.
template <class T>
void Evaluation<T>::meet(int64_t u, int64_t begin, T *scores, Ranking<T> &ranking) const {
    const int64_t n = std::min(kItems, items.n_rows - begin), end = begin + n;
    for (int64_t &i = ranking.at_train; i < train.indptr[u + 1] && index_at(train, i) < end; i++)
        scores[index_at(train, i) - begin] = (T)kNaN;
    int32_t places[kItems];
    const int64_t found = kernels.find_at_least(scores, n, ranking.best.least(), places);
    for (int64_t i = 0; i < found; i++) ranking.best.offer(begin + places[i], scores[places[i]]);
    for (int64_t &i = ranking.at_positive; i < ranking.n_positive && ranking.item[i] < end; i++)
        scores[ranking.item[i] - begin] = (T)kNaN;
    const int64_t tied = ranking.not_more[0] - ranking.less[0];
    kernels.count(scores, n, ranking.value, ranking.n_positive, ranking.less, ranking.not_more);
    if (ranking.not_more[0] - ranking.less[0] == tied) return;
    for (int64_t i = 0; i < std::min(n, ranking.top_item - begin); i++)
        ranking.tied_before += scores[i] == ranking.value[0];
}

// Weight of a hit at place i in DCG, up to a factor that cancels in NDCG: 1 / ln(i + 2) in place of 1 / log2(i + 2).
// glibc replaced log and log2 in version 2.29, and wheels for older versions cannot use the new ones.
double discount(int64_t i) { return 1 / std::log1p((double)i + 1); }

template <class T>
void Evaluation<T>::finish(int64_t u, Ranking<T> &ranking, const Scored<T> *best) const {
    double *row = out + u * figures();
    const int64_t n_positive = ranking.n_positive, n_negative = items.n_rows - ranking.n_left_out - n_positive;
    int64_t twice = 0;  // twice the number of pairs of a positive and a negative with a lower score; a tie counts half
    for (int64_t i = 0; i < n_positive; i++) twice += ranking.less[i] + ranking.not_more[i];
    if (n_negative > 0) row[0] = (double)twice / 2 / n_positive / n_negative;
    row[1] = 1.0 / (n_negative - ranking.not_more[0] + ranking.tied_before + 1);

    const int64_t found = ranking.best.finish();
    for (int32_t c = 0; c < n_k; c++) {
        const int64_t possible = std::min(k[c], n_positive);
        const int64_t shown = std::min(k[c], found);
        double hits = 0, precisions = 0, gain = 0, ideal = 0, novelties = novelty ? 0 : kNaN;
        for (int64_t i = 0; i < shown; i++) {
            const int64_t item = best[i].item;
#pragma omp atomic write
            covered[c * items.n_rows + item] = 1;
            if (novelty) novelties += novelty[item];
            if (!std::binary_search(ranking.item, ranking.item + n_positive, item)) continue;
            hits++;
            precisions += hits / (i + 1);
            gain += discount(i);
        }
        for (int64_t i = 0; i < possible; i++) ideal += discount(i);
        double *at = row + 2 + 5 * c;
        at[0] = hits / k[c];
        at[1] = hits / n_positive;
        at[2] = precisions / possible;
        at[3] = gain / ideal;
        at[4] = novelties / shown;
    }
}

template <class T>
void Evaluation<T>::block(int64_t first, int64_t n, Scratch<T> &scratch) {
    const int64_t f = users.n_cols, begin_test = test.indptr[first], n_test = test.indptr[first + n] - begin_test;
    Span span = call.span();
    Ranking<T> rankings[kUsers];
    int64_t user[kUsers], active = 0;  // the users of the block that have a positive, and their number
    for (int64_t u = first; u < first + n; u++) {
        std::fill_n(out + u * figures(), figures(), kNaN);
        Ranking<T> &ranking = rankings[active];
        const int64_t at = test.indptr[u] - begin_test;
        ranking = Ranking<T>();
        ranking.value = scratch.value.get() + at;
        ranking.item = scratch.counts.get() + at;
        ranking.less = ranking.item + n_test;
        ranking.not_more = ranking.less + n_test;
        ranking.at_train = train.indptr[u], ranking.at_positive = ranking.tied_before = 0;
        find_positives(u, ranking);
        if (ranking.n_positive == 0) continue;
        std::fill_n(ranking.less, ranking.n_positive, int64_t(0));
        std::fill_n(ranking.not_more, ranking.n_positive, int64_t(0));
        ranking.best = Best<T>(scratch.best.get() + active * most_k, most_k);
        std::copy_n(row_of<T>(users, u), f, scratch.users.get() + active * f);
        user[active++] = u;
    }
    std::fill_n(scratch.users.get() + active * f, kBlock * f, T(0));
    for (int64_t a = 0; a < active; a++) score_positives(scratch.users.get() + a * f, scratch, rankings[a]);
    for (int64_t begin = 0; active > 0 && begin < items.n_rows; begin += kItems) {
        kernels.gemm(scratch.scores.get(), kItems, scratch.users.get(), f, columns.get() + begin / kItems * f * kColumn,
                     kColumn, round_up(active, kBlock), f, kItems);
        for (int64_t a = 0; a < active; a++) meet(user[a], begin, scratch.scores.get() + a * kItems, rankings[a]);
    }
    for (int64_t a = 0; a < active; a++) finish(user[a], rankings[a], scratch.best.get() + a * most_k);
    const double numbers = active > 0 ? (double)(round_up(items.n_rows, kItems) * f) : 0;  // read from the items' copy
    span.add(n, n_test, 2.0 * numbers * (double)round_up(active, kBlock), numbers * (double)sizeof(T));
}

template <class T>
int32_t Evaluation<T>::run() {
    const int32_t n_threads = call.threads();
    const int64_t f = items.n_cols, tiles = round_up(items.n_rows, kItems) / kItems, n_users = users.n_rows;
    columns = large_buffer<T>(tiles * f * kColumn);
    if (!columns) return CYMBALS_NO_MEMORY;
#pragma omp parallel for schedule(static) num_threads(n_threads)
    for (int64_t tile = 0; tile < tiles; tile++) {
        const int64_t begin = tile * kItems, n = std::min(kItems, items.n_rows - begin);
        for (int64_t j = 0; j < f; j++) {
            T *const column = columns.get() + (tile * f + j) * kColumn;
            for (int64_t i = 0; i < kItems; i++) column[i] = i < n ? row_of<T>(items, begin + i)[j] : T(0);
        }
    }

    int64_t most_test = 0;  // the most test entries of a block
    for (int64_t first = 0; first < n_users; first += kUsers)
        most_test = std::max(most_test, test.indptr[std::min(n_users, first + kUsers)] - test.indptr[first]);
    bool enough = true;
    call.start(n_users);
#pragma omp parallel num_threads(n_threads) reduction(&& : enough)
    {
        Scratch<T> scratch = {buffer<T>((kUsers + kBlock) * f), buffer<T>((kernels.pad + kAtOnce) * f),
                              buffer<T>(kUsers * kItems),       buffer<T>(most_test),
                              buffer<int64_t>(3 * most_test),   buffer<Scored<T>>(kUsers * most_k)};
        enough = bool(scratch);
#pragma omp for schedule(dynamic, 1)
        for (int64_t first = 0; first < n_users; first += kUsers) {
            if (!enough || call.cancelled()) continue;
            const int64_t n = std::min(kUsers, n_users - first);
            block(first, n, scratch);
            call.advance(n, n_users);
        }
    }
    if (!enough) return CYMBALS_NO_MEMORY;
    return call.cancelled() ? CYMBALS_CANCELLED : CYMBALS_OK;
}

}  // namespace
}  // namespace cymbals

extern "C" int32_t cymbals_rank_metrics(cymbals_workspace *workspace, const cymbals_matrix *users,
                                        const cymbals_matrix *items, const cymbals_csr *train, const cymbals_csr *test,
                                        const double *item_novelty, const int64_t *k, int32_t n_k, double *out,
                                        uint8_t *covered) {
    using namespace cymbals;
    ApiCall call(workspace, CYMBALS_PHASE_METRICS);
    if (!call.ready() || !call.matrix("users", users) || !call.matrix("items", items) ||
        !call.csr("train", train, false) || !call.csr("test", test, true) ||
        !call.between("n_k", n_k, 1, kMostCutoffs) || !call.not_null("k", k) || !call.not_null("out", out) ||
        !call.not_null("covered", covered) || !call.equal("users->type", users->type, "items->type", items->type) ||
        !call.equal("users->n_cols", users->n_cols, "items->n_cols", items->n_cols) ||
        !call.equal("train->n_rows", train->n_rows, "users->n_rows", users->n_rows) ||
        !call.equal("test->n_rows", test->n_rows, "users->n_rows", users->n_rows) ||
        !call.equal("train->n_cols", train->n_cols, "items->n_rows", items->n_rows) ||
        !call.equal("test->n_cols", test->n_cols, "items->n_rows", items->n_rows))
        return CYMBALS_BAD_ARGUMENT;
    int64_t most_k = 1;
    for (int32_t c = 0; c < n_k; c++) {
        if (!call.require(k[c] >= 1, "k[%d] is %lld: it must be at least 1", (int)c, (long long)k[c]))
            return CYMBALS_BAD_ARGUMENT;
        most_k = std::max(most_k, std::min(k[c], items->n_rows));
    }
    return call.end(with_float(items->type, [&](auto zero) {
        using T = decltype(zero);
        Evaluation<T> evaluation = {
            *users, *items, *train, *test, item_novelty, k, n_k, most_k, out, covered, kernels_of<T>(call.table()),
            call};
        return evaluation.run();
    }));
}
