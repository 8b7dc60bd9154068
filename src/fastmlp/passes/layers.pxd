# A network as the passes see it: sizes, pointers, kernels, and what a pass over it costs.
from fastmlp.passes.kernels cimport FM_MAX_PARAMS, FM_MAX_STATES, fm_kernels, fm_loss_kernel, fm_pairs

cdef enum:
    NO_OPTIMIZER = -1
    # Weights of more than this do not stay in a core's second-level cache from one pass to the next.
    WEIGHT_CACHE_BYTES = 1024 * 1024

# What a layer may have beside its weights: rows of numbers, one for each of its units. parameters.pyx has their names.
cdef enum:
    WEIGHTS = -1                     # none of them, where a number stands for either
    BIAS
    GAMMA                            # of what is normalised; the biases are its beta
    SLOPE                            # of an activation that learns it
    N_VECTORS
    # Statistics of a batch norm, which are not trained, but follow those of each batch.
    RUNNING_MEAN = N_VECTORS
    RUNNING_VAR
    N_ROWS                           # of numbers, trained and not

# What of a layer's signals is normalised before its activation.
cdef enum:
    NO_NORM
    LAYER_NORM                       # each row of them
    BATCH_NORM                       # each unit's, over the rows of a batch

cdef struct Vector:
    ptrdiff_t columns                # 0: the layer has no such vector
    bint shared                      # its one number is of all units, and its gradient the sum of theirs
    char *at                         # a row of panels
    char *state[FM_MAX_STATES]       # like it

# One layer's parameters, n_in (I) x n_out (O). Matrices are column panels; a row vector is one row of panels.
cdef struct Layer:
    ptrdiff_t n_in
    ptrdiff_t n_out                  # columns of W
    ptrdiff_t units                  # outputs: as many, or the largest of `pieces` signals each
    ptrdiff_t pieces
    ptrdiff_t in_panels
    ptrdiff_t out_panels
    int activation
    bint keeps_slopes                # of its activation, beside the outputs; else they are computed from these
    bint whole_rows                  # its activation is a function of them
    void *custom                     # a user's own activation, which Python computes (custom.pyx); else NULL
    int norm                         # NO_NORM or what is normalised
    bint residual                    # its inputs are added to its outputs
    bint plain                       # nothing but an elementwise f(z + b) makes its outputs (is_plain)
    double drop_below                # of 2^16 random numbers, those that drop an element of its inputs
    double drop_scale                # what the others are multiplied by; 0 where nothing is dropped
    double[FM_MAX_PARAMS] params     # of the activation
    double l1                        # of its weights, in the loss: l1 |w| + l2 / 2 w^2
    double l2
    double max_norm                  # that the weights into a unit may have after an update; 0: any
    char *weight                     # I x O, for the forward pass; NULL where that makes dot products with W^T
    char *weight_t                   # O x I, for the backward pass; NULL where neither that nor the update needs it
    Vector vectors[N_ROWS]
    int n_vectors                    # that the layer has and trains, and which they are
    int which[N_VECTORS]
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
    char *weight_state[FM_MAX_STATES]   # like updated
    # Pairs of bfloat16, of which products are made where `pairs` is not NULL: of W down its columns, and of W^T, NULL
    # where there is no backward pass. They are made of `updated`, down its columns and along its rows.
    char *pairs
    char *pairs_t
    char *pairs_down
    char *pairs_along

# Columns become (x - shift) * scale as they are read; as they are where the pointers are NULL.
cdef struct Scaling:
    const double *shift
    const double *scale

cdef struct Network:
    const fm_kernels *kernels
    const fm_pairs *pairs            # products of bfloat16; NULL: they are of what `kernels` has
    ptrdiff_t item                   # bytes of an element
    ptrdiff_t panel                  # columns of a panel
    ptrdiff_t lanes
    ptrdiff_t block_rows             # of a right-hand panel that are taken at once, a multiple of `panel`
    int n_layers
    Layer *layers
    fm_loss_kernel loss              # NULL where it is a user's own, which Python computes (loss.pyx)
    double[FM_MAX_PARAMS] loss_params
    ptrdiff_t heads                  # outputs of each target, side by side; predictions have them in their order
    const double *levels             # of each of them, for the loss; NULL where they have none
    const double *target_weights     # of each target's terms in the loss; NULL where they are alike
    bint leaves_nan_out              # targets may be NaN, and have no terms then
    bint deviations                  # of two outputs of each target, the second tells the first's standard deviation
    double loss_factor               # of row losses and deltas: 1, or less for a mean over outputs
    bint fused                       # the loss starts from logits
    bint custom                      # a layer has a user's own activation: one thread does everything
    bint by_rows                     # a hidden layer needs whole rows: layers are not shared out by their panels
    bint penalised                   # a layer's weights are in the loss
    bint bounded                     # a layer's units have a largest norm
    int optimizer
    int n_states
    int n_columns                    # of the optimizer's own in a step's row of the table
    bint whole_matrices              # which it takes, between gradient and update
    bint batch_norm                  # layers are normalised over a batch's rows: a step takes all of them at once
    double norm_epsilon              # what is added to the variances where a layer normalises
    Scaling inputs                   # of X's columns
    Scaling targets                  # of y's, and backwards of the outputs
    double noise                     # standard deviation of what is added to inputs in training
    bint random                      # whether anything is, in a step of training
    ptrdiff_t average                # from a parameter to its moving average, in bytes; 0: there is none
    bint far                         # weights and state do not stay in the caches of the cores from step to step

cdef describe(Layer *to, Network *net, layer, double drop)
cdef fill_params(double *to, params)
cdef int threads_for(Network *net, ptrdiff_t rows, bint train, int most) except -1
cdef bint drops_outputs(Network *net, int l) noexcept nogil
cdef bint changes_outputs(Network *net, int l) noexcept nogil
cdef bint is_plain(Network *net, int l) noexcept nogil
cdef double seconds_per_fma(Network *net) except -1
cdef ptrdiff_t row_bytes(Network *net) noexcept
cdef double weight_bytes(Network *net) noexcept nogil
cdef double multiply_adds_of_matrices(Network *net) noexcept nogil
cdef double multiply_adds(Network *net, ptrdiff_t rows, bint train) noexcept nogil
cdef double seconds_of_rows(Network *net, ptrdiff_t rows, bint train) except -1
cdef double seconds_alone(Network *net, ptrdiff_t rows) except -1
