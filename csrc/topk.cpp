// Exact top-k of inner products, in two ways. The plain way multiplies blocks of queries with tiles of items, so that
// the scores of a tile stay in the cache. The other way screens items with products of 8-bit integers: it goes through
// the items from the longest to the shortest, until the remaining ones are too short to be among the best, and computes
// only the scores that a bound cannot rule out. Screening needs many items, prepared for it. cymbals_topk prepares them
// in each call, so it screens only for many queries. An index prepares them once, so it screens for any number of
// queries. Both ways compute a score with the same operations, so their results are the same. Memory of each thread:
// the scores of a tile, and room for k items for each query of a block.

#include <limits>

#include "best.h"
#include "screen.h"
#include "workspace.h"

namespace cymbals {
namespace {

constexpr int64_t kQueries = 32, kItems = 256;        // queries of a block, items of a tile
constexpr int64_t kScreenedQueries = 64, kWarm = 32;  // queries of a block; items scored before screening starts
constexpr int64_t kLeastQueries = 256, kLeastItems = 2048,
                  kLeastColumns = 16;  // with fewer, preparing the items takes longer than screening saves
// Screening needs at least this many items for each of the k results. With fewer items, most of them would have to be
// scored anyway.
constexpr int64_t kLeastChoice = 16;

template <class T>
struct Scratch;

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
    ApiCall &call;

    int64_t places() const { return std::min(k, n_items); }
    int64_t item(int64_t place) const { return list ? list[place] : place; }
    void block(int64_t first, int64_t n, Scratch<T> &scratch) const;
    void write(int64_t query, const Scored<T> *places, Best<T> &best) const;
};

// Memory of one thread.
template <class T>
struct Scratch {
    Buffer<T> scores = buffer<T>(kQueries * kItems), packed;
    Buffer<Scored<T>> best;

