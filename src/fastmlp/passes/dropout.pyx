"""What is random in a step: dropout of the layers' inputs, and noise on the network's, by numbers that lie beside them.

A block's numbers are drawn when it is loaded, once for both passes. They are functions of the seed, the count of
updates, the layer, and an element's row in its batch and column: of nothing that depends on how the batch is cut or
shared out. Mirror: reference/dropout.py, reference/noise.py.
"""
from fastmlp.passes.kernels cimport FM_STREAM_DROPOUT, FM_STREAM_NOISE, fm_row_keys


cdef void draw_numbers(Network *net, Workspace *ws, uint64_t seed, int64_t step, ptrdiff_t first, ptrdiff_t row,
                       ptrdiff_t rows) noexcept nogil:
    """Draw those of rows [row, row + rows) of a workspace, whose first is row `first` of its batch. Noise is added to
    the inputs, and what they drop is dropped."""
    cdef fm_row_keys keys
    cdef ptrdiff_t j
    cdef int l, half
    keys.seed, keys.stream, keys.index, keys.first = seed, FM_STREAM_NOISE, <uint64_t> step, first + row
    if ws.noise[0] != NULL:
        for half in range(2):
            keys.substream = half
            net.kernels.random_rows(&keys, rows, net.layers[0].n_in, ws.noise[half] + row * net.panel, ws.stride)
        for j in range(net.layers[0].in_panels):
            net.kernels.add_noise(rows, vectors_in(net, net.layers[0].n_in - j * net.panel),
                                  ws.noise[0] + j * ws.stride + row * net.panel,
                                  ws.noise[1] + j * ws.stride + row * net.panel, net.noise,
                                  block_of(net, ws, ws.a[0], row, j))
    keys.stream = FM_STREAM_DROPOUT
    for l in range(net.n_layers):
        if ws.numbers[l] != NULL:
            keys.substream = l
            net.kernels.random_rows(&keys, rows, net.layers[l].n_in, ws.numbers[l] + row * net.panel, ws.stride)
    if ws.numbers[0] != NULL:
        for j in range(net.layers[0].in_panels):
            drop_block(net, ws, 0, row, rows, j, block_of(net, ws, ws.a[0], row, j), NULL)
