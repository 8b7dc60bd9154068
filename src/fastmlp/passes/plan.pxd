# Who owns which buffer: the network's parameters, and the workspace of one batch of rows.
from fastmlp.passes.kernels cimport Matrix, fm_kernels, fm_loss_kernel
from libc.stdint cimport int32_t, int64_t

cdef enum:
    MAX_STATES = 2
    SOFTMAX = -1       # as an output "activation": it works along rows, so it is not in the list of elementwise ones
    NO_OPTIMIZER = -1

# One layer's parameters, n_in (I) x n_out (O). Matrices are column panels; a row vector is one row of panels.
cdef struct Layer:
    ptrdiff_t n_in
    ptrdiff_t n_out
    ptrdiff_t in_panels
    ptrdiff_t out_panels
    int activation
    double param
    char *weight                     # I x O, for the forward pass; NULL where that makes dot products with W^T
    char *weight_t                   # O x I, for the backward pass; NULL where neither that nor the update needs it
    char *bias                       # O
    # The update works on one of the two and transposes it into the other: on W, but on W^T where O is so narrow that
    # W's panels would be mostly padding.
    bint narrow
    bint dots                        # so narrow that its product is made of dot products with W^T
    ptrdiff_t rows                   # of the matrix that is updated
    ptrdiff_t columns
    ptrdiff_t row_blocks
    ptrdiff_t column_panels
    char *updated
    char *transposed                 # the other; may be NULL
    char *weight_state[MAX_STATES]   # like updated
    char *bias_state[MAX_STATES]     # like bias

cdef struct Network:
    const fm_kernels *kernels
    ptrdiff_t item                   # bytes of an element
    ptrdiff_t panel                  # columns of a panel
    ptrdiff_t lanes
    ptrdiff_t block_rows             # of a right-hand panel that are taken at once, a multiple of `panel`
    int n_layers
    Layer *layers
    fm_loss_kernel loss
    bint fused                       # the loss starts from logits
    int optimizer
    int n_states
    bint far                         # weights and state do not stay in the caches of the cores from step to step

# Buffers of `capacity` rows. Index l is the input of layer l, so 0 is X's batch and n_layers the output.
cdef struct Workspace:
    ptrdiff_t capacity
    ptrdiff_t stride                 # elements from one panel to the next
    char **a                         # outputs, capacity x width
    char **d                         # deltas dE/dz, capacity x width; NULL where not needed
    char *target                     # y's batch, capacity x n_outputs
    int32_t *labels                  # or its class labels
    bint has_labels                  # which of the two
    char *scale                      # per row: weight / sum of weights
    double *row_loss

# What a run reads: rows of X and y, by their numbers in `order` (NULL: as they come).
cdef struct Examples:
    Matrix x
    Matrix y
    bint labels                      # y holds int32 class labels
    const double *weight             # per row of X, or NULL
    const int64_t *order
    ptrdiff_t rows                   # in the order; of X where there is none

cdef class Parameters:
    cdef Network net
    cdef object spec
    cdef char *arena
    cdef char *state_arena
    cdef size_t updated_bytes        # of the arena: all but the transposes
    cdef size_t state_bytes
    cdef size_t lay_out(self, char *base)
    cdef size_t lay_out_state(self, char *base)
    cdef void refresh_transposes(self) noexcept nogil
    cdef dict checked(self, tensors)

cdef class Copy:
    cdef char *memory
    cdef int64_t n_steps
    cdef size_t parameters_bytes
    cdef size_t state_bytes

cdef enum:
    MAX_MICROBATCHES = 16

cdef enum Purpose:
    PREDICT    # outputs only
    EVALUATE   # and the loss
    TRAIN      # and deltas of every layer

cdef class Buffers:
    cdef Workspace ws
    cdef Purpose purpose
    cdef char *arena
    cdef size_t lay_out(self, Network *net, char *base)

cdef int threads_for(Network *net, ptrdiff_t rows, bint train, int most) except -1
cdef double seconds_per_fma(const fm_kernels *table) except -1
cdef ptrdiff_t row_bytes(Network *net) noexcept
cdef double weight_bytes(Network *net) noexcept nogil
cdef bint share_by_panels(Network *net, ptrdiff_t batch, int threads) noexcept
cdef ptrdiff_t microbatches(Network *net, ptrdiff_t batch) noexcept nogil
cdef ptrdiff_t microbatch_rows(Network *net, ptrdiff_t batch) noexcept nogil
cdef ptrdiff_t part_rows(Network *net, ptrdiff_t batch, bint alone) noexcept
cdef ptrdiff_t row_block(Network *net, ptrdiff_t batch, int threads, bint train) noexcept
cdef ptrdiff_t panel_group(ptrdiff_t panels, int threads) noexcept nogil
cdef double multiply_adds(Network *net, ptrdiff_t rows, bint train) noexcept nogil
cdef double seconds_of_rows(Network *net, ptrdiff_t rows, bint train) except -1
cdef ptrdiff_t rows_between_rests(Network *net, ptrdiff_t batch, int threads) except -1
