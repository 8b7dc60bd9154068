# Where a batch's rows are kept on their way through the network.
from fastmlp.passes.layers cimport Network
from fastmlp.passes.pairs cimport round_panel
from fastmlp.passes.panels cimport place
from libc.stdint cimport int32_t, uint16_t

# Entries of sparse rows, converted: row by row, and once more by blocks of P columns, the rows of each in order; or,
# for an update that is lazy, by those columns that there are, P of which count as a block.
cdef struct Entries:
    ptrdiff_t room                   # for so many; 0: rows are dense
    ptrdiff_t *first                 # per row
    ptrdiff_t *count
    int32_t *columns
    char *values
    ptrdiff_t *block_first           # per block of columns, and its end behind the last one; or per column
    int32_t *block_rows
    int32_t *block_columns           # seen from the block's first
    char *block_values
    bint lazy                        # whether the rest is there
    ptrdiff_t n_touched              # columns that there are,
    int32_t *touched                 # which, in the order in which they first came,
    int32_t *slots                   # and of each of X's, its place there if it has one; else anything

# Buffers of `capacity` rows. Index l is the input of layer l, so 0 is X's batch and n_layers the output.
cdef struct Workspace:
    ptrdiff_t capacity
    ptrdiff_t stride                 # elements from one panel to the next
    char **a                         # outputs, capacity x width
    char **kept                      # slopes, where a layer keeps them, or what an activation gave; else NULL
    char *beside[2]                  # like a[0] and the targets: rows that the last of a block are mixed with; or NULL
    uint16_t *noise[2]               # random numbers like a[0], the upper and the lower halves; NULL without noise
    uint16_t **numbers               # random ones, like a, where a is dropped by them; else NULL
    char **d                         # deltas dE/dz, capacity x width; NULL where not needed
    char **through                   # dE/da of the outputs of layers that add their inputs, like d; else NULL
    char **terms                     # each row's part of the gradient of a learned slope, like d; else NULL
    char **normed                    # what a layer has normalised; NULL where it does not, as the next two
    char **shifted                   # dE/dbeta of rows, like d, from which those come; their dE/dgamma then in `normed`
    char **norm_scale                # per row, or per unit in a step's batch: what it was multiplied by
    char **batch_mean                # per unit, of the batch of a step; NULL where statistics are those that are kept
    char **batch_var                 # as they are, biased
    char **along                     # of a, pairs of bfloat16 along its rows; NULL where no product wants them, as the
    char **down                      # next three: down its columns,
    char **d_along                   # and the same of d
    char **d_down
    char *target                     # y's batch, capacity x n_outputs
    int32_t *labels                  # or its class labels
    bint has_labels                  # which of the two
    char *scale                      # per row: weight / sum of weights
    double *row_loss
    void *raised                     # what a user's own activation raised, until somebody sees it; else NULL
    Entries entries                  # of sparse rows, in the place of a[0]

cdef enum Purpose:
    PREDICT    # outputs only
    EVALUATE   # and the loss
    GRADIENT   # and deltas of every layer
    TRAIN      # and what is random in a step

cdef class Buffers:
    cdef Workspace ws
    cdef Purpose purpose
    cdef bint mixing                 # whether rows are mixed in training
    cdef char *arena
    cdef size_t lay_out(self, Network *net, char *base)
    cdef lay_out_pairs(self, Network *net, int l, char *base, size_t *used)
    cdef lay_out_entries(self, Network *net, char *base, size_t *used)

cdef inline char *block_of(Network *net, Workspace *ws, const char *matrix, ptrdiff_t row,
                           ptrdiff_t panel) noexcept nogil:
    """The address at which a row begins in one of the panels of a workspace's matrix."""
    return place(net, matrix, ws.stride, row, panel)

cdef inline char *derivatives(Workspace *ws, int l) noexcept nogil:
    """The place where derivatives by the outputs of layer l - 1 are made, and multiplied by the slopes: that of its
    deltas, but where it normalises, those come after."""
    return ws.d[l] if ws.shifted[l] == NULL else ws.shifted[l]

cdef inline char *kept_block(Network *net, Workspace *ws, int l, ptrdiff_t row, ptrdiff_t panel) noexcept nogil:
    """The address at which a row begins in what layer l - 1 keeps for the backward pass: slopes or outputs."""
    return block_of(net, ws, ws.a[l] if ws.kept[l] == NULL else ws.kept[l], row, panel)

cdef inline void round_outputs(Network *net, Workspace *ws, int l, ptrdiff_t row, ptrdiff_t rows,
                               ptrdiff_t panel) noexcept nogil:
    """The pairs of a block of rows of one panel of a[l], if products of the next layer want them."""
    if ws.along[l] != NULL and panel < net.layers[l].in_panels:
        round_panel(net, ws.a[l], ws.stride, net.layers[l].n_in, row, rows, panel, ws.along[l], ws.down[l])

cdef inline void round_inputs(Network *net, Workspace *ws, ptrdiff_t row, ptrdiff_t rows) noexcept nogil:
    """The pairs of a block of rows of the network's inputs, in whose place they are complete."""
    cdef ptrdiff_t j
    for j in range(net.layers[0].in_panels if net.pairs != NULL else 0):
        round_outputs(net, ws, 0, row, rows, j)

cdef inline void round_deltas(Network *net, Workspace *ws, int l, ptrdiff_t row, ptrdiff_t rows,
                              ptrdiff_t panel) noexcept nogil:
    """The pairs of a block of rows of one panel of d[l], if products want them."""
    if ws.d_down[l] != NULL:
        round_panel(net, ws.d[l], ws.stride, net.layers[l - 1].n_out, row, rows, panel, ws.d_along[l], ws.d_down[l])
