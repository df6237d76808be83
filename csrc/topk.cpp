// Exact top-k inner products: blocks of queries against tiles of items, so that a tile of scores stays in cache, and a
// heap a query. Memory a thread: a tile and k places for each query of a block.

#include <limits>

#include "best.h"
#include "common.h"

namespace cymbals {
namespace {

constexpr int64_t kQueries = 32, kItems = 256;

// Memory of one thread.
template <class T>
struct Scratch {
    Buffer<T> scores = buffer<T>(kQueries * kItems), packed;
    Buffer<Scored<T>> best;
    explicit operator bool() const { return scores && best && packed; }
};

template <class T>
struct Search {
    const cymbals_matrix &queries, &items;
    const int64_t *list;
    int64_t n_items;
    const T *scale;
    const cymbals_csr *skip;
    int64_t k, *ids;
    T *scores;
    const Kernels<T> &kernels;

    int64_t places() const { return std::min(k, n_items); }
    int64_t item(int64_t place) const { return list ? list[place] : place; }
    void block(int64_t first, Scratch<T> &scratch) const;
};

// Queries first to first + kQueries against all items.
template <class T>
void Search<T>::block(int64_t first, Scratch<T> &scratch) const {
    const int64_t n = std::min(kQueries, queries.n_rows - first), f = queries.n_cols;
    int64_t at[kQueries], end[kQueries];
    for (int64_t q = 0; q < n; q++) {
        at[q] = skip ? skip->indptr[first + q] : 0;
        end[q] = skip ? skip->indptr[first + q + 1] : 0;
    }
    Best<T> best[kQueries];
    for (int64_t q = 0; q < n; q++) best[q] = Best<T>(scratch.best.get() + q * places(), places());
    for (int64_t begin = 0; begin < n_items; begin += kItems) {
        const int64_t count = std::min(kItems, n_items - begin);
        const T *tile = row_of<T>(items, begin);
        int64_t stride = items.stride;
        if (list) {
            for (int64_t i = 0; i < count; i++)
                std::copy_n(row_of<T>(items, list[begin + i]), f, scratch.packed.get() + i * f);
            tile = scratch.packed.get(), stride = f;
        }
        kernels.dots(scratch.scores.get(), kItems, row_of<T>(queries, first), queries.stride, n, tile, stride, count,
                     f);
        for (int64_t q = 0; q < n; q++) {
            const T *row = scratch.scores.get() + q * kItems;
            for (int64_t i = 0; i < count; i++) {
                const int64_t id = item(begin + i);
                while (at[q] < end[q] && index_at(*skip, at[q]) < id) at[q]++;
                if (at[q] < end[q] && index_at(*skip, at[q]) == id) continue;
                best[q].offer(id, scale ? row[i] * scale[id] : row[i]);
            }
        }
    }
    for (int64_t q = 0; q < n; q++) {
        const int64_t found = best[q].finish(), out = (first + q) * k;
        for (int64_t i = 0; i < k; i++) {
            const Scored<T> missing = {-std::numeric_limits<T>::infinity(), -1};
            const Scored<T> &here = i < found ? scratch.best[q * places() + i] : missing;
            ids[out + i] = here.item;
            scores[out + i] = here.score;
        }
    }
}

template <class T>
int32_t run(const Search<T> &search, int32_t n_threads) {
    const int64_t blocks = (search.queries.n_rows + kQueries - 1) / kQueries;
    bool enough = true;
#pragma omp parallel num_threads(n_threads) reduction(&& : enough)
    {
        Scratch<T> scratch;
        scratch.best = buffer<Scored<T>>(kQueries * search.places());
        scratch.packed = buffer<T>(search.list ? kItems * search.queries.n_cols : 1);
        enough = bool(scratch);
#pragma omp for schedule(dynamic, 1)
        for (int64_t block = 0; block < blocks; block++)
            if (enough) search.block(block * kQueries, scratch);
    }
    return enough ? CYMBALS_OK : CYMBALS_NO_MEMORY;
}

}  // namespace
}  // namespace cymbals

extern "C" int32_t cymbals_topk(const cymbals_matrix *queries, const cymbals_matrix *items, const int64_t *item_list,
                                int64_t n_list, const void *item_scale, const cymbals_csr *skip, int64_t k,
                                int64_t *ids, void *scores, int32_t n_threads, int32_t simd) {
    using namespace cymbals;
    if (!good(queries) || !good(items) || queries->type != items->type || queries->n_cols != items->n_cols || k < 1 ||
        !ids || !scores || n_threads < 1 || (item_list && n_list < 0) ||
        (skip && (!good(skip, false) || skip->n_rows != queries->n_rows)))
        return CYMBALS_BAD_ARGUMENT;
    int32_t status;
    const KernelTable *table = kernel_table(simd, &status);
    if (!table) return status;
    return with_float(items->type, [&](auto zero) {
        using T = decltype(zero);
        const Search<T> search = {
            *queries, *items, item_list, item_list ? n_list : items->n_rows, static_cast<const T *>(item_scale),
            skip,     k,      ids,       static_cast<T *>(scores),           kernels_of<T>(*table)};
        return run(search, n_threads);
    });
}
