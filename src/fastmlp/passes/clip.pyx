"""The norm of a stored gradient: the squares of one tile at a time, added up by whoever needs the sum.

Mirror: reference/clip.py.
"""
# Two steps, so that the first can follow a tile's gradient while that is in the cache, and the second is so little work
# that every thread does all of it, and no phase has to be waited for; it reads what the first has left and nothing of
# the gradient, which others are about to change. A tile leaves the sums of its columns, one row of a panel; a layer's
# vectors leave their sums in the rows behind those of its tiles. The order of all sums depends neither on the ISA's
# panels (see reduce.inl) nor on which of W and W^T is the matrix that is updated: it is that of W, or of W^T where all
# ISAs take that one.
from fastmlp.passes.layers cimport WEIGHTS, Layer
from fastmlp.passes.panels cimport packed, panel_row
from fastmlp.passes.tiles cimport Tile, place_in, tile_of, transpose_of
from libc.math cimport sqrt

cdef double EPSILON = 1e-6               # as PyTorch adds it to the norm


cdef inline bint across(Layer *layer) noexcept nogil:
    """Whether the squares are those of the transpose of what is updated."""
    return layer.narrow and not layer.dots


cdef inline ptrdiff_t blocks_of(Layer *layer) noexcept nogil:
    """Blocks of rows of the matrix whose squares are summed."""
    return layer.column_panels if across(layer) else layer.row_blocks


cdef inline ptrdiff_t rows_of(Layer *layer) noexcept nogil:
    """Rows that a layer leaves."""
    return layer.row_blocks * layer.column_panels + layer.n_vectors


cdef size_t squares_bytes(Network *net) noexcept nogil:
    """Memory for the sums of all layers."""
    cdef size_t rows = 0
    cdef int l
    for l in range(net.n_layers):
        rows += rows_of(&net.layers[l])
    return rows * panel_row(net)


cdef void square_item(Network *gradient, ptrdiff_t item, char *squares) noexcept nogil:
    """Leave the sums of squares of a tile's columns, or that of a vector."""
    cdef Tile t = tile_of(gradient, item)
    cdef Layer *layer = &gradient.layers[t.l]
    cdef ptrdiff_t before = 0, rows = t.rows, i = t.i, j = t.j
    cdef char *block = place_in(gradient, &t)
    cdef int l
    for l in range(t.l):
        before += rows_of(&gradient.layers[l])
    if t.vector != WEIGHTS:
        before += layer.row_blocks * layer.column_panels + t.place
        (<double *> packed(gradient, squares, 0, before, 0))[0] = gradient.kernels.sum_squares(
            1, layer.vectors[t.vector].columns, block, gradient.panel)
        return
    if across(layer):
        rows, i, j = min(gradient.panel, t.columns), t.j, t.i
        gradient.kernels.transpose(t.rows, rows, block, transpose_of(gradient, &t))
        block = transpose_of(gradient, &t)
    gradient.kernels.square_columns(rows, block, packed(gradient, squares, 0, before + j * blocks_of(layer) + i, 0))


cdef double clip_factor(Network *gradient, const char *squares, double most) noexcept nogil:
    """What the gradient has to be multiplied by so that its norm is not more than so much."""
    cdef double total = 0, factor
    cdef ptrdiff_t blocks, columns
    cdef Layer *layer
    cdef int l
    for l in range(gradient.n_layers):
        layer = &gradient.layers[l]
        blocks = blocks_of(layer)
        columns = layer.n_in if layer.dots else layer.n_out
        total += gradient.kernels.sum_columns(blocks, columns, squares, blocks * gradient.panel)
        squares += layer.row_blocks * layer.column_panels * panel_row(gradient)
        for _vector in range(layer.n_vectors):
            total += (<double *> squares)[0]
            squares += panel_row(gradient)
    factor = most / (sqrt(total) + EPSILON)
    return 1 if factor > 1 else factor
