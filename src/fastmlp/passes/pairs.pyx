"""Operands of products as pairs of bfloat16, made of the floats that all else is computed with.

A product sums up over rows or over columns, so pairs are along rows or down columns: outputs and deltas have both, the
first for the passes, the second for the gradient. Weights have pairs down the columns of W and of W^T. Blocks of rows
begin with even ones. Mirror: reference/bfloat16.py.
"""
from fastmlp.passes.panels cimport packed, pairs_along, pairs_down, pairs_in, place


cdef void round_weights(Network *net, Layer *layer, ptrdiff_t i, ptrdiff_t j) noexcept nogil:
    """The pairs of a tile of the matrix that is updated: of block of rows i, panel j."""
    cdef ptrdiff_t rows = min(net.panel, layer.rows - i * net.panel)
    cdef ptrdiff_t columns = min(net.panel, layer.columns - j * net.panel)
    cdef char *down = layer.pairs_down
    cdef char *along = layer.pairs_along
    if layer.pairs == NULL:
        return
    if down != NULL:
        down = packed(net, down, pairs_in(layer.rows), i * net.panel // 2, j)
    if along != NULL:
        along = packed(net, along, pairs_in(layer.columns), j * net.panel // 2, i)
    net.pairs.round_tile(rows, columns, packed(net, layer.updated, layer.rows, i * net.panel, j), down, along)


cdef void round_layer(Network *net, Layer *layer) noexcept nogil:
    """The pairs of all weights of a layer that has them."""
    cdef ptrdiff_t i, j
    if layer.pairs == NULL:
        return
    for j in range(layer.column_panels):
        for i in range(layer.row_blocks):
            round_weights(net, layer, i, j)


cdef void round_panel(Network *net, const char *matrix, ptrdiff_t stride, ptrdiff_t columns, ptrdiff_t row,
                      ptrdiff_t rows, ptrdiff_t j, char *along, char *down) noexcept nogil:
    """The pairs of rows [row, row + rows) of panel j of a matrix of so many columns; of what is not NULL."""
    if along != NULL:
        along = pairs_along(net, along, stride, row, j)
    if down != NULL:
        down = pairs_down(net, down, stride, row, j)
    net.pairs.round_rows(rows, min(net.panel, columns - j * net.panel), place(net, matrix, stride, row, j), along, down)
