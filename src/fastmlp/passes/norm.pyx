"""Normalisation between a layer's product and its activation: y = gamma x + beta, x being what has mean 0, variance 1.

beta is the layer's biases, which the activation adds. Layer norm is of whole rows, and of any block of them. Batch norm
is of panels: of all rows of a batch in a step, elsewhere of any block, by the statistics that are kept.
Mirror: reference/norm.py.
"""
from fastmlp.passes.layers cimport BATCH_NORM, GAMMA, RUNNING_MEAN, RUNNING_VAR, Layer
from fastmlp.passes.panels cimport packed, vectors_in
from fastmlp.passes.workspace cimport block_of

cdef double MOMENTUM = 0.1               # share of a batch in the statistics that are kept, as in PyTorch's BatchNorm1d


cdef void normalise(Network *net, Workspace *ws, int l, ptrdiff_t row, ptrdiff_t rows) noexcept nogil:
    """gamma x in the place of layer l's products, for a block of rows; what the backward pass needs of it is kept."""
    cdef Layer *layer = &net.layers[l]
    cdef bint kept = ws.normed[l + 1] != NULL
    net.kernels.normalise_rows(
        rows, layer.n_out, net.norm_epsilon, layer.vectors[GAMMA].at, block_of(net, ws, ws.a[l + 1], row, 0), ws.stride,
        block_of(net, ws, ws.normed[l + 1], row, 0) if kept else NULL,
        ws.norm_scale[l + 1] + row * net.item if kept else NULL)


cdef void pull_back_norm(Network *net, Workspace *ws, int l, ptrdiff_t row, ptrdiff_t rows) noexcept nogil:
    """From derivatives by y of layer l, which are kept, to its deltas, those by its products."""
    cdef Layer *layer = &net.layers[l]
    net.kernels.pull_back_rows(
        rows, layer.n_out, layer.vectors[GAMMA].at, ws.norm_scale[l + 1] + row * net.item,
        block_of(net, ws, ws.shifted[l + 1], row, 0), ws.stride, block_of(net, ws, ws.normed[l + 1], row, 0),
        block_of(net, ws, ws.d[l + 1], row, 0))


cdef inline char *of_panel(Network *net, const char *rows, ptrdiff_t j) noexcept nogil:
    """The place of a panel in a row of numbers, one for each unit."""
    return packed(net, rows, 1, 0, j)


cdef void normalise_panel(Network *net, Workspace *ws, int l, ptrdiff_t row, ptrdiff_t rows,
                          ptrdiff_t j) noexcept nogil:
    """gamma x in the place of one panel of layer l's products; what the backward pass needs of it is kept."""
    cdef Layer *layer = &net.layers[l]
    cdef int vectors = vectors_in(net, layer.n_out - j * net.panel)
    cdef char *gamma = of_panel(net, layer.vectors[GAMMA].at, j)
    cdef char *c = block_of(net, ws, ws.a[l + 1], row, j)
    cdef char *normed = NULL if ws.normed[l + 1] == NULL else block_of(net, ws, ws.normed[l + 1], row, j)
    if ws.batch_mean[l + 1] == NULL:
        net.kernels.normalise_fixed(rows, vectors, net.norm_epsilon, gamma,
                                    of_panel(net, layer.vectors[RUNNING_MEAN].at, j),
                                    of_panel(net, layer.vectors[RUNNING_VAR].at, j), c, normed)
    else:
        net.kernels.normalise_batch(rows, vectors, net.norm_epsilon, gamma, c, normed,
                                    of_panel(net, ws.batch_mean[l + 1], j), of_panel(net, ws.batch_var[l + 1], j),
                                    of_panel(net, ws.norm_scale[l + 1], j))


cdef void pull_back_panel(Network *net, Workspace *ws, int l, ptrdiff_t row, ptrdiff_t rows,
                          ptrdiff_t j) noexcept nogil:
    """From derivatives by one panel of y of layer l, which are kept, to its deltas, those by its products."""
    cdef Layer *layer = &net.layers[l]
    cdef int vectors = vectors_in(net, layer.n_out - j * net.panel)
    cdef char *gamma = of_panel(net, layer.vectors[GAMMA].at, j)
    cdef char *d = block_of(net, ws, ws.d[l + 1], row, j)
    cdef char *normed = block_of(net, ws, ws.normed[l + 1], row, j)
    cdef char *shifted = block_of(net, ws, ws.shifted[l + 1], row, j)
    if ws.batch_mean[l + 1] == NULL:
        net.kernels.pull_back_fixed(rows, vectors, net.norm_epsilon, gamma,
                                    of_panel(net, layer.vectors[RUNNING_VAR].at, j), shifted, normed, d)
    else:
        net.kernels.pull_back_batch(rows, vectors, gamma, of_panel(net, ws.norm_scale[l + 1], j), shifted, normed, d)


cdef void follow_statistics(Network *net, Workspace *ws, ptrdiff_t rows, double average) noexcept nogil:
    """Let the statistics that are kept follow those of a batch of so many rows, with its unbiased variance, and their
    moving average follow them. One row has no variance."""
    cdef Layer *layer
    cdef ptrdiff_t n
    cdef int l, v
    if rows < 2:
        return
    for l in range(net.n_layers):
        layer = &net.layers[l]
        if layer.norm != BATCH_NORM:
            continue
        n = (layer.n_out + net.lanes - 1) // net.lanes * net.lanes
        net.kernels.scale(n, <double> rows / (rows - 1), ws.batch_var[l + 1])
        net.kernels.average(n, ws.batch_mean[l + 1], MOMENTUM, layer.vectors[RUNNING_MEAN].at)
        net.kernels.average(n, ws.batch_var[l + 1], MOMENTUM, layer.vectors[RUNNING_VAR].at)
        if average != 0:
            for v in range(RUNNING_MEAN, RUNNING_VAR + 1):
                net.kernels.average(n, layer.vectors[v].at, average, layer.vectors[v].at + net.average)
