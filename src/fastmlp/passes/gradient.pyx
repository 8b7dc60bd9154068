"""The gradient G = A^T D (or G^T = D^T A) of one tile at a time, stored as a network of gradients has its parameters.

A training stores it only for the parts of a batch and for microbatches: see update.pyx. Mirror: reference/gradient.py.
"""
from fastmlp.passes.gemm cimport Ahead, Operands, gradient_block
from fastmlp.passes.layers cimport WEIGHTS, Layer
from fastmlp.passes.panels cimport packed
from fastmlp.passes.sparse cimport entries_gradient, has_entries
from fastmlp.passes.tiles cimport operands_of, summed_in, tile_of, weights_of
from libc.string cimport memset


cdef void gradient_item(Network *net, Workspace *ws, ptrdiff_t rows, ptrdiff_t item, bint accumulate,
                        Network *to) noexcept nogil:
    """Sums over these rows, stored where `to` has its parameters; accumulate goes on where the rows before stopped."""
    cdef Tile t = tile_of(net, item)
    cdef Operands operands
    cdef Ahead nothing
    nothing.n = 0
    if rows == 0:  # of a share of a batch
        memset(place_in(to, &t), 0, summed_in(net, &t) * net.item)
    elif t.vector != WEIGHTS:
        sum_vector(net, ws, 0, rows, &t, accumulate, place_in(to, &t))
    elif has_entries(ws, t.l):
        entries_gradient(net, ws, &t, accumulate, place_in(to, &t))
    else:
        operands_of(net, ws, &t, 0, rows, &operands)
        gradient_block(net, t.rows, &operands, operands.k, t.columns, accumulate, &nothing, place_in(to, &t))


cdef void sum_up(Network *net, Tile *t, char *g) noexcept nogil:
    """The sum of a row of numbers, one for each unit, in the first's place; the others become 0."""
    cdef ptrdiff_t units = net.layers[t.l].n_out
    cdef double total = net.kernels.sum_row(units, g, net.panel)
    memset(g, 0, units * net.item)
    if net.item == 4:
        (<float *> g)[0] = <float> total
    else:
        (<double *> g)[0] = total


cdef void penalise_rows(Network *net, Tile *t, ptrdiff_t row, ptrdiff_t rows, char *g) noexcept nogil:
    """Add the gradient of a layer's penalties, if it has any, to that of rows of a tile of weights."""
    cdef Layer *layer = &net.layers[t.l]
    if layer.l1 != 0 or layer.l2 != 0:
        net.kernels.regularise(rows * net.panel, weights_of(net, t, layer.updated, row), layer.l1, layer.l2,
                               packed(net, g, 0, row, 0))


cdef void gradient_finished(Network *net, ptrdiff_t item, Network *to) noexcept nogil:
    """Make the sums over a whole batch, of one tile, the gradient of the loss with its penalties."""
    cdef Tile t = tile_of(net, item)
    if t.vector == WEIGHTS:
        add_penalties(net, &t, 0, t.rows, place_in(to, &t))
    else:
        finish_vector(net, &t, place_in(to, &t))


cdef void gradient_summed(Network *net, Network **sums, ptrdiff_t n_sums, ptrdiff_t item, Network *to) noexcept nogil:
    """The sum of the gradients of a batch's microbatches, stored where `to` has its parameters."""
    cdef Tile t = tile_of(net, item)
    add_up(net, sums, n_sums, &t, place_in(to, &t))
