"""The loss of a block of rows and its deltas dE/dz: what stands between the forward and the backward pass (seam A).

Needs forward_rows to have left logits for a fused loss, outputs for any other. Mirror: reference/loss.py.
"""
from fastmlp.passes.kernels cimport fm_loss_rows
from libc.math cimport isfinite


cdef bint loss_rows(Network *net, Workspace *ws, ptrdiff_t row, ptrdiff_t rows) noexcept nogil:
    """Loss, outputs and output deltas of a block of rows; whether every row's loss is finite."""
    cdef int last = net.n_layers
    cdef Layer *layer = &net.layers[last - 1]
    cdef ptrdiff_t r
    cdef bint finite = True
    cdef fm_loss_rows block
    block.rows, block.n_outputs, block.stride = rows, layer.n_out, ws.stride
    block.a = block_of(net, ws, ws.a[last], row, 0)
    block.target = block_of(net, ws, ws.target, row, 0)
    block.labels = ws.labels + row if ws.has_labels else NULL
    block.scale = ws.scale + row * net.item
    block.d = block_of(net, ws, ws.d[last], row, 0)
    block.row_loss = ws.row_loss + row
    net.loss(&block, net.loss_params)
    if not net.fused:
        apply_output_slope(net, ws, row, rows)
    for r in range(row, row + rows):
        finite = finite and isfinite(ws.row_loss[r])
    return finite


cdef void apply_output_slope(Network *net, Workspace *ws, ptrdiff_t row, ptrdiff_t rows) noexcept nogil:
    """From derivatives by the outputs of a block of rows to those by the output layer's signals, in place."""
    cdef int last = net.n_layers
    cdef Layer *layer = &net.layers[last - 1]
    cdef ptrdiff_t j
    if layer.whole_rows:
        net.kernels.activation[layer.activation].backward_rows(
            rows, layer.n_out, kept_block(net, ws, last, row, 0), layer.params,
            block_of(net, ws, ws.d[last], row, 0), ws.stride)
        return
    for j in range(layer.out_panels):
        apply_slope(net, ws, last, row, rows, j)


cdef double add_row_losses(Examples *examples, Workspace *ws, ptrdiff_t start, ptrdiff_t rows,
                           double total) noexcept nogil:
    """total + sum w l over the rows of a part that begins at `start` in the order."""
    cdef ptrdiff_t r, number
    for r in range(rows):
        if examples.weight == NULL:
            total += ws.row_loss[r]
        else:
            number = start + r
            if examples.order != NULL:
                number = <ptrdiff_t> examples.order[number]
            total += examples.weight[number] * ws.row_loss[r]
    return total
