# Gradients of tiles that are kept: for the parts of a batch, for microbatches, for who asks for a gradient (seam B).
from fastmlp.passes.layers cimport GAMMA, SLOPE, Network
from fastmlp.passes.panels cimport packed
from fastmlp.passes.tiles cimport Tile, place_in, summed_in
from fastmlp.passes.workspace cimport Workspace
from libc.string cimport memcpy

cdef void gradient_item(Network *net, Workspace *ws, ptrdiff_t rows, ptrdiff_t item, bint accumulate,
                        Network *to) noexcept nogil
cdef void sum_up(Network *net, Tile *t, char *g) noexcept nogil
cdef void penalise_rows(Network *net, Tile *t, ptrdiff_t row, ptrdiff_t rows, char *g) noexcept nogil
cdef void gradient_finished(Network *net, ptrdiff_t item, Network *to) noexcept nogil
cdef void gradient_summed(Network *net, Network **sums, ptrdiff_t n_sums, ptrdiff_t item, Network *to) noexcept nogil

cdef inline const char *vector_terms(Network *net, Workspace *ws, Tile *t) noexcept nogil:
    """What the gradient of a vector is the sum of, over the rows: of the deltas for biases, of those behind what a
    layer normalises where it does, of what the activation has left beside them for a slope that it learns."""
    if t.vector == SLOPE:
        return ws.terms[t.l + 1]
    if net.layers[t.l].norm:
        return ws.normed[t.l + 1] if t.vector == GAMMA else ws.shifted[t.l + 1]
    return ws.d[t.l + 1]

cdef inline void sum_vector(Network *net, Workspace *ws, ptrdiff_t first, ptrdiff_t rows, Tile *t, bint accumulate,
                            char *g) noexcept nogil:
    """The gradient of a vector: the sum over rows, from row `first` on, of what vector_terms says."""
    net.kernels.sum_rows(rows, net.layers[t.l].out_panels, packed(net, vector_terms(net, ws, t), 0, first, 0),
                         ws.stride, accumulate, g)

cdef inline void finish_vector(Network *net, Tile *t, char *g) noexcept nogil:
    """Make the sums over a whole batch, of each unit, the gradient of a vector: their sum where it is shared."""
    if net.layers[t.l].vectors[t.vector].shared:
        sum_up(net, t, g)

cdef inline void add_up(Network *net, Network **sums, ptrdiff_t n_sums, Tile *t, char *g) noexcept nogil:
    """The sum of the microbatches' gradients of a tile, in the order of the microbatches."""
    cdef ptrdiff_t i, n = summed_in(net, t)
    memcpy(g, place_in(sums[0], t), n * net.item)
    for i in range(1, n_sums):
        net.kernels.add(n, place_in(sums[i], t), g)

cdef inline void add_penalties(Network *net, Tile *t, ptrdiff_t row, ptrdiff_t rows, char *g) noexcept nogil:
    """Add that of the penalties to the gradient of rows [row, row + rows) of a tile of weights, which lies at g. The
    question stands here because every register tile asks it, and to call another pass for it shows in small steps."""
    if net.penalised:
        penalise_rows(net, t, row, rows, g)
