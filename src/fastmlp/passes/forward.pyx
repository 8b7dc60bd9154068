"""The forward pass: gather a block of rows into panels, then Z = A W + b and A' = f(Z), layer by layer.

A block's rows are independent of all others, so any thread may take any block. Mirror: reference/forward.py.
"""
from fastmlp.passes.gemm cimport multiply_few, multiply_panel
from fastmlp.passes.kernels cimport FM_ACTIVATION_identity
from fastmlp.passes.plan cimport SOFTMAX, Layer
from libc.stdint cimport int32_t


cdef void gather(Network *net, Workspace *ws, Examples *examples, Matrix *source, ptrdiff_t start, char *to,
                 ptrdiff_t row, ptrdiff_t rows) noexcept nogil:
    cdef const char *data = source.data
    cdef const int64_t *order = examples.order
    if order == NULL:
        data += (start + row) * source.row_stride
    else:
        order += start + row
    net.kernels.gather[source.source](rows, source.columns, order, examples.rows - (start + row), source.ahead, data,
                                      source.row_stride, source.column_stride, block_of(net, ws, to, row, 0), ws.stride)


cdef void load_inputs(Network *net, Workspace *ws, Examples *examples, ptrdiff_t start, ptrdiff_t row,
                      ptrdiff_t rows) noexcept nogil:
    """Rows [row, row + rows) of the batch that begins at `start` of the order: their inputs."""
    gather(net, ws, examples, &examples.x, start, ws.a[0], row, rows)


cdef void load_targets(Network *net, Workspace *ws, Examples *examples, ptrdiff_t start, ptrdiff_t row,
                       ptrdiff_t rows, double weight_sum) noexcept nogil:
    """The same rows' targets, and each row's scale: its weight's part of the batch's."""
    cdef ptrdiff_t r, number
    cdef int32_t label
    cdef double scale
    if not examples.labels:
        gather(net, ws, examples, &examples.y, start, ws.target, row, rows)
    for r in range(row, row + rows):
        number = start + r if examples.order == NULL else <ptrdiff_t> examples.order[start + r]
        if examples.labels:
            label = (<const int32_t *> (examples.y.data + number * examples.y.row_stride))[0]
            # Checked before the run; but another Python thread may have changed y since.
            ws.labels[r] = label if 0 <= label < net.layers[net.n_layers - 1].n_out else 0
        scale = 1.0 if examples.weight == NULL else examples.weight[number]
        scale = scale / weight_sum if weight_sum != 0 else 0.0
        if net.item == 4:
            (<float *> ws.scale)[r] = <float> scale
        else:
            (<double *> ws.scale)[r] = scale


cdef void forward_layer(Network *net, Workspace *ws, int l, int activation, ptrdiff_t row, ptrdiff_t rows,
                        ptrdiff_t panel, ptrdiff_t panels, char *out) noexcept nogil:
    """Output panels [panel, panel + panels) of layer l, f(A W + b) for an elementwise f, for a block of rows."""
    cdef Layer *layer = &net.layers[l]
    cdef ptrdiff_t j, columns
    cdef ptrdiff_t width = net.panel * net.item
    cdef const char *a = block_of(net, ws, ws.a[l], row, 0)
    cdef char *c
    cdef bint few = rows <= net.kernels.few_rows and not layer.dots
    if few:
        multiply_few(net, rows, layer.n_in, a, ws.stride, layer.weight + panel * layer.n_in * width,
                     min(layer.n_out - panel * net.panel, panels * net.panel), panels,
                     block_of(net, ws, out, row, panel), ws.stride)
    for j in range(panel, panel + panels):
        columns = layer.n_out - j * net.panel
        c = block_of(net, ws, out, row, j)
        if layer.dots:
            net.kernels.gemm_dots(rows, layer.n_in, a, ws.stride, layer.weight_t + j * net.panel * width,
                                  layer.n_out * net.panel, min(columns, net.panel), c)
        elif not few:
            multiply_panel(net, rows, layer.n_in, a, ws.stride, layer.weight + j * layer.n_in * width, columns, c)
        net.kernels.activation[activation].forward(rows, 1 if columns <= net.lanes else 2, layer.bias + j * width,
                                                   layer.param, c)


cdef int elementwise(Network *net, int l, bint logits) noexcept nogil:
    """What forward_layer applies in layer l: a softmax is not elementwise, and a fused loss starts from logits."""
    cdef int activation = net.layers[l].activation
    if activation == SOFTMAX or (logits and l == net.n_layers - 1):
        return FM_ACTIVATION_identity
    return activation


cdef void finish_outputs(Network *net, Workspace *ws, bint logits, ptrdiff_t row, ptrdiff_t rows) noexcept nogil:
    """The softmax of the output layer, where there is one and logits are not wanted."""
    cdef int last = net.n_layers - 1
    if net.layers[last].activation == SOFTMAX and not logits:
        net.kernels.softmax_forward(rows, net.layers[last].n_out, block_of(net, ws, ws.a[last + 1], row, 0), ws.stride)


cdef void forward_rows(Network *net, Workspace *ws, bint logits, ptrdiff_t row, ptrdiff_t rows) noexcept nogil:
    """All layers for a block of rows that load_inputs has put into place."""
    cdef int l
    for l in range(net.n_layers):
        forward_layer(net, ws, l, elementwise(net, l, logits), row, rows, 0, net.layers[l].out_panels, ws.a[l + 1])
    finish_outputs(net, ws, logits, row, rows)
