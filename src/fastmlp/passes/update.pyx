"""The gradient G = A^T D (or G^T = D^T A), one square at a time, updated in the cache: G is never stored whole.

An item is a square of panel x panel weights of one layer, or a layer's biases; it is summed over the whole batch and
updated by one thread, so the sums do not depend on the number of threads. Mirror: reference/update.py.
"""
import numpy as np

from libc.string cimport memcpy

from fastmlp.passes.gemm cimport Ahead, fetch_ahead, gradient_block, vectors_in
from fastmlp.passes.kernels cimport FM_MAX_SCALARS
from fastmlp.passes.plan cimport MAX_STATES, Layer


# Which weights an item stands for, in the matrix that is updated (W, or W^T of a narrow layer).
cdef struct Square:
    int l
    bint bias
    ptrdiff_t i          # block of rows: from row i panel on
    ptrdiff_t j          # panel
    ptrdiff_t rows       # in the square
    ptrdiff_t columns    # from the square's left edge on


cdef ptrdiff_t update_items(Network *net) noexcept nogil:
    cdef ptrdiff_t items = 0
    cdef int l
    for l in range(net.n_layers):
        items += net.layers[l].row_blocks * net.layers[l].column_panels + 1
    return items


cdef size_t scratch_bytes(Network *net) noexcept nogil:
    """What update_item needs of its own: a square of gradients, or the biases' of the widest layer."""
    cdef size_t panels = net.panel
    cdef int l
    for l in range(net.n_layers):
        panels = max(panels, <size_t> net.layers[l].out_panels)
    return panels * net.panel * net.item


cdef Square square_of(Network *net, ptrdiff_t item) noexcept nogil:
    """Items of a layer stand together, those of one panel in a run: the right operand stays in the cache."""
    cdef Square s
    cdef Layer *layer
    cdef ptrdiff_t squares
    s.l = 0
    while True:
        layer = &net.layers[s.l]
        squares = layer.row_blocks * layer.column_panels
        if item <= squares:
            break
        item -= squares + 1
        s.l += 1
    s.bias = item == squares
    s.i = s.j = 0
    if not s.bias:
        s.j = item if layer.row_blocks == 1 else item // layer.row_blocks
        s.i = item - s.j * layer.row_blocks
    s.rows = min(net.panel, layer.rows - s.i * net.panel)
    s.columns = layer.columns - s.j * net.panel
    return s


cdef items_by_panel(Network *net):
    """All items in the order of their panels' places from left to right, those of a panel still in a run: shares of it
    are what the threads work on where layers are split by panels."""
    cdef ptrdiff_t item
    cdef Square s
    places = []
    for item in range(update_items(net)):
        s = square_of(net, item)
        places.append((0.5 if s.bias else (s.j + 0.5) / net.layers[s.l].column_panels, item))
    return np.array([item for _, item in sorted(places)], np.int32)


cdef inline ptrdiff_t offset_of(Network *net, Square *s) noexcept nogil:
    """Bytes from the beginning of a layer's matrix to the square."""
    return (s.j * net.layers[s.l].rows + s.i * net.panel) * net.panel * net.item


cdef inline char *transpose_of(Network *net, Square *s) noexcept nogil:
    """Where the square's transpose belongs; NULL where there is none."""
    cdef Layer *layer = &net.layers[s.l]
    if layer.transposed == NULL:
        return NULL
    return layer.transposed + (s.i * layer.columns + s.j * net.panel) * net.panel * net.item


cdef void what_changes(Network *net, Square *s, bint shared, Ahead *ahead) noexcept nogil:
    """What the update of a square changes and is worth fetching meanwhile: all of it where it is far away, and where
    other threads have read the weights, those, since they have to give them up first."""
    cdef ptrdiff_t offset = offset_of(net, s)
    cdef int slot
    ahead.n = 0
    if not (net.far or shared):
        return
    ahead.blocks[0], ahead.n = net.layers[s.l].updated + offset, 1
    if net.layers[s.l].transposed != NULL:
        ahead.blocks[1], ahead.n = transpose_of(net, s), 2
    for slot in range(net.n_states if net.far else 0):
        ahead.blocks[ahead.n] = net.layers[s.l].weight_state[slot] + offset
        ahead.n += 1


cdef inline void operands_of(Network *net, Workspace *ws, Square *s, const char **a, const char **d) noexcept nogil:
    """The two panels whose product, a^T d, is the square's gradient."""
    cdef ptrdiff_t panel_bytes = ws.stride * net.item
    cdef bint narrow = net.layers[s.l].narrow
    a[0] = (ws.d[s.l + 1] if narrow else ws.a[s.l]) + s.i * panel_bytes
    d[0] = (ws.a[s.l] if narrow else ws.d[s.l + 1]) + s.j * panel_bytes


cdef inline char *place_in(Network *net, Square *s) noexcept nogil:
    """Where the square, or the biases, stand among a network's parameters."""
    return net.layers[s.l].bias if s.bias else net.layers[s.l].updated + offset_of(net, s)


cdef inline ptrdiff_t elements_of(Network *net, Square *s) noexcept nogil:
    """Whole vectors: of the last panel of biases maybe half."""
    if s.bias:
        return (net.layers[s.l].n_out + net.lanes - 1) // net.lanes * net.lanes
    return s.rows * net.panel


