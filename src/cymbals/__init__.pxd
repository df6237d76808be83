"""libcymbals for Cython: ``cimport cymbals``, then call cymbals.cymbals_half_step and so on. cymbals/cymbals.h documents
them; a test compares these declarations with it.

Compile with ``cymbals.get_include()``; link with ``cymbals.get_library_dir()`` and ``cymbals``, or define
CYMBALS_USE_CAPSULE and call ``cymbals_import()`` once instead.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

cdef extern from "cymbals/cymbals.h" nogil:
    enum:
        CYMBALS_ABI_VERSION
        CYMBALS_OK, CYMBALS_BAD_ARGUMENT, CYMBALS_NO_MEMORY, CYMBALS_NO_SIMD, CYMBALS_INDEFINITE, CYMBALS_BAD_VALUE
        CYMBALS_TOO_HEAVY, CYMBALS_BAD_INDEX
        CYMBALS_CANCELLED
        CYMBALS_FLOAT32, CYMBALS_FLOAT64, CYMBALS_INT32, CYMBALS_INT64
        CYMBALS_AUTO, CYMBALS_BASELINE, CYMBALS_AVX2, CYMBALS_AVX512
        CYMBALS_HU, CYMBALS_IALS, CYMBALS_EXPLICIT
        CYMBALS_LINEAR, CYMBALS_LOG, CYMBALS_BINARY, CYMBALS_TOTAL
        CYMBALS_SOLVER_AUTO, CYMBALS_CG, CYMBALS_EXACT, CYMBALS_DUAL, CYMBALS_PRIMAL
        CYMBALS_COMPACT_NEVER, CYMBALS_COMPACT_LARGE, CYMBALS_COMPACT_ALWAYS, CYMBALS_HEAVIEST_COMPACT
        CYMBALS_CSR_GOOD, CYMBALS_CSR_INDPTR, CYMBALS_CSR_INDEX, CYMBALS_CSR_NAN, CYMBALS_CSR_UNSORTED
        CYMBALS_CSR_NEGATIVE, CYMBALS_CSR_ZERO
        CYMBALS_LINE_FIELDS, CYMBALS_LINE_NUMBER, CYMBALS_LINE_NEGATIVE, CYMBALS_LINE_RANGE, CYMBALS_LINE_EMPTY
        CYMBALS_LINE_REASONS
        CYMBALS_PHASE_OTHER, CYMBALS_PHASE_GRAM, CYMBALS_PHASE_ROTATE, CYMBALS_PHASE_WHITEN, CYMBALS_PHASE_SOLVE
        CYMBALS_PHASE_LOSS, CYMBALS_PHASE_TRANSPOSE, CYMBALS_PHASE_TRIPLETS, CYMBALS_PHASE_CHECK, CYMBALS_PHASE_INDEX
        CYMBALS_PHASE_TOPK, CYMBALS_PHASE_METRICS, CYMBALS_PHASES

    ctypedef struct cymbals_workspace:
        pass

    ctypedef struct cymbals_index:
        pass

    ctypedef int32_t (*cymbals_progress)(void *context, int64_t done, int64_t total) noexcept nogil

    ctypedef struct cymbals_workspace_options:
        size_t struct_size
        int32_t n_threads, simd
        cymbals_progress progress
        void *progress_context
        int32_t record

    ctypedef struct cymbals_csr:
        size_t struct_size
        int64_t n_rows, n_cols
        const int64_t *indptr
        const void *indices
        int32_t index_type
        const void *values
        int32_t value_type

    ctypedef struct cymbals_matrix:
        size_t struct_size
        void *data
        int64_t n_rows, n_cols, stride
        int32_t type

    ctypedef struct cymbals_objective:
        size_t struct_size
        int32_t kind, confidence
        double alpha, epsilon, alpha0

    ctypedef struct cymbals_copy:
        size_t struct_size
        int64_t n_rows
        const int32_t *pairs
        const float *leverage
        const int64_t *rows

    ctypedef struct cymbals_part:
        size_t struct_size
        double least_reg, most_reg
        int32_t prepared
        const cymbals_copy *copy

    ctypedef struct cymbals_solve_options:
        size_t struct_size
        int32_t solver, cg_steps
        double cg_tolerance, relaxation
        int32_t compact
        double reg
        const double *row_reg
        const cymbals_matrix *prior
        const cymbals_part *part

    ctypedef struct cymbals_solve_info:
        int64_t rows_empty, rows_cg, rows_dual, rows_primal, cg_steps, rows_retried, failed_row

    ctypedef struct cymbals_csr_report:
        int32_t problem
        int64_t row, position

    ctypedef struct cymbals_peaks:
        size_t struct_size
        double multiply_adds, near_bytes, stream_bytes, gather_rows

    ctypedef struct cymbals_span:
        int64_t begin, end, rows, entries
        double flops, bytes
        int32_t phase, thread, n_threads, reserved

    ctypedef struct cymbals_row_class:
        int32_t thread, solver, length
        int64_t rows, entries, cg_steps, retried, gather_time, solve_time
        double gather_flops, gather_bytes, solve_flops, solve_bytes

    ctypedef struct cymbals_api:
        size_t struct_size
        int32_t abi_version_of_table

    int cymbals_import() except -1 with gil  # only with CYMBALS_USE_CAPSULE

    int32_t cymbals_abi_version() noexcept
    const char *cymbals_version() noexcept
    const char *cymbals_compiler() noexcept
    const char *cymbals_status_message(int32_t status) noexcept
    const char *cymbals_simd_name(int32_t simd) noexcept
    int32_t cymbals_simd_resolve(int32_t simd, int32_t *resolved) noexcept
    int32_t cymbals_workspace_create(const cymbals_workspace_options *options,
                                     cymbals_workspace **workspace) noexcept
    void cymbals_workspace_destroy(cymbals_workspace *workspace) noexcept
    const char *cymbals_workspace_message(const cymbals_workspace *workspace) noexcept
    int32_t cymbals_workspace_threads(const cymbals_workspace *workspace) noexcept
    int64_t cymbals_workspace_bytes(const cymbals_workspace *workspace) noexcept
    int32_t cymbals_gram(cymbals_workspace *workspace, const cymbals_matrix *matrix, double *gram) noexcept
    int32_t cymbals_gram_segments(int64_t n_rows, int64_t n_cols, int64_t *n_segments, int64_t *begins) noexcept
    int32_t cymbals_gram_parts(cymbals_workspace *workspace, const cymbals_matrix *matrix, int64_t n_segments,
                               const int64_t *begins, double *sums) noexcept
    int32_t cymbals_basis(cymbals_workspace *workspace, int64_t f, const double *values, const double *vectors,
                          double alpha0, double *spectrum, double *basis) noexcept
    int32_t cymbals_rotate(cymbals_workspace *workspace, cymbals_matrix *matrix, const double *basis) noexcept
    int32_t cymbals_half_step(cymbals_workspace *workspace, const cymbals_csr *rows,
                              const cymbals_objective *objective, const cymbals_matrix *fixed,
                              const double *spectrum, cymbals_matrix *solved, const cymbals_solve_options *options,
                              cymbals_solve_info *info) noexcept
    int32_t cymbals_compress(cymbals_workspace *workspace, const cymbals_matrix *fixed, const double *spectrum,
                             double least_reg, double most_reg, int32_t *pairs, float *leverage) noexcept
    int32_t cymbals_half_step_bytes(cymbals_workspace *workspace, const cymbals_csr *rows,
                                    const cymbals_matrix *fixed, const cymbals_solve_options *options,
                                    int64_t *bytes) noexcept
    int32_t cymbals_solve_row(cymbals_workspace *workspace, int64_t n, const void *indices, int32_t index_type,
                              const void *values, int32_t value_type, const cymbals_objective *objective,
                              const cymbals_matrix *fixed, const double *spectrum, void *solved,
                              const cymbals_solve_options *options, cymbals_solve_info *info) noexcept
    int32_t cymbals_loss(cymbals_workspace *workspace, const cymbals_csr *rows, const cymbals_objective *objective,
                         const cymbals_matrix *x, const cymbals_matrix *y, double *loss) noexcept
    int32_t cymbals_transpose(cymbals_workspace *workspace, const cymbals_csr *matrix, int64_t *t_indptr,
                              void *t_indices, int32_t t_index_type, void *t_values) noexcept
    int32_t cymbals_from_triplets(cymbals_workspace *workspace, int64_t n, const void *rows, const void *cols,
                                  int32_t index_type, const void *values, int32_t value_type, int64_t n_rows,
                                  int64_t n_cols, int64_t *indptr, void *indices, void *out_values) noexcept
    int32_t cymbals_check_csr(cymbals_workspace *workspace, const cymbals_csr *matrix, int64_t n_entries,
                              cymbals_csr_report *report) noexcept
    int32_t cymbals_topk(cymbals_workspace *workspace, const cymbals_matrix *queries, const cymbals_matrix *items,
                         const int64_t *item_list, int64_t n_list, const void *item_scale, const cymbals_csr *skip,
                         int64_t k, int64_t *ids, void *scores) noexcept
    int32_t cymbals_index_create(cymbals_workspace *workspace, const cymbals_matrix *items, const int64_t *item_list,
                                 int64_t n_list, const void *item_scale, cymbals_index **index) noexcept
    void cymbals_index_destroy(cymbals_index *index) noexcept
    int64_t cymbals_index_bytes(const cymbals_index *index) noexcept
    int32_t cymbals_index_topk(cymbals_workspace *workspace, const cymbals_index *index,
                               const cymbals_matrix *queries, const cymbals_csr *skip, int64_t k, int64_t *ids,
                               void *scores) noexcept
    int32_t cymbals_rank_metrics(cymbals_workspace *workspace, const cymbals_matrix *users,
                                 const cymbals_matrix *items, const cymbals_csr *train, const cymbals_csr *test,
                                 const double *item_novelty, const int64_t *k, int32_t n_k, double *out,
                                 uint8_t *covered) noexcept
    int32_t cymbals_parse_numbers(cymbals_workspace *workspace, const char *text, int64_t size, int32_t n_fields,
                                  int64_t *n_lines, int64_t *numbers, int64_t *n_good, int64_t *rejected,
                                  int64_t *first_rejected) noexcept
    int32_t cymbals_parse_names(cymbals_workspace *workspace, const char *text, int64_t size, int64_t *n_lines,
                                int64_t *numbers, int64_t *n_good, int64_t *rejected,
                                int64_t *first_rejected) noexcept
    int32_t cymbals_number_ids(cymbals_workspace *workspace, int64_t n, const int64_t *ids, int64_t lowest,
                               int64_t range, int32_t *table, int64_t *n_distinct) noexcept
    int32_t cymbals_look_up_ids(cymbals_workspace *workspace, int64_t n, const int64_t *ids, int64_t lowest,
                                int64_t range, const int32_t *table, int32_t *places) noexcept
    int32_t cymbals_renumber(cymbals_workspace *workspace, int64_t n, const void *codes, int32_t code_type,
                             int64_t range, const int32_t *table, int32_t *places, uint8_t *used) noexcept
    int32_t cymbals_count_ids(cymbals_workspace *workspace, int64_t n, const int64_t *ids, int64_t lowest,
                              int64_t range, int64_t *counts, int32_t *codes) noexcept
    int32_t cymbals_code_ids(cymbals_workspace *workspace, int64_t n, const int64_t *ids, int64_t n_slots,
                             int64_t *slots, int64_t most, int64_t *known, int64_t *counts, int64_t *n_known,
                             int32_t *codes, int64_t *n_done) noexcept
    int32_t cymbals_code_texts(cymbals_workspace *workspace, int64_t n, const int64_t *offsets, const char *text,
                               int64_t n_slots, int64_t *slots, int64_t most, int64_t most_bytes,
                               int64_t *known_offsets, char *known, int64_t *counts, int64_t *n_known, int32_t *codes,
                               int64_t *n_done) noexcept
    int32_t cymbals_group(cymbals_workspace *workspace, int64_t n, const int32_t *rows, int32_t shift, int64_t first,
                          int64_t n_rows, const int32_t *table, int64_t n_groups, int64_t *begins, int32_t n_fields,
                          const void *const *fields, void *const *grouped, const int32_t *bytes) noexcept
    int32_t cymbals_merge_rows(cymbals_workspace *workspace, const cymbals_csr *matrix, int64_t n_entries,
                               const cymbals_csr *changes, int64_t n_rows, const int64_t *rows, int64_t *indptr,
                               void *indices, void *values) noexcept
    int32_t cymbals_draw_normal(cymbals_workspace *workspace, uint64_t key, int32_t stream, int64_t first_row,
                                double scale, cymbals_matrix *matrix) noexcept
    int32_t cymbals_measure_peaks(cymbals_workspace *workspace, cymbals_peaks *peaks) noexcept
    int32_t cymbals_workspace_spans(cymbals_workspace *workspace, const cymbals_span **spans, int64_t *n,
                                    int64_t *lost) noexcept
    int32_t cymbals_workspace_row_classes(cymbals_workspace *workspace, const cymbals_row_class **classes,
                                          int64_t *n) noexcept
    void cymbals_workspace_forget(cymbals_workspace *workspace) noexcept
    const cymbals_api *cymbals_functions() noexcept
