"""The loss of a block of rows and its deltas dE/dz: what stands between the forward and the backward pass (seam A).

Needs forward_rows to have left logits for a fused loss, outputs for any other. Mirror: reference/loss.py.
"""
import numpy as np

from fastmlp.passes.kernels cimport fm_loss_rows
from fastmlp.passes.rows cimport number_of, weight_at
from libc.math cimport NAN, isfinite, sqrt


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
    block.heads, block.levels = net.heads, net.levels
    block.weights, block.leaves_nan_out = net.target_weights, net.leaves_nan_out
    if net.loss == NULL:         # of which nothing is known before users_loss
        return True
    net.loss(&block, net.loss_params)
    if not net.fused:
        apply_slopes(net, ws, net.n_layers, row, rows)
    round_output_deltas(net, ws, row, rows)
    if net.loss_factor != 1:
        for r in range(row, row + rows):
            ws.row_loss[r] *= net.loss_factor
    for r in range(row, row + rows):
        finite &= isfinite(ws.row_loss[r])
    return finite


cdef void round_output_deltas(Network *net, Workspace *ws, ptrdiff_t row, ptrdiff_t rows) noexcept nogil:
    """The pairs of a block of rows of the last layer's deltas, where products are of bfloat16."""
    cdef ptrdiff_t j
    for j in range(net.layers[net.n_layers - 1].out_panels if net.pairs != NULL else 0):
        round_deltas(net, ws, net.n_layers, row, rows, j)


cdef void apply_slopes(Network *net, Workspace *ws, int l, ptrdiff_t row, ptrdiff_t rows) noexcept nogil:
    """From derivatives by the outputs of layer l - 1, for a block of rows, to those by its signals, in place."""
    cdef Layer *layer = &net.layers[l - 1]
    cdef ptrdiff_t j
    if layer.pieces > 1:
        net.kernels.maxout_backward(rows, layer.units, layer.pieces, kept_block(net, ws, l, row, 0),
                                    block_of(net, ws, derivatives(ws, l), row, 0), ws.stride)
        return
    if layer.whole_rows and layer.custom == NULL:
        net.kernels.activation[layer.activation].backward_rows(
            rows, layer.n_out, kept_block(net, ws, l, row, 0), layer.params,
            block_of(net, ws, derivatives(ws, l), row, 0), ws.stride)
        return
    for j in range(layer.out_panels):
        apply_slope(net, ws, l, row, rows, j)


cdef double add_row_losses(Network *net, Examples *examples, Workspace *ws, ptrdiff_t start, ptrdiff_t rows,
                           const PerRow *noted, double total) noexcept nogil:
    """total + sum w l over the rows of a part that begins at `start` in the order, after its backward pass."""
    cdef ptrdiff_t r
    if noted.losses != NULL:
        note_rows(net, examples, ws, start, rows, noted)
    if examples.weight != NULL:
        for r in range(rows):
            total += weight_at(examples, start + r) * ws.row_loss[r]
    else:
        for r in range(rows):
            total += ws.row_loss[r]
    return total


cdef inline double row_squares(Network *net, Workspace *ws, ptrdiff_t columns, char *matrix,
                               ptrdiff_t r) noexcept nogil:
    return net.kernels.sum_squares(1, columns, block_of(net, ws, matrix, r, 0), ws.stride)


cdef double slope_squares(Network *net, Workspace *ws, int l, ptrdiff_t r) noexcept nogil:
    """The square of a row's gradient by the slopes that a layer learns."""
    cdef Layer *layer = &net.layers[l]
    cdef double total
    if not layer.vectors[SLOPE].shared:
        return row_squares(net, ws, layer.n_out, ws.terms[l + 1], r)
    total = net.kernels.sum_row(layer.n_out, block_of(net, ws, ws.terms[l + 1], r, 0), ws.stride)
    return total * total


cdef void note_rows(Network *net, Examples *examples, Workspace *ws, ptrdiff_t start, ptrdiff_t rows,
                    const PerRow *noted) noexcept nogil:
    """Note each row's loss, and the norm of its gradient, which by a layer's W is a product of inputs and deltas. Where
    a layer normalises, its deltas are not the derivatives by its biases, and it has gamma, too."""
    cdef ptrdiff_t r, number
    cdef double squares, scale
    cdef Layer *layer
    cdef int l
    for r in range(rows):
        number = number_of(examples, start + r)
        squares = 0
        for l in range(net.n_layers):
            layer = &net.layers[l]
            squares += (row_squares(net, ws, layer.n_out, ws.d[l + 1], r)
                        * (row_squares(net, ws, layer.n_in, ws.a[l], r) + (0 if layer.norm else 1)))
            if layer.vectors[SLOPE].columns:
                squares += slope_squares(net, ws, l, r)
            if layer.norm:
                squares += (row_squares(net, ws, layer.n_out, ws.shifted[l + 1], r)
                            + row_squares(net, ws, layer.n_out, ws.normed[l + 1], r))
        scale = (<float *> ws.scale)[r] if net.item == 4 else (<double *> ws.scale)[r]
        noted.losses[number] = ws.row_loss[r]
        noted.norms[number] = sqrt(squares) / scale * net.loss_factor if scale != 0 else NAN


cdef users_loss(Parameters parameters, Workspace *ws, ptrdiff_t rows):
    """Row losses and deltas of a workspace's first rows by a user's own function, whose outputs are there."""
    cdef Network *net = &parameters.net
    cdef ptrdiff_t r
    cdef double[::1] losses
    outputs = rows_of(parameters, ws, ws.a[net.n_layers], rows)
    targets = rows_of(parameters, ws, ws.target, rows)
    row_loss, gradient = parameters.spec.loss.of(outputs, targets)
    scale = np.empty((rows, 1))
    losses = scale[:, 0].copy()
    for r in range(rows):
        losses[r] = (<float *> ws.scale)[r] if net.item == 4 else (<double *> ws.scale)[r]
    scale[:, 0] = losses
    put_rows(parameters, ws, ws.d[net.n_layers], gradient * scale.astype(gradient.dtype))
    losses = row_loss
    for r in range(rows):
        ws.row_loss[r] = losses[r]
    apply_slopes(net, ws, net.n_layers, 0, rows)
    round_output_deltas(net, ws, 0, rows)


cdef rows_of(Parameters parameters, Workspace *ws, char *matrix, ptrdiff_t rows):
    """Copy the first rows of a matrix as wide as the outputs into an array."""
    cdef Network *net = &parameters.net
    cdef ptrdiff_t columns = net.layers[net.n_layers - 1].n_out
    array = np.empty((rows, columns), parameters.spec.dtype)
    cdef char[:, ::1] to = array.view(np.int8)
    net.kernels.unpack(rows, columns, matrix, ws.stride, &to[0, 0], columns)
    return array


cdef put_rows(Parameters parameters, Workspace *ws, char *matrix, array):
    """Copy an array into the first rows of a matrix as wide as the outputs."""
    cdef Network *net = &parameters.net
    cdef const char[:, ::1] values = array.view(np.int8)
    cdef ptrdiff_t columns = net.layers[net.n_layers - 1].n_out
    net.kernels.pack(values.shape[0], columns, &values[0, 0], columns, matrix, ws.stride)
