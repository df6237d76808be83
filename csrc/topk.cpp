// Exact top-k inner products, a heap a query. Few queries: blocks of them against tiles of items, so that a tile of
// scores stays in cache. Many: items are screened by 8-bit products first, the longest first, until the rest is too
// short to matter; only scores that a bound cannot rule out are computed, in the same way, so that both give the same
// result. Memory a thread: a tile and k places for each query of a block.

#include <limits>

#include "best.h"
#include "common.h"
#include "screen.h"

namespace cymbals {
namespace {

constexpr int64_t kQueries = 32, kItems = 256;
constexpr int64_t kScreenedQueries = 64, kWarm = 32;  // of a block; items that are scored before there is a bound
constexpr int64_t kLeastQueries = 256, kLeastItems = 2048, kLeastColumns = 16;  // less does not pay for preparing items

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
    void write(int64_t query, const Scored<T> *places, Best<T> &best) const;
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
    for (int64_t q = 0; q < n; q++) write(first + q, scratch.best.get() + q * places(), best[q]);
}

template <class T>
void Search<T>::write(int64_t query, const Scored<T> *places, Best<T> &best) const {
    const int64_t found = best.finish(), out = query * k;
    for (int64_t i = 0; i < k; i++) {
        const Scored<T> missing = {-std::numeric_limits<T>::infinity(), -1};
        const Scored<T> &here = i < found ? places[i] : missing;
        ids[out + i] = here.item;
        scores[out + i] = here.score;
    }
}

// Memory of one thread that screens.
template <class T>
struct ScreenScratch {
    Buffer<Scored<T>> best;
    Buffer<uint8_t> queries = nullptr, hits = buffer<uint8_t>(kScreenedQueries * Screen<T>::kGroups);
    Buffer<int64_t> where = nullptr;
    Buffer<T> scores = nullptr;
    explicit operator bool() const { return best && queries && hits && where && scores; }
};

// Queries of one block, in all the items that a screen holds.
template <class T>
struct Screened {
    const Search<T> &search;
    const Screen<T> &screen;
    const KernelTable &table;
    ScreenScratch<T> &scratch;
    int64_t first, n;
    Best<T> best[kScreenedQueries];
    typename Screen<T>::Query query[kScreenedQueries];

    void run();

 private:
    void offer(int64_t q, int64_t count);
};

// Scores the items that stand in scratch.where, those to be skipped left out.
template <class T>
void Screened<T>::offer(int64_t q, int64_t count) {
    int64_t *where = scratch.where.get();
    if (const cymbals_csr *skip = search.skip) {
        const int64_t begin = skip->indptr[first + q], end = skip->indptr[first + q + 1];
        count = std::remove_if(where, where + count,
                               [&](int64_t item) {
                                   int64_t low = begin, high = end;
                                   while (low < high) {
                                       const int64_t middle = (low + high) / 2;
                                       if (index_at(*skip, middle) < item)
                                           low = middle + 1;
                                       else
                                           high = middle;
                                   }
                                   return low < end && index_at(*skip, low) == item;
                               }) -
                where;
    }
    T *scores = scratch.scores.get();
    search.kernels.scores(scores, row_of<T>(search.queries, first + q), row_of<T>(search.items, 0), search.items.stride,
                          search.queries.n_cols, where, count);
    for (int64_t i = 0; i < count; i++)
        best[q].offer(where[i], search.scale ? scores[i] * search.scale[where[i]] : scores[i]);
}

template <class T>
void Screened<T>::run() {
    constexpr int64_t groups = Screen<T>::kGroups;
    const int64_t bytes = 4 * screen.quads(), warm = std::min(screen.size(), std::max(kWarm, search.k));
    int64_t active[kScreenedQueries], n_active = 0;
    const uint8_t *pointers[kScreenedQueries];
    int32_t least[kScreenedQueries];
    for (int64_t q = 0; q < n; q++) {
        best[q] = Best<T>(scratch.best.get() + q * search.places(), search.places());
        const bool usable =
            screen.encode(row_of<T>(search.queries, first + q), scratch.queries.get() + q * bytes, &query[q]);
        for (int64_t begin = 0; begin < (usable ? warm : screen.size()); begin += Screen<T>::kItems) {
            const int64_t count = std::min(Screen<T>::kItems, (usable ? warm : screen.size()) - begin);
            for (int64_t i = 0; i < count; i++) scratch.where[i] = screen.item(begin + i);
            offer(q, count);
        }
        if (usable) active[n_active++] = q;
    }
    for (int64_t block = 0; block < screen.blocks() && n_active > 0; block++) {
        n_active = std::remove_if(active, active + n_active,
                                  [&](int64_t q) { return !screen.reaches(query[q], block, best[q].least()); }) -
                   active;
        for (int64_t a = 0; a < n_active; a++) {
            pointers[a] = scratch.queries.get() + active[a] * bytes;
            least[a] = screen.needed(query[active[a]], block, best[active[a]].least());
        }
        table.screen(pointers, n_active, screen.groups(block), groups, screen.quads(), least, scratch.hits.get(),
                     groups);
        for (int64_t a = 0; a < n_active; a++) {
            int64_t count = 0;
            for (int64_t g = 0; g < groups; g++) {
                for (uint32_t hits = scratch.hits[a * groups + g]; hits; hits &= hits - 1) {
                    const int64_t place = block * Screen<T>::kItems + g * kScreenLanes + __builtin_ctz(hits);
                    if (place >= warm && place < screen.size()) scratch.where[count++] = screen.item(place);
                }
            }
            if (count > 0) offer(active[a], count);
        }
    }
}

template <class T>
int32_t run_screened(const Search<T> &search, const KernelTable &table, int32_t n_threads) {
    Screen<T> screen(search.queries.n_cols);
    const int32_t prepared = screen.prepare(search.items, search.list, search.n_items, search.scale, n_threads);
    if (prepared != CYMBALS_OK) return prepared;
    const int64_t blocks = (search.queries.n_rows + kScreenedQueries - 1) / kScreenedQueries;
    bool enough = true;
#pragma omp parallel num_threads(n_threads) reduction(&& : enough)
    {
        ScreenScratch<T> scratch;
        scratch.best = buffer<Scored<T>>(kScreenedQueries * search.places());
        scratch.queries = buffer<uint8_t>(kScreenedQueries * 4 * screen.quads());
        scratch.where = buffer<int64_t>(Screen<T>::kItems);
        scratch.scores = buffer<T>(Screen<T>::kItems);
        enough = bool(scratch);
#pragma omp for schedule(dynamic, 1)
        for (int64_t block = 0; block < blocks; block++) {
            if (!enough) continue;
            const int64_t first = block * kScreenedQueries,
                          n = std::min(kScreenedQueries, search.queries.n_rows - first);
            Screened<T> queries = {search, screen, table, scratch, first, n, {}, {}};
            queries.run();
            for (int64_t q = 0; q < n; q++)
                search.write(first + q, scratch.best.get() + q * search.places(), queries.best[q]);
        }
    }
    return enough ? CYMBALS_OK : CYMBALS_NO_MEMORY;
}

template <class T>
int32_t run(const Search<T> &search, const KernelTable &table, int32_t n_threads) {
    if (table.screen && search.queries.n_rows >= kLeastQueries && search.n_items >= kLeastItems &&
        search.queries.n_cols >= kLeastColumns && search.k <= search.n_items / 16) {
        const int32_t status = run_screened(search, table, n_threads);
        if (status != CYMBALS_BAD_VALUE) return status;  // else factors are not finite, which has no bounds
    }
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
        return run(search, *table, n_threads);
    });
}
