"""The loss of a block of rows, its deltas dE/dz, and D = (D' W^T) f'(Z) back to the first hidden layer.

Needs forward_rows to have left logits for a fused loss, outputs for any other. Mirror: reference/backward.py, loss.py.
"""
from libc.math cimport isfinite

from fastmlp.passes.forward cimport block_of
from fastmlp.passes.gemm cimport multiply_few, multiply_panel
from fastmlp.passes.plan cimport SOFTMAX, Layer


cdef bint loss_rows(Network *net, Workspace *ws, ptrdiff_t row, ptrdiff_t rows) noexcept nogil:
    """Loss, outputs and output deltas of a block of rows; whether every row's loss is finite."""
    cdef int last = net.n_layers
    cdef Layer *layer = &net.layers[last - 1]
    cdef ptrdiff_t j, r
    cdef bint finite = True
    net.loss(rows, layer.n_out, block_of(net, ws, ws.a[last], row, 0), ws.stride, block_of(net, ws, ws.target, row, 0),
             ws.stride, ws.labels + row if ws.has_labels else NULL, ws.scale + row * net.item,
             block_of(net, ws, ws.d[last], row, 0), ws.stride, ws.row_loss + row)
    if not net.fused:
        if layer.activation == SOFTMAX:
            net.kernels.softmax_backward(rows, layer.n_out, block_of(net, ws, ws.a[last], row, 0), ws.stride,
                                         block_of(net, ws, ws.d[last], row, 0), ws.stride)
        else:
            for j in range(layer.out_panels):
                apply_slope(net, ws, last, row, rows, j)
    for r in range(row, row + rows):
        finite = finite and isfinite(ws.row_loss[r])
    return finite


cdef inline void apply_slope(Network *net, Workspace *ws, int l, ptrdiff_t row, ptrdiff_t rows,
                             ptrdiff_t panel) noexcept nogil:
    """d *= f'(z) for one panel of the outputs of layer l - 1."""
    cdef Layer *layer = &net.layers[l - 1]
    net.kernels.activation[layer.activation].backward(
        rows, 1 if layer.n_out - panel * net.panel <= net.lanes else 2, block_of(net, ws, ws.a[l], row, panel),
        layer.param, block_of(net, ws, ws.d[l], row, panel))


cdef void backward_layer(Network *net, Workspace *ws, int l, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t panel,
                         ptrdiff_t panels) noexcept nogil:
    """Panels [panel, panel + panels) of the deltas of layer l's input, from the deltas of its output."""
    cdef Layer *layer = &net.layers[l]
    cdef ptrdiff_t width = net.panel * net.item
    cdef ptrdiff_t j
    cdef const char *d = block_of(net, ws, ws.d[l + 1], row, 0)
    cdef bint few = rows <= net.kernels.few_rows
    if few:
        multiply_few(net, rows, layer.n_out, d, ws.stride, layer.weight_t + panel * layer.n_out * width,
                     min(layer.n_in - panel * net.panel, panels * net.panel), panels,
                     block_of(net, ws, ws.d[l], row, panel), ws.stride)
    for j in range(panel, panel + panels):
        if not few:
            multiply_panel(net, rows, layer.n_out, d, ws.stride, layer.weight_t + j * layer.n_out * width,
                           layer.n_in - j * net.panel, block_of(net, ws, ws.d[l], row, j))
        apply_slope(net, ws, l, row, rows, j)


cdef void backward_rows(Network *net, Workspace *ws, ptrdiff_t row, ptrdiff_t rows) noexcept nogil:
    """All layers but the first, from the output deltas that loss_rows has left."""
    cdef int l
    for l in range(net.n_layers - 1, 0, -1):
        backward_layer(net, ws, l, row, rows, 0, net.layers[l].in_panels)
