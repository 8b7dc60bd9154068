"""Normalisation between a layer's product and its activation: y = gamma x + beta, x being what has mean 0, variance 1.

beta is the layer's biases, which the activation adds. Mirror: reference/norm.py.
"""
from fastmlp.passes.layers cimport GAMMA, Layer
from fastmlp.passes.workspace cimport block_of


cdef void normalise(Network *net, Workspace *ws, int l, ptrdiff_t row, ptrdiff_t rows) noexcept nogil:
    """gamma x in the place of layer l's products, for a block of rows; what the backward pass needs of it is kept."""
    cdef Layer *layer = &net.layers[l]
    cdef bint kept = ws.normed[l + 1] != NULL
    net.kernels.normalise_rows(
        rows, layer.n_out, net.norm_epsilon, layer.vectors[GAMMA].at, block_of(net, ws, ws.a[l + 1], row, 0), ws.stride,
        block_of(net, ws, ws.normed[l + 1], row, 0) if kept else NULL,
        ws.norm_scale[l + 1] + row * net.item if kept else NULL)


cdef void pull_back_norm(Network *net, Workspace *ws, int l, ptrdiff_t row, ptrdiff_t rows) noexcept nogil:
    """From derivatives by y of layer l, in the place of its deltas, to those by its products; those are kept."""
    cdef Layer *layer = &net.layers[l]
    net.kernels.pull_back_rows(
        rows, layer.n_out, layer.vectors[GAMMA].at, ws.norm_scale[l + 1] + row * net.item,
        block_of(net, ws, ws.d[l + 1], row, 0), ws.stride, block_of(net, ws, ws.normed[l + 1], row, 0),
        block_of(net, ws, ws.shifted[l + 1], row, 0))
