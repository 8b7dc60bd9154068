"""The forward pass over a block of rows: Z = A W + b and A' = f(Z), layer by layer.

A block's rows are independent of all others, so any thread may take any block. Mirror: reference/forward.py.
"""
from fastmlp.passes.gemm cimport multiply_few, multiply_panel
from fastmlp.passes.kernels cimport FM_ACTIVATION_identity
from fastmlp.passes.layers cimport SOFTMAX, Layer
from fastmlp.passes.panels cimport packed, vectors_in
from fastmlp.passes.workspace cimport block_of


cdef void forward_layer(Network *net, Workspace *ws, int l, int activation, ptrdiff_t row, ptrdiff_t rows,
                        ptrdiff_t panel, ptrdiff_t panels, char *out) noexcept nogil:
    """Output panels [panel, panel + panels) of layer l, f(A W + b) for an elementwise f, for a block of rows."""
    cdef Layer *layer = &net.layers[l]
    cdef ptrdiff_t j, columns
    cdef const char *a = block_of(net, ws, ws.a[l], row, 0)
    cdef char *c
    cdef bint few = rows <= net.kernels.few_rows and not layer.dots
    if few:
        multiply_few(net, rows, layer.n_in, a, ws.stride, packed(net, layer.weight, layer.n_in, 0, panel),
                     min(layer.n_out - panel * net.panel, panels * net.panel), panels,
                     block_of(net, ws, out, row, panel), ws.stride)
    for j in range(panel, panel + panels):
        columns = layer.n_out - j * net.panel
        c = block_of(net, ws, out, row, j)
        if layer.dots:
            net.kernels.gemm_dots(rows, layer.n_in, a, ws.stride, packed(net, layer.weight_t, 0, j * net.panel, 0),
                                  layer.n_out * net.panel, min(columns, net.panel), c)
        elif not few:
            multiply_panel(net, rows, layer.n_in, a, ws.stride, packed(net, layer.weight, layer.n_in, 0, j), columns,
                           c)
        net.kernels.activation[activation].forward(rows, vectors_in(net, columns), packed(net, layer.bias, 1, 0, j),
                                                   layer.param, c)


cdef int elementwise(Network *net, int l, bint logits) noexcept nogil:
    """The activation of forward_layer in layer l: a softmax is not elementwise, and a fused loss starts from logits."""
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
