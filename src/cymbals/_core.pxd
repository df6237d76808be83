# libcymbals as Cython sees it. Every function is the C function of cymbals/cymbals.h.

from libc.stdint cimport int32_t, int64_t, uint8_t

cdef extern from "cymbals/cymbals.h" nogil:
    enum:
        CYMBALS_ABI_VERSION
        CYMBALS_OK, CYMBALS_BAD_ARGUMENT, CYMBALS_NO_MEMORY, CYMBALS_NO_SIMD, CYMBALS_INDEFINITE, CYMBALS_BAD_VALUE
        CYMBALS_FLOAT32, CYMBALS_FLOAT64, CYMBALS_INT32, CYMBALS_INT64
        CYMBALS_LINE_REASONS

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

    ctypedef struct cymbals_solve_options:
        size_t struct_size
        int32_t solver, cg_steps, compact
        double cg_tolerance, relaxation, reg
        const double *row_reg
        void *memory
        int64_t memory_bytes

    ctypedef struct cymbals_solve_info:
        int64_t rows_empty, rows_cg, rows_dual, rows_primal, cg_steps, rows_retried, failed_row

    ctypedef struct cymbals_csr_report:
        int32_t problem
        int64_t row, position

    int32_t cymbals_abi_version() noexcept
    const char *cymbals_version() noexcept
    const char *cymbals_compiler() noexcept
    const char *cymbals_status_message(int32_t status) noexcept
    const char *cymbals_simd_name(int32_t simd) noexcept
    int32_t cymbals_simd_resolve(int32_t simd, int32_t *resolved) noexcept
    int32_t cymbals_gramian(const cymbals_matrix *matrix, double *gram, int32_t n_threads, int32_t simd) noexcept
    int32_t cymbals_rotate(cymbals_matrix *matrix, const double *basis, int32_t n_threads, int32_t simd) noexcept
    int32_t cymbals_half_step(const cymbals_csr *rows, const cymbals_objective *objective, const cymbals_matrix *fixed,
                              const double *spectrum, cymbals_matrix *solved, const cymbals_solve_options *options,
                              cymbals_solve_info *info, int32_t n_threads, int32_t simd) noexcept
    int32_t cymbals_loss(const cymbals_csr *rows, const cymbals_objective *objective, const cymbals_matrix *x,
                         const cymbals_matrix *y, double *loss, int32_t n_threads, int32_t simd) noexcept
    int32_t cymbals_transpose(const cymbals_csr *matrix, int64_t *t_indptr, void *t_indices, int32_t t_index_type,
                              void *t_values, int32_t n_threads) noexcept
    int32_t cymbals_from_triplets(int64_t n, const void *rows, const void *cols, int32_t index_type,
                                  const void *values, int32_t value_type, int64_t n_rows, int64_t n_cols,
                                  int64_t *indptr, void *indices, void *out_values, int32_t n_threads) noexcept
    int32_t cymbals_check_csr(const cymbals_csr *matrix, int64_t n_entries, cymbals_csr_report *report,
                              int32_t n_threads) noexcept
    int32_t cymbals_topk(const cymbals_matrix *queries, const cymbals_matrix *items, const int64_t *item_list,
                         int64_t n_list, const void *item_scale, const cymbals_csr *skip, int64_t k, int64_t *ids,
                         void *scores, int32_t n_threads, int32_t simd) noexcept
    int32_t cymbals_rank_metrics(const cymbals_matrix *users, const cymbals_matrix *items, const cymbals_csr *train,
                                 const cymbals_csr *test, const int64_t *k, int32_t n_k, double *out, uint8_t *covered,
                                 int32_t n_threads, int32_t simd) noexcept
    int32_t cymbals_parse_numbers(const char *text, int64_t size, int32_t n_fields, int64_t *n_lines, int64_t *numbers,
                                  int64_t *n_good, int64_t *rejected, int64_t *first_rejected,
                                  int32_t n_threads) noexcept
    int32_t cymbals_parse_names(const char *text, int64_t size, int64_t *n_lines, int64_t *numbers, int64_t *n_good,
                                int64_t *rejected, int64_t *first_rejected, int32_t n_threads) noexcept
    int32_t cymbals_number_ids(int64_t n, const int64_t *ids, int64_t lowest, int64_t range, int32_t *table,
                               int64_t *n_distinct, int32_t n_threads) noexcept
    int32_t cymbals_look_up_ids(int64_t n, const int64_t *ids, int64_t lowest, int64_t range, const int32_t *table,
                                int32_t *places, int32_t n_threads) noexcept

    ctypedef struct cymbals_peaks:
        size_t struct_size
        double multiply_adds, near_bytes, stream_bytes, gather_rows

    int32_t cymbals_measure_peaks(cymbals_peaks *peaks, int32_t n_threads, int32_t simd) noexcept
