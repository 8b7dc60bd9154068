# The C tables (csrc/kernels.h) as Cython sees them. Only kernels.pyx links the arithmetic; the other passes reach it
# through the table that a plan points at.
from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t, uint64_t

cdef extern from "kernels.h" nogil:
    ctypedef struct fm_activation_kernels:
        void (*forward)(ptrdiff_t rows, int vectors, const void *bias, const double *params, void *c,
                        void *kept) noexcept nogil
        void (*backward)(ptrdiff_t rows, int vectors, const void *kept, const double *params, void *d) noexcept nogil
        void (*forward_rows)(ptrdiff_t rows, ptrdiff_t n_outputs, const double *params, void *a, ptrdiff_t stride,
                             void *kept) noexcept nogil
        void (*backward_rows)(ptrdiff_t rows, ptrdiff_t n_outputs, const void *kept, const double *params, void *d,
                              ptrdiff_t stride) noexcept nogil
        void (*forward_units)(ptrdiff_t rows, int vectors, const void *bias, const void *learned, bint shared, void *c,
                              void *kept) noexcept nogil
        void (*backward_units)(ptrdiff_t rows, int vectors, const void *kept, const void *learned, bint shared, void *d,
                               void *terms) noexcept nogil

    ctypedef struct fm_loss_rows:
        ptrdiff_t rows
        ptrdiff_t n_outputs
        ptrdiff_t stride
        void *a
        const void *target
        const int32_t *labels
        const void *scale
        void *d
        double *row_loss
        ptrdiff_t heads
        const double *levels
        const double *weights
        int leaves_nan_out

    ctypedef void (*fm_loss_kernel)(const fm_loss_rows *block, const double *params) noexcept nogil
    ctypedef struct fm_shared_columns:
        double weight_decay
        double shrinkage

    ctypedef struct fm_muon_columns:
        double adam_decay
        double smallest_norm
        double consistent_rms
        double hidden_only
        double ns_steps

    ctypedef void (*fm_optimizer_kernel)(ptrdiff_t n, void *w, const void *g, void *const *state,
                                         const double *h) noexcept nogil
    ctypedef void (*fm_gather_kernel)(ptrdiff_t rows, ptrdiff_t columns, const int64_t *order, ptrdiff_t known,
                                      ptrdiff_t ahead, const void *x, ptrdiff_t row_stride, ptrdiff_t column_stride,
                                      const double *shift, const double *scale, void *panels,
                                      ptrdiff_t stride) noexcept nogil
    ctypedef int (*fm_finite_kernel)(ptrdiff_t rows, ptrdiff_t columns, const void *x, ptrdiff_t row_stride,
                                     ptrdiff_t column_stride) noexcept nogil
    ctypedef ptrdiff_t (*fm_entries_kernel)(ptrdiff_t n, const int32_t *columns, const void *values,
                                            ptrdiff_t n_columns, int32_t *to_columns, void *to_values) noexcept nogil
    ctypedef void (*fm_math_kernel)(ptrdiff_t n, const void *x, void *out) noexcept nogil

    ctypedef struct fm_row_keys:
        uint64_t seed
        uint32_t stream
        uint32_t substream
        uint64_t index
        ptrdiff_t first

    ctypedef void (*fm_gemm_rows)(ptrdiff_t rows, ptrdiff_t k, const void *a, ptrdiff_t a_stride, const void *b,
                                  int vectors, int accumulate, void *c) noexcept nogil
    ctypedef void (*fm_gemm_few)(ptrdiff_t rows, ptrdiff_t k, const void *a, ptrdiff_t a_stride, const void *b,
                                 ptrdiff_t b_stride, ptrdiff_t panels, int accumulate, void *c,
                                 ptrdiff_t c_stride) noexcept nogil
    ctypedef void (*fm_gemm_columns)(ptrdiff_t rows, ptrdiff_t k, const void *a, const void *b, int vectors,
                                     int accumulate, void *c) noexcept nogil

    ctypedef double (*fm_loop)(ptrdiff_t iterations, void *sink) noexcept nogil

    ctypedef struct fm_pairs:
        const char *name
        int native
        fm_gemm_rows gemm_rows
        fm_gemm_few gemm_few
        fm_gemm_columns gemm_columns
        void (*round_rows)(ptrdiff_t rows, ptrdiff_t columns, const void *block, void *along, void *down) noexcept nogil
        void (*round_tile)(ptrdiff_t rows, ptrdiff_t columns, const void *tile, void *down,
                           void *transposed) noexcept nogil
        fm_loop dot_loop

    ctypedef struct fm_kernels:
        const char *isa
        const char *dtype
        ptrdiff_t itemsize
        ptrdiff_t lanes
        ptrdiff_t panel
        ptrdiff_t tile_rows
        ptrdiff_t few_rows
        fm_gemm_rows gemm_rows
        fm_gemm_few gemm_few
        fm_gemm_columns gemm_columns
        void (*gemm_dots)(ptrdiff_t rows, ptrdiff_t k, const void *a, ptrdiff_t a_stride, const void *b,
                          ptrdiff_t b_stride, ptrdiff_t columns, void *c) noexcept nogil
        void (*sum_rows)(ptrdiff_t rows, ptrdiff_t panels, const void *b, ptrdiff_t b_stride, int accumulate,
                         void *out) noexcept nogil
        void (*add)(ptrdiff_t n, const void *x, void *out) noexcept nogil
        double (*sum_squares)(ptrdiff_t rows, ptrdiff_t columns, const void *matrix,
                              ptrdiff_t stride) noexcept nogil
        double (*sum_row)(ptrdiff_t columns, const void *row, ptrdiff_t stride) noexcept nogil
        double (*sum_penalties)(ptrdiff_t rows, ptrdiff_t columns, const void *matrix, ptrdiff_t stride, double l1,
                                double l2) noexcept nogil
        void (*square_columns)(ptrdiff_t rows, const void *block, void *out) noexcept nogil
        double (*sum_columns)(ptrdiff_t blocks, ptrdiff_t columns, const void *squares,
                              ptrdiff_t stride) noexcept nogil
        void (*normalise_rows)(ptrdiff_t rows, ptrdiff_t columns, double epsilon, const void *gamma, void *c,
                               ptrdiff_t stride, void *normed, void *scale) noexcept nogil
        void (*pull_back_rows)(ptrdiff_t rows, ptrdiff_t columns, const void *gamma, const void *scale,
                               const void *shifted, ptrdiff_t stride, void *normed, void *d) noexcept nogil
        void (*normalise_batch)(ptrdiff_t rows, int vectors, double epsilon, const void *gamma, void *c, void *normed,
                                void *mean, void *variance, void *scale) noexcept nogil
        void (*pull_back_batch)(ptrdiff_t rows, int vectors, const void *gamma, const void *scale,
                                const void *shifted, void *normed, void *d) noexcept nogil
        void (*normalise_fixed)(ptrdiff_t rows, int vectors, double epsilon, const void *gamma, const void *mean,
                                const void *variance, void *c, void *normed) noexcept nogil
        void (*pull_back_fixed)(ptrdiff_t rows, int vectors, double epsilon, const void *gamma, const void *variance,
                                const void *shifted, void *normed, void *d) noexcept nogil
        fm_activation_kernels *activation
        void (*maxout)(ptrdiff_t rows, ptrdiff_t units, ptrdiff_t pieces, void *a, ptrdiff_t stride,
                       void *kept) noexcept nogil
        void (*maxout_backward)(ptrdiff_t rows, ptrdiff_t units, ptrdiff_t pieces, const void *kept, void *d,
                                ptrdiff_t stride) noexcept nogil
        fm_loss_kernel *loss
        void (*regularise)(ptrdiff_t n, const void *w, double l1, double l2, void *g) noexcept nogil
        void (*scale)(ptrdiff_t n, double factor, void *g) noexcept nogil
        void (*limit)(ptrdiff_t n, double most, void *g) noexcept nogil
        bint (*bound_columns)(ptrdiff_t rows, double most, void *panel) noexcept nogil
        void (*bound_rows)(ptrdiff_t rows, ptrdiff_t columns, double most, void *matrix,
                           ptrdiff_t stride) noexcept nogil
        void (*shrink)(ptrdiff_t n, double share, void *w) noexcept nogil
        void (*average)(ptrdiff_t n, const void *w, double share, void *average) noexcept nogil
        fm_optimizer_kernel *optimizer
        void (*muon_direction)(ptrdiff_t n, const void *g, const void *m, const double *h, void *out) noexcept nogil
        void (*muon_polynomial)(ptrdiff_t rows, bint diagonal, const double *h, const void *a,
                                void *square) noexcept nogil
        void (*muon_step)(ptrdiff_t n, const void *direction, const void *g, double scale, const double *h, void *m,
                          void *w) noexcept nogil
        fm_gather_kernel *gather
        fm_finite_kernel *finite
        fm_entries_kernel *entries
        void (*gemm_entries)(ptrdiff_t n, const int32_t *columns, const void *values, const void *b, ptrdiff_t b_stride,
                             ptrdiff_t vectors, void *c, ptrdiff_t c_stride) noexcept nogil
        void (*dots_entries)(ptrdiff_t n, const int32_t *columns, const void *values, const void *b, ptrdiff_t b_stride,
                             ptrdiff_t n_outputs, void *c) noexcept nogil
        void (*add_entries)(ptrdiff_t n, const int32_t *rows, const int32_t *columns, const void *values, const void *d,
                            int vectors, void *g) noexcept nogil
        void (*pack)(ptrdiff_t rows, ptrdiff_t columns, const void *x, ptrdiff_t row_stride, void *panels,
                     ptrdiff_t stride) noexcept nogil
        void (*unpack)(ptrdiff_t rows, ptrdiff_t columns, const void *panels, ptrdiff_t stride, void *out,
                       ptrdiff_t row_stride) noexcept nogil
        void (*transpose)(ptrdiff_t rows, ptrdiff_t columns, const void *block, void *out) noexcept nogil
        void (*random_rows)(const fm_row_keys *keys, ptrdiff_t rows, ptrdiff_t columns, uint16_t *out,
                            ptrdiff_t stride) noexcept nogil
        void (*drop)(ptrdiff_t rows, int vectors, const uint16_t *numbers, double threshold, double scale, void *c,
                     void *before) noexcept nogil
        void (*add_noise)(ptrdiff_t rows, int vectors, const uint16_t *high, const uint16_t *low, double deviation,
                          void *c) noexcept nogil
        void (*philox)(uint64_t seed, uint32_t stream, uint32_t substream, uint64_t first, ptrdiff_t blocks,
                       uint32_t *out) noexcept nogil
        fm_math_kernel *math
        fm_loop fma_loop

    enum:
        FM_ACTIVATION_identity
        FM_MAX_STATES
        FM_MAX_PARAMS
        FM_SHARED_COUNT
        FM_DOT_COLUMNS
        FM_SOURCE_float64
        FM_SOURCE_float32
        FM_SOURCE_float16
        FM_MATH_softplus
        FM_SOURCE_uint8
        FM_SOURCE_int16
        FM_SOURCE_int32
        FM_SOURCE_int64

cdef extern from "random.h" nogil:
    enum:
        FM_STREAM_DROPOUT
        FM_STREAM_NOISE

# A row-by-row source of X or y, strides in bytes, rows of one of the source dtypes.
cdef struct Matrix:
    const char *data
    ptrdiff_t rows
    ptrdiff_t columns
    ptrdiff_t row_stride
    ptrdiff_t column_stride
    int source
    ptrdiff_t ahead                  # rows in an order after which one is fetched into the caches; 0: none are

cdef const fm_kernels *kernel_table(str isa, str dtype) except NULL
cdef const fm_pairs *pairs_table(str isa) except NULL
cdef int index_of(str kind, str name) except -2
cdef bint activation_keeps_slopes(int activation)
cdef bint activation_is_of_rows(int activation)
cdef int optimizer_states(int optimizer)
cdef int optimizer_n_columns(int optimizer)
cdef int optimizer_column(int optimizer, str name)
cdef str loss_output(int loss)

cdef int source_of(const char *format, Py_ssize_t itemsize) noexcept
cdef int matrix_of(Py_buffer *view, int source, Matrix *matrix) noexcept

cdef class Rows:
    cdef Py_buffer view
    cdef bint held
    cdef Matrix matrix
