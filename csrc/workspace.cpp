// Workspaces, and the code that all calls with a workspace share.

#include "workspace.h"

#include <cstdarg>
#include <cstdio>

namespace cymbals {

ApiCall::ApiCall(cymbals_workspace *workspace, int32_t phase) : workspace_(workspace), phase_(phase) {
    if (workspace_ && workspace_->busy.exchange(true, std::memory_order_acquire)) workspace_ = nullptr;
    if (!workspace_) return;
    workspace_->message[0] = 0;
    if (!forked_after_parallel()) n_threads_ = std::min(workspace_->options.n_threads, (int32_t)omp_get_thread_limit());
    if (phase_ != kNoPhase) CYMBALS_PROBE(call_begin, phase_, n_threads_);
    if (workspace_->logs && phase_ != kNoPhase) begin_ = nanoseconds();
}

ApiCall::~ApiCall() {
    if (!workspace_) return;
    if (phase_ != kNoPhase) CYMBALS_PROBE(call_end, phase_, n_threads_);
    if (workspace_->logs && phase_ != kNoPhase)
        workspace_->logs[workspace_->options.n_threads].add(
            {begin_, nanoseconds(), 0, 0, 0, 0, phase_, -1, n_threads_, 0});
    workspace_->busy.store(false, std::memory_order_release);
}

bool ApiCall::ready() {
    if (!workspace_) return false;
    const bool forked = workspace_->options.n_threads > 1 && forked_after_parallel() && workspace_->forks != forks();
    return require(!forked, "workspace: it was made before a fork, which its threads do not survive: make a new one");
}

int32_t ApiCall::threads() {
    if (startable_) return n_threads_;
    startable_ = true;
    const int32_t there = startable(n_threads_);
    if (there < n_threads_) workspace_->startable = std::min(workspace_->startable, there);
    return n_threads_ = there;
}

bool ApiCall::require(bool holds, const char *format, ...) {
    if (holds) return true;
    va_list values;
    va_start(values, format);
    std::vsnprintf(workspace_->message, sizeof workspace_->message, format, values);
    va_end(values);
    return false;
}

bool ApiCall::not_null(const char *name, const void *pointer) { return require(pointer, "%s is null", name); }

bool ApiCall::between(const char *name, int64_t value, int64_t least, int64_t most) {
    if (most == INT64_MAX)
        return require(value >= least, "%s is %lld: it must be at least %lld", name, (long long)value,
                       (long long)least);
    return require(value >= least && value <= most, "%s is %lld: it must lie between %lld and %lld", name,
                   (long long)value, (long long)least, (long long)most);
}

bool ApiCall::equal(const char *name, int64_t value, const char *other, int64_t wanted) {
    return require(value == wanted, "%s is %lld, %s is %lld: they must be equal", name, (long long)value, other,
                   (long long)wanted);
}

bool ApiCall::has_size(const char *name, const void *options, size_t size) {
    if (!not_null(name, options)) return false;
    size_t given_size;
    std::memcpy(&given_size, options, sizeof given_size);
    return require(given_size >= size, "%s->struct_size is %zu: set it to sizeof, %zu", name, given_size, size);
}

bool ApiCall::matrix(const char *name, const cymbals_matrix *m) {
    return has_size(name, m, sizeof(cymbals_matrix)) &&
           require(m->type == CYMBALS_FLOAT32 || m->type == CYMBALS_FLOAT64,
                   "%s->type is %d: it must be CYMBALS_FLOAT32 or CYMBALS_FLOAT64", name, (int)m->type) &&
           require(m->n_rows >= 0 && m->n_cols >= 1, "%s is %lld x %lld: it must have at least 0 rows and 1 column",
                   name, (long long)m->n_rows, (long long)m->n_cols) &&
           require(m->stride >= m->n_cols, "%s->stride is %lld: it must be at least n_cols, %lld", name,
                   (long long)m->stride, (long long)m->n_cols) &&
           require(m->n_cols <= kMostColumns, "%s has %lld columns: at most %lld are possible", name,
                   (long long)m->n_cols, (long long)kMostColumns) &&
           require(m->n_rows <= INT64_MAX / 16 / m->stride,
                   "%s is %lld x %lld with a stride of %lld: no memory is as large", name, (long long)m->n_rows,
                   (long long)m->n_cols, (long long)m->stride) &&
           require(m->data || m->n_rows == 0, "%s->data is null", name);
}

bool ApiCall::csr(const char *name, const cymbals_csr *c, bool values) {
    return has_size(name, c, sizeof(cymbals_csr)) &&
           require(c->n_rows >= 0 && c->n_cols >= 0, "%s is %lld x %lld: neither may be negative", name,
                   (long long)c->n_rows, (long long)c->n_cols) &&
           require(c->indptr, "%s->indptr is null", name) &&
           require(c->index_type == CYMBALS_INT32 || c->index_type == CYMBALS_INT64,
                   "%s->index_type is %d: it must be CYMBALS_INT32 or CYMBALS_INT64", name, (int)c->index_type) &&
           require(!values || c->value_type == CYMBALS_FLOAT32 || c->value_type == CYMBALS_FLOAT64,
                   "%s->value_type is %d: it must be CYMBALS_FLOAT32 or CYMBALS_FLOAT64", name, (int)c->value_type) &&
           require(c->indices || c->indptr[c->n_rows] == 0, "%s->indices is null", name) &&
           require(!values || c->values || c->indptr[c->n_rows] == 0, "%s->values is null", name);
}

int32_t ApiCall::end(int32_t status, int64_t row) {
    if (status == CYMBALS_OK || workspace_->message[0]) return status;
    if (row >= 0)
        require(false, "row %lld: %s", (long long)row, cymbals_status_message(status));
    else
        require(false, "%s", cymbals_status_message(status));
    return status;
}

void ApiCall::start(int64_t total) {
    const cymbals_workspace_options &options = workspace_->options;
    if (options.progress && options.progress(options.progress_context, 0, total))
        cancelled_.store(true, std::memory_order_relaxed);
}

void ApiCall::advance(int64_t rows, int64_t total) {
    const cymbals_workspace_options &options = workspace_->options;
    if (!options.progress) return;
    const int64_t done = done_.fetch_add(rows, std::memory_order_relaxed) + rows;
    if (omp_get_thread_num() == 0 && !cancelled() && options.progress(options.progress_context, done, total))
        cancelled_.store(true, std::memory_order_relaxed);
}

}  // namespace cymbals