    explicit Scratch(const Search<T> &search)
        : packed(buffer<T>(search.list ? kItems * search.queries.n_cols : 1)),
          best(buffer<Scored<T>>(kQueries * search.places())) {}
    explicit operator bool() const { return scores && best && packed; }
};

// Searches all items for queries first to first + n - 1.
template <class T>
void Search<T>::block(int64_t first, int64_t n, Scratch<T> &scratch) const {
    Span span = call.span();
    const int64_t f = queries.n_cols;
    span.add(n, 0, 2.0 * (double)(n * n_items * f), (double)(n_items * f) * (double)sizeof(T));
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

// Memory of one thread, with screening.
template <class T>
struct ScreenScratch {
    Buffer<Scored<T>> best;
    Buffer<uint8_t> queries, hits = buffer<uint8_t>(kScreenedQueries * Screen<T>::kGroups);
    Buffer<int64_t> indices = buffer<int64_t>(Screen<T>::kItems);
    Buffer<T> scores = buffer<T>(Screen<T>::kItems);

    ScreenScratch(const Search<T> &search, const Screen<T> &screen)
        : best(buffer<Scored<T>>(kScreenedQueries * search.places())),
          queries(buffer<uint8_t>(kScreenedQueries * 4 * screen.quads())) {}
    explicit operator bool() const { return best && queries && hits && indices && scores; }
};

// Searches all items of a screen for one block of queries.
template <class T>
struct Screened {
    const Search<T> &search;
    const Screen<T> &screen;
    ScreenScratch<T> &scratch;
    int64_t first, n;
    int64_t scored = 0, screened = 0;  // items scored in full, and blocks screened
    Best<T> best[kScreenedQueries];
    typename Screen<T>::Query query[kScreenedQueries];

    void run();

 private:
    void offer(int64_t q, int64_t count);
};

// Scores the `count` items in scratch.indices, except those to be skipped.
template <class T>
void Screened<T>::offer(int64_t q, int64_t count) {
    int64_t *indices = scratch.indices.get();
    if (const cymbals_csr *skip = search.skip) {
        const int64_t begin = skip->indptr[first + q], end = skip->indptr[first + q + 1];
        count = std::remove_if(indices, indices + count,
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
                indices;
    }
    scored += count;
    T *scores = scratch.scores.get();
    search.kernels.scores(scores, row_of<T>(search.queries, first + q), row_of<T>(search.items, 0), search.items.stride,
                          search.queries.n_cols, indices, count);
    for (int64_t i = 0; i < count; i++)
        best[q].offer(indices[i], search.scale ? scores[i] * search.scale[indices[i]] : scores[i]);
}

template <class T>
void Screened<T>::run() {
    Span span = search.call.span();
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
            for (int64_t i = 0; i < count; i++) scratch.indices[i] = screen.item(begin + i);
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
        screened++;
        search.call.table().screen(pointers, n_active, screen.groups(block), groups, screen.quads(), least,
                                   scratch.hits.get(), groups);
        for (int64_t a = 0; a < n_active; a++) {
            int64_t count = 0;
            for (int64_t g = 0; g < groups; g++) {
                for (uint32_t hits = scratch.hits[a * groups + g]; hits; hits &= hits - 1) {
                    const int64_t place = block * Screen<T>::kItems + g * kScreenLanes + __builtin_ctz(hits);
                    if (place >= warm && place < screen.size()) scratch.indices[count++] = screen.item(place);
                }
            }
            if (count > 0) offer(active[a], count);
        }
    }
    for (int64_t q = 0; q < n; q++) search.write(first + q, scratch.best.get() + q * search.places(), best[q]);
    const double numbers = (double)(scored * search.queries.n_cols);
    span.add(n, 0, 2 * numbers, numbers * (double)sizeof(T) + (double)(screened * screen.block_bytes()));
}

// Calls block(first, n, scratch) for blocks of at most `most` queries, in parallel. Each thread gets its scratch memory
// from make().
template <class Make, class Block>
int32_t for_blocks(ApiCall &call, int64_t n_queries, int64_t most, Make make, Block block) {
    const int64_t share = (n_queries + call.threads() - 1) / call.threads();
    const int64_t at_once = std::clamp(share, std::min<int64_t>(4, most), most);
    const int64_t blocks = (n_queries + at_once - 1) / at_once;
    bool enough = true;
    call.start(n_queries);
#pragma omp parallel num_threads(std::min<int64_t>(call.threads(), blocks)) reduction(&& : enough) if (blocks > 1)
    {
        auto scratch = make();
        enough = bool(scratch);
#pragma omp for schedule(dynamic, 1)
        for (int64_t b = 0; b < blocks; b++) {
            if (!enough || call.cancelled()) continue;
            const int64_t first = b * at_once, n = std::min(at_once, n_queries - first);
            block(first, n, scratch);
            call.advance(n, n_queries);
        }
    }
    if (!enough) return CYMBALS_NO_MEMORY;
    return call.cancelled() ? CYMBALS_CANCELLED : CYMBALS_OK;
}

template <class T>
int32_t run_plain(const Search<T> &search) {
    return for_blocks(
        search.call, search.queries.n_rows, kQueries, [&] { return Scratch<T>(search); },
        [&](int64_t first, int64_t n, Scratch<T> &scratch) { search.block(first, n, scratch); });
}

template <class T>
int32_t run_screened(const Search<T> &search, const Screen<T> &screen) {
    return for_blocks(
        search.call, search.queries.n_rows, kScreenedQueries, [&] { return ScreenScratch<T>(search, screen); },
        [&](int64_t first, int64_t n, ScreenScratch<T> &scratch) {
            Screened<T>{search, screen, scratch, first, n, 0, 0, {}, {}}.run();
        });
}

// Whether screening can save time.
template <class T>
bool screens(const KernelTable &table, int64_t n_items, int64_t f) {
    return table.screen && n_items >= kLeastItems && f >= kLeastColumns;
}

template <class T>
int32_t run(const Search<T> &search) {
    if (screens<T>(search.call.table(), search.n_items, search.queries.n_cols) &&
        search.queries.n_rows >= kLeastQueries && search.k <= search.n_items / kLeastChoice) {
        Screen<T> screen(search.queries.n_cols);
        const int32_t prepared = screen.prepare(search.items, search.list, search.n_items, search.scale, search.call);
        if (prepared == CYMBALS_OK) return run_screened(search, screen);
        // BAD_VALUE: some factors are too large or too small for the bounds, so items are searched without a screen.
        if (prepared != CYMBALS_BAD_VALUE) return prepared;
    }
    return run_plain(search);
}

bool good_items(ApiCall &call, const cymbals_matrix *items, const int64_t *item_list, int64_t n_list) {
    if (!call.matrix("items", items) || (item_list && !call.between("n_list", n_list, 0))) return false;
    for (int64_t i = 0, least = 0; item_list && i < n_list; least = item_list[i++] + 1)
        if (!call.require(item_list[i] >= least && item_list[i] < items->n_rows,
                          "item_list[%lld] is %lld: numbers must increase, below items->n_rows, %lld", (long long)i,
                          (long long)item_list[i], (long long)items->n_rows))
            return false;
    return true;
}

bool good_search(ApiCall &call, const cymbals_matrix *queries, const cymbals_matrix *items, const cymbals_csr *skip,
                 int64_t k, const int64_t *ids, const void *scores) {
    return call.matrix("queries", queries) && (!skip || call.csr("skip", skip, false)) && call.between("k", k, 1) &&
           call.not_null("ids", ids) && call.not_null("scores", scores) &&
           call.equal("queries->type", queries->type, "items->type", items->type) &&
           call.equal("queries->n_cols", queries->n_cols, "items->n_cols", items->n_cols) &&
           (!skip || (call.equal("skip->n_rows", skip->n_rows, "queries->n_rows", queries->n_rows) &&
                      call.equal("skip->n_cols", skip->n_cols, "items->n_rows", items->n_rows)));
}

void choose_threads(ApiCall &call, const cymbals_matrix &queries, int64_t n_items) {
    call.threads((double)queries.n_rows * (double)n_items * (double)queries.n_cols);
}

}  // namespace
}  // namespace cymbals

