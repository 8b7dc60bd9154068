"""Dropout: random numbers beside the inputs of all layers that are dropped, and the products that these decide about.

A block's numbers are drawn when it is loaded, once for both passes. They are functions of the seed, the count of
updates, the layer, and an element's row in its batch and column: of nothing that depends on how the batch is cut or
shared out. Mirror: reference/dropout.py.
"""
from fastmlp.passes.kernels cimport FM_STREAM_DROPOUT, fm_row_keys


cdef void draw_numbers(Network *net, Workspace *ws, uint64_t seed, int64_t step, ptrdiff_t first, ptrdiff_t row,
                       ptrdiff_t rows) noexcept nogil:
    """Draw those of rows [row, row + rows) of a workspace, whose first is row `first` of its batch, and drop inputs."""
    cdef fm_row_keys keys
    cdef ptrdiff_t j
    cdef int l
    keys.seed, keys.stream, keys.index, keys.first = seed, FM_STREAM_DROPOUT, <uint64_t> step, first + row
    for l in range(net.n_layers):
        if ws.numbers[l] != NULL:
            keys.substream = l
            net.kernels.random_rows(&keys, rows, net.layers[l].n_in, ws.numbers[l] + row * net.panel, ws.stride)
    if ws.numbers[0] != NULL:
        for j in range(net.layers[0].in_panels):
            drop_block(net, ws, 0, row, rows, j, block_of(net, ws, ws.a[0], row, j), NULL)
