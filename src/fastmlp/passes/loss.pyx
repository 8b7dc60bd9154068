"""The loss of a block of rows and its deltas dE/dz: what stands between the forward and the backward pass (seam A).

Needs forward_rows to have left logits for a fused loss, outputs for any other. Mirror: reference/forward.py.
"""
from fastmlp.passes.layers cimport SOFTMAX
from libc.math cimport isfinite


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
