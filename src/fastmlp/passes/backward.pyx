"""The backward pass over a block of rows: D = (D' W^T) f'(Z), from the last layer's deltas to the first hidden layer's.

A layer that adds its inputs hands on the derivatives by its outputs as they are, too. Deltas of one that normalises are
those of what it normalises. Mirror: reference/backward.py.
"""
from fastmlp.passes.dropout cimport drop_block
from fastmlp.passes.gemm cimport Left, left_of, left_of_pairs, multiply_few, multiply_panel
from fastmlp.passes.layers cimport BATCH_NORM, LAYER_NORM, Layer
from fastmlp.passes.loss cimport apply_slope, apply_slopes
from fastmlp.passes.norm cimport pull_back_norm, pull_back_panel
from fastmlp.passes.panels cimport packed, pairs_along, panel_row
from fastmlp.passes.workspace cimport block_of, derivatives, round_deltas
from libc.string cimport memcpy


cdef void backward_layer(Network *net, Workspace *ws, int l, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t panel,
                         ptrdiff_t panels) noexcept nogil:
    """Panels [panel, panel + panels) of the deltas of layer l's input, from the deltas of its output."""
    cdef Layer *layer = &net.layers[l]
    cdef Layer *below = &net.layers[l - 1]
    cdef ptrdiff_t j
    cdef const char *weight = layer.weight_t if layer.pairs == NULL else layer.pairs_t
    cdef char *to = derivatives(ws, l)
    cdef bint few = rows <= net.kernels.few_rows
    cdef bint whole = below.whole_rows or below.norm == LAYER_NORM
    cdef Left left
    if layer.pairs == NULL:
        left = left_of(net, block_of(net, ws, ws.d[l + 1], row, 0), ws.stride, layer.n_out)
    else:
        left = left_of_pairs(net, pairs_along(net, ws.d_along[l + 1], ws.stride, row, 0), ws.stride, layer.n_out)
    if few:
        multiply_few(net, rows, &left, packed(net, weight, left.k, 0, panel),
                     min(layer.n_in - panel * net.panel, panels * net.panel), panels,
                     block_of(net, ws, to, row, panel), ws.stride)
    for j in range(panel, panel + panels):
        if not few:
            multiply_panel(net, rows, &left, packed(net, weight, left.k, 0, j), layer.n_in - j * net.panel,
                           block_of(net, ws, to, row, j))
        if layer.residual:
            net.kernels.add(rows * net.panel, block_of(net, ws, ws.through[l + 1], row, j),
                            block_of(net, ws, to, row, j))
        if below.plain:
            apply_slope(net, ws, l, row, rows, j)
            continue
        if below.residual:
            memcpy(block_of(net, ws, ws.through[l], row, j), block_of(net, ws, to, row, j),
                   rows * panel_row(net))
        if ws.numbers[l] != NULL:
            drop_block(net, ws, l, row, rows, j, block_of(net, ws, to, row, j), NULL)
        if not below.whole_rows:
            apply_slope(net, ws, l, row, rows, j)
        if below.norm == BATCH_NORM:
            pull_back_panel(net, ws, l - 1, row, rows, j)
        if net.pairs != NULL and not whole:
            round_deltas(net, ws, l, row, rows, j)
    if below.whole_rows:
        apply_slopes(net, ws, l, row, rows)
    if below.norm == LAYER_NORM:
        pull_back_norm(net, ws, l - 1, row, rows)
    for j in range(below.out_panels if net.pairs != NULL and whole else 0):
        round_deltas(net, ws, l, row, rows, j)


cdef void backward_rows(Network *net, Workspace *ws, ptrdiff_t row, ptrdiff_t rows) noexcept nogil:
    """All layers but the first, from the output deltas that loss_rows has left."""
    cdef int l
    for l in range(net.n_layers - 1, 0, -1):
        backward_layer(net, ws, l, row, rows, 0, net.layers[l].in_panels)