using namespace cymbals;

extern "C" int32_t cymbals_topk(cymbals_workspace *workspace, const cymbals_matrix *queries,
                                const cymbals_matrix *items, const int64_t *item_list, int64_t n_list,
                                const void *item_scale, const cymbals_csr *skip, int64_t k, int64_t *ids,
                                void *scores) {
    ApiCall call(workspace, CYMBALS_PHASE_TOPK);
    if (!call.ready() || !good_items(call, items, item_list, n_list) ||
        !good_search(call, queries, items, skip, k, ids, scores))
        return CYMBALS_BAD_ARGUMENT;
    const int64_t n_items = item_list ? n_list : items->n_rows;
    choose_threads(call, *queries, n_items);
    return call.end(with_float(items->type, [&](auto zero) {
        using T = decltype(zero);
        return run(Search<T>{*queries, *items, item_list, n_items, static_cast<const T *>(item_scale), skip, k, ids,
                             static_cast<T *>(scores), kernels_of<T>(call.table()), call});
    }));
}

// At most one of the screens is not null: the one for the items' type.
struct cymbals_index {
    cymbals_matrix items;
    const int64_t *list;
    int64_t n_items;
    const void *scale;
    std::unique_ptr<Screen<float>> f32;
    std::unique_ptr<Screen<double>> f64;
};

namespace {
template <class T, class Index>
auto &screen_of(Index &index) {
    if constexpr (sizeof(T) == sizeof(float))
        return index.f32;
    else
        return index.f64;
}
}  // namespace

extern "C" int32_t cymbals_index_create(cymbals_workspace *workspace, const cymbals_matrix *items,
                                        const int64_t *item_list, int64_t n_list, const void *item_scale,
                                        cymbals_index **index) {
    ApiCall call(workspace, CYMBALS_PHASE_INDEX);
    if (index) *index = nullptr;
    if (!call.ready() || !call.not_null("index", index) || !good_items(call, items, item_list, n_list))
        return CYMBALS_BAD_ARGUMENT;
    std::unique_ptr<cymbals_index> made(new (std::nothrow) cymbals_index());
    if (!made) return call.end(CYMBALS_NO_MEMORY);
    made->items = *items;
    made->list = item_list;
    made->n_items = item_list ? n_list : items->n_rows;
    made->scale = item_scale;
    const int32_t status = with_float(items->type, [&](auto zero) {
        using T = decltype(zero);
        if (!screens<T>(call.table(), made->n_items, items->n_cols)) return (int32_t)CYMBALS_OK;
        std::unique_ptr<Screen<T>> screen(new (std::nothrow) Screen<T>(items->n_cols));
        if (!screen) return (int32_t)CYMBALS_NO_MEMORY;
        const int32_t prepared =
            screen->prepare(*items, item_list, made->n_items, static_cast<const T *>(item_scale), call);
        if (prepared == CYMBALS_OK) screen_of<T>(*made) = std::move(screen);
        return prepared == CYMBALS_BAD_VALUE ? (int32_t)CYMBALS_OK : prepared;  // BAD_VALUE: searched without a screen
    });
    if (status == CYMBALS_OK) *index = made.release();
    return call.end(status);
}

extern "C" void cymbals_index_destroy(cymbals_index *index) { delete index; }

extern "C" int64_t cymbals_index_bytes(const cymbals_index *index) {
    if (!index) return 0;
    return (int64_t)sizeof *index + (index->f32 ? index->f32->bytes() : 0) + (index->f64 ? index->f64->bytes() : 0);
}

extern "C" int32_t cymbals_index_topk(cymbals_workspace *workspace, const cymbals_index *index,
                                      const cymbals_matrix *queries, const cymbals_csr *skip, int64_t k, int64_t *ids,
                                      void *scores) {
    ApiCall call(workspace, CYMBALS_PHASE_TOPK);
    if (!call.ready() || !call.not_null("index", index) ||
        !good_search(call, queries, &index->items, skip, k, ids, scores))
        return CYMBALS_BAD_ARGUMENT;
    choose_threads(call, *queries, index->n_items);
    return call.end(with_float(index->items.type, [&](auto zero) {
        using T = decltype(zero);
        const Search<T> search{*queries,
                               index->items,
                               index->list,
                               index->n_items,
                               static_cast<const T *>(index->scale),
                               skip,
                               k,
                               ids,
                               static_cast<T *>(scores),
                               kernels_of<T>(call.table()),
                               call};
        const std::unique_ptr<Screen<T>> &screen = screen_of<T>(*index);
        if (screen && call.table().screen && k <= index->n_items / kLeastChoice) return run_screened(search, *screen);
        return run_plain(search);
    }));
}