using namespace cymbals;

extern "C" int32_t cymbals_workspace_create(const cymbals_workspace_options *options, cymbals_workspace **workspace) {
    constexpr int32_t most_threads = 1 << 16;
    if (!workspace) return CYMBALS_BAD_ARGUMENT;
    *workspace = nullptr;
    if (!options || options->struct_size < sizeof(cymbals_workspace_options) || options->n_threads < 1 ||
        options->n_threads > most_threads)
        return CYMBALS_BAD_ARGUMENT;
    int32_t status;
    const KernelTable *table = kernel_table(options->simd, &status);
    if (!table) return status;
    std::unique_ptr<cymbals_workspace> made(new (std::nothrow) cymbals_workspace());
    if (!made) return CYMBALS_NO_MEMORY;
    made->options = *options;
    made->table = table;
    made->forks = forks();
    made->startable = options->n_threads;
    made->threads.reset(new (std::nothrow) Slot[options->n_threads]);
    if (options->record) made->logs.reset(new (std::nothrow) Log[options->n_threads + 1]);
    if (!made->threads || (options->record && !made->logs)) return CYMBALS_NO_MEMORY;
    *workspace = made.release();
    return CYMBALS_OK;
}

extern "C" void cymbals_workspace_destroy(cymbals_workspace *workspace) { delete workspace; }