cdef void update_item(Network *net, Workspace *ws, ptrdiff_t rows, ptrdiff_t item, Network *before,
                      const double *scalars, int n_scalars, bint shared, char *scratch) noexcept nogil:
    """One square's gradient, and its update; `before` (NULL: nothing) holds the sums over the batch's earlier rows."""
    cdef Square s = square_of(net, item)
    if before != NULL:
        memcpy(scratch, place_in(before, &s), elements_of(net, &s) * net.item)
    if s.bias:
        sum_deltas(net, ws, rows, &s, before != NULL, scratch)
        update_biases(net, &s, scalars, n_scalars, scratch)
    else:
        update_square(net, ws, rows, &s, before != NULL, scalars, shared, scratch)


cdef void update_square(Network *net, Workspace *ws, ptrdiff_t rows, Square *s, bint accumulate,
                        const double *scalars, bint shared, char *g) noexcept nogil:
    """A few rows of the square at a time, a register tile: the processor begins with the products of the next while it
    still divides, and waits for memory, for the one before."""
    cdef const char *a
    cdef const char *d
    cdef Ahead ahead
    cdef ptrdiff_t width = net.panel * net.item, row = 0, n
    cdef ptrdiff_t done = (rows - 1) // net.block_rows * net.block_rows
    operands_of(net, ws, s, &a, &d)
    what_changes(net, s, shared, &ahead)
    if done > 0:
        gradient_block(net, s.rows, done, a, d, s.columns, accumulate, &ahead, g)
        ahead.n = 0
    while row < s.rows:
        n = min(net.kernels.tile_rows, s.rows - row)
        fetch_ahead(net, &ahead, row, n)
        net.kernels.gemm_columns(n, rows - done, a + done * width + row * net.item, d + done * width,
                                 vectors_in(net, s.columns), accumulate or done > 0, g + row * width)
        if not net.far:
            update_rows(net, s, row, n, scalars, g)
        row += n
    if net.far:  # what has been asked for needs longer than one tile to arrive
        update_rows(net, s, 0, s.rows, scalars, g)
    transpose_square(net, s)


cdef inline void update_rows(Network *net, Square *s, ptrdiff_t row, ptrdiff_t rows, const double *scalars,
                             const char *g) noexcept nogil:
    """Rows [row, row + rows) of a square, by their gradient."""
    cdef Layer *layer = &net.layers[s.l]
    cdef ptrdiff_t start = row * net.panel * net.item
    cdef ptrdiff_t offset = offset_of(net, s) + start
    cdef char *state[MAX_STATES]
    cdef int slot
    for slot in range(MAX_STATES):
        state[slot] = NULL if layer.weight_state[slot] == NULL else layer.weight_state[slot] + offset
    net.kernels.optimizer[net.optimizer](rows * net.panel, layer.updated + offset, g + start, state[0], state[1],
                                         scalars)


cdef inline void transpose_square(Network *net, Square *s) noexcept nogil:
    if net.layers[s.l].transposed != NULL:
        net.kernels.transpose(s.rows, min(net.panel, s.columns), net.layers[s.l].updated + offset_of(net, s),
                              transpose_of(net, s))


cdef void update_biases(Network *net, Square *s, const double *scalars, int n_scalars, const char *g) noexcept nogil:
    """Without weight decay, the last scalar, which is for weights."""
    cdef Layer *layer = &net.layers[s.l]
    cdef double undecayed[FM_MAX_SCALARS]
    memcpy(undecayed, scalars, n_scalars * sizeof(double))
    undecayed[n_scalars - 1] = 0
    net.kernels.optimizer[net.optimizer](elements_of(net, s), layer.bias, g, layer.bias_state[0], layer.bias_state[1],
                                         undecayed)


cdef inline void sum_deltas(Network *net, Workspace *ws, ptrdiff_t rows, Square *s, bint accumulate,
                            char *g) noexcept nogil:
    net.kernels.sum_rows(rows, net.layers[s.l].out_panels, ws.d[s.l + 1], ws.stride, accumulate, g)


cdef void update_summed(Network *net, Network **sums, ptrdiff_t n_sums, ptrdiff_t item, const double *scalars,
                        int n_scalars, char *scratch) noexcept nogil:
    """One square's update with the sum of the gradients of a batch's microbatches."""
    cdef Square s = square_of(net, item)
    add_up(net, sums, n_sums, &s, scratch)
    if s.bias:
        update_biases(net, &s, scalars, n_scalars, scratch)
    else:
        update_rows(net, &s, 0, s.rows, scalars, scratch)
        transpose_square(net, &s)


cdef inline void add_up(Network *net, Network **sums, ptrdiff_t n_sums, Square *s, char *g) noexcept nogil:
    """In the order of the microbatches."""
    cdef ptrdiff_t i, n = elements_of(net, s)
    memcpy(g, place_in(sums[0], s), n * net.item)
    for i in range(1, n_sums):
        net.kernels.add(n, place_in(sums[i], s), g)


cdef void gradient_item(Network *net, Workspace *ws, ptrdiff_t rows, ptrdiff_t item, bint accumulate,
                        Network *to) noexcept nogil:
    """The same sums, stored where `to` has its parameters; accumulate goes on where the rows before stopped."""
    cdef Square s = square_of(net, item)
    cdef const char *a
    cdef const char *d
    cdef Ahead nothing
    nothing.n = 0
    if s.bias:
        sum_deltas(net, ws, rows, &s, accumulate, place_in(to, &s))
    else:
        operands_of(net, ws, &s, &a, &d)
        gradient_block(net, s.rows, rows, a, d, s.columns, accumulate, &nothing, place_in(to, &s))


cdef void gradient_summed(Network *net, Network **sums, ptrdiff_t n_sums, ptrdiff_t item, Network *to) noexcept nogil:
    """The sum of the gradients of a batch's microbatches, stored where `to` has its parameters."""
    cdef Square s = square_of(net, item)
    add_up(net, sums, n_sums, &s, place_in(to, &s))