extern "C" const char *cymbals_workspace_message(const cymbals_workspace *workspace) {
    return workspace ? workspace->message : "workspace is null";
}

extern "C" int32_t cymbals_workspace_threads(const cymbals_workspace *workspace) {
    return workspace ? workspace->startable : 0;
}

extern "C" int64_t cymbals_workspace_bytes(const cymbals_workspace *workspace) {
    if (!workspace) return 0;
    int64_t bytes = workspace->order.bytes() + workspace->leverage.bytes() + workspace->compact.bytes();
    for (int32_t t = 0; t < workspace->options.n_threads; t++) bytes += workspace->threads[t].bytes();
    return bytes;
}

extern "C" int32_t cymbals_workspace_spans(cymbals_workspace *workspace, const cymbals_span **spans, int64_t *n,
                                           int64_t *lost) {
    ApiCall call(workspace, kNoPhase);
    if (!call.ready() || !call.not_null("spans", spans) || !call.not_null("n", n)) return CYMBALS_BAD_ARGUMENT;
    const int32_t n_logs = workspace->logs ? workspace->options.n_threads + 1 : 0;
    int64_t total = 0, missing = 0;
    for (int32_t l = 0; l < n_logs; l++) total += workspace->logs[l].n, missing += workspace->logs[l].lost;
    workspace->spans = buffer<cymbals_span>(total);
    if (!workspace->spans) return call.end(CYMBALS_NO_MEMORY);
    *n = 0;
    for (int32_t l = 0; l < n_logs; l++) {
        const Log &log = workspace->logs[l];
        std::copy_n(log.spans.get(), log.n, workspace->spans.get() + *n);
        *n += log.n;
    }
    *spans = workspace->spans.get();
    if (lost) *lost = missing;
    return CYMBALS_OK;
}

extern "C" int32_t cymbals_workspace_row_classes(cymbals_workspace *workspace, const cymbals_row_class **classes,
                                                 int64_t *n) {
    ApiCall call(workspace, kNoPhase);
    if (!call.ready() || !call.not_null("classes", classes) || !call.not_null("n", n)) return CYMBALS_BAD_ARGUMENT;
    const int32_t n_threads = workspace->logs ? workspace->options.n_threads : 0;
    workspace->classes = buffer<cymbals_row_class>((int64_t)n_threads * kLengths * kSolvers);
    if (!workspace->classes) return call.end(CYMBALS_NO_MEMORY);
    constexpr int32_t solvers[kSolvers] = {CYMBALS_CG, CYMBALS_DUAL, CYMBALS_PRIMAL};
    *n = 0;
    for (int32_t t = 0; t < n_threads; t++)
        for (int32_t length = 0; length < kLengths; length++)
            for (int32_t solver = 0; solver < kSolvers; solver++) {
                const RowSums &s = workspace->logs[t].sums[length][solver];
                if (s.rows + s.retried == 0) continue;
                workspace->classes[(*n)++] = {t,
                                              solvers[solver],
                                              length,
                                              s.rows,
                                              s.entries,
                                              s.cg_steps,
                                              s.retried,
                                              s.gather_time,
                                              s.solve_time,
                                              s.gather_flops,
                                              s.gather_bytes,
                                              s.solve_flops,
                                              s.solve_bytes};
            }
    *classes = workspace->classes.get();
    return CYMBALS_OK;
}

extern "C" void cymbals_workspace_forget(cymbals_workspace *workspace) {
    ApiCall call(workspace, kNoPhase);
    if (!call.ready() || !workspace->logs) return;
    for (int32_t l = 0; l <= workspace->options.n_threads; l++) {
        Log &log = workspace->logs[l];
        log.n = log.lost = 0;
        std::memset(static_cast<void *>(log.sums), 0, sizeof log.sums);
    }
}
