"""The forward pass over a block of rows: Z = A W + b and A' = f(Z), or f(Z) + A, layer by layer.

A block's rows are independent of all others, so any thread may take any block. Mirror: reference/forward.py.
"""
from fastmlp.passes.custom cimport users_activation
from fastmlp.passes.dropout cimport drop_outputs
from fastmlp.passes.gemm cimport Left, left_of, left_of_pairs, multiply_few, multiply_panel
from fastmlp.passes.kernels cimport FM_ACTIVATION_identity
from fastmlp.passes.layers cimport BATCH_NORM, BIAS, LAYER_NORM, SLOPE, Layer, Vector
from fastmlp.passes.norm cimport normalise, normalise_panel
from fastmlp.passes.panels cimport packed, pairs_along, panel_row, panels_in, vectors_in
from fastmlp.passes.sparse cimport has_entries, multiply_entries
from fastmlp.passes.workspace cimport block_of, kept_block, round_inputs, round_outputs
from libc.string cimport memcpy


cdef void forward_layer(Network *net, Workspace *ws, int l, int activation, ptrdiff_t row, ptrdiff_t rows,
                        ptrdiff_t panel, ptrdiff_t panels, char *out) noexcept nogil:
    """Output panels [panel, panel + panels) of layer l for a block of rows: f(A W + b), or A W + b for an f of rows, or
    A W where that is normalised first."""
    cdef Layer *layer = &net.layers[l]
    cdef ptrdiff_t j, columns
    cdef const char *a = block_of(net, ws, ws.a[l], row, 0)
    cdef const char *weight = layer.weight if layer.pairs == NULL else layer.pairs
    cdef Left left
    cdef char *c
    cdef bint sparse = has_entries(ws, l)
    cdef bint few = rows <= net.kernels.few_rows and not layer.dots and not sparse
    if layer.pairs == NULL:
        left = left_of(net, a, ws.stride, layer.n_in)
    else:
        left = left_of_pairs(net, pairs_along(net, ws.along[l], ws.stride, row, 0), ws.stride, layer.n_in)
    if sparse:
        multiply_entries(net, ws, row, rows, panel, panels, out)
    elif few:
        multiply_few(net, rows, &left, packed(net, weight, left.k, 0, panel),
                     min(layer.n_out - panel * net.panel, panels * net.panel), panels,
                     block_of(net, ws, out, row, panel), ws.stride)
    for j in range(panel, panel + panels):
        columns = layer.n_out - j * net.panel
        c = block_of(net, ws, out, row, j)
        if sparse:
            pass
        elif layer.dots:
            net.kernels.gemm_dots(rows, layer.n_in, a, ws.stride, packed(net, layer.weight_t, 0, j * net.panel, 0),
                                  layer.n_out * net.panel, min(columns, net.panel), c)
        elif not few:
            multiply_panel(net, rows, &left, packed(net, weight, left.k, 0, j), columns, c)
        if layer.plain:
            apply_elementwise(net, ws, l, activation, row, rows, j, c)
            continue
        if layer.norm == BATCH_NORM and out == ws.a[l + 1]:
            normalise_panel(net, ws, l, row, rows, j)
        if not layer.norm or (layer.norm == BATCH_NORM and out == ws.a[l + 1]):
            activate(net, ws, l, activation, row, rows, j, out)


cdef inline void apply_elementwise(Network *net, Workspace *ws, int l, int activation, ptrdiff_t row, ptrdiff_t rows,
                                   ptrdiff_t j, char *c) noexcept nogil:
    """One panel c of layer l's products, with the biases, by a function without slopes of its own."""
    cdef Layer *layer = &net.layers[l]
    net.kernels.activation[activation].forward(
        rows, vectors_in(net, layer.n_out - j * net.panel), packed(net, layer.vectors[BIAS].at, 1, 0, j),
        layer.params, c, c if ws.kept[l + 1] == NULL else block_of(net, ws, ws.kept[l + 1], row, j))


cdef inline void activate(Network *net, Workspace *ws, int l, int activation, ptrdiff_t row, ptrdiff_t rows,
                          ptrdiff_t j, char *out) noexcept nogil:
    """One panel of layer l's outputs in the place of its products, or z + b for an f of rows."""
    cdef Layer *layer = &net.layers[l]
    cdef char *c = block_of(net, ws, out, row, j)
    cdef Vector *slope = &layer.vectors[SLOPE]
    if slope.columns and activation == layer.activation:
        net.kernels.activation[activation].forward_units(
            rows, vectors_in(net, layer.n_out - j * net.panel), packed(net, layer.vectors[BIAS].at, 1, 0, j),
            slope.at if slope.shared else packed(net, slope.at, 1, 0, j), slope.shared, c,
            c if ws.kept[l + 1] == NULL else block_of(net, ws, ws.kept[l + 1], row, j))
    else:
        apply_elementwise(net, ws, l, activation, row, rows, j, c)
    if ws.numbers[l + 1] != NULL and not layer.whole_rows:
        drop_outputs(net, ws, l, row, rows, j)
    if layer.residual and not layer.whole_rows and out == ws.a[l + 1]:
        add_inputs(net, ws, l, row, rows, j)
    if net.pairs != NULL and not layer.whole_rows and out == ws.a[l + 1]:
        round_outputs(net, ws, l + 1, row, rows, j)


cdef void add_inputs(Network *net, Workspace *ws, int l, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t j) noexcept nogil:
    """a' = a' + a for one panel of layer l's outputs, of which a copy is kept where the slope is computed from them:
    the dropout before has made it, if there was any."""
    cdef char *c = block_of(net, ws, ws.a[l + 1], row, j)
    if ws.kept[l + 1] != NULL and not net.layers[l].keeps_slopes and ws.numbers[l + 1] == NULL:
        memcpy(block_of(net, ws, ws.kept[l + 1], row, j), c, rows * panel_row(net))
    net.kernels.add(rows * net.panel, block_of(net, ws, ws.a[l], row, j), c)


cdef int elementwise(Network *net, int l, bint logits) noexcept nogil:
    """The activation of forward_layer in layer l: none in the last one where logits are wanted, in a user's own, or of
    several pieces."""
    if net.layers[l].custom != NULL or net.layers[l].pieces > 1 or (logits and l == net.n_layers - 1):
        return FM_ACTIVATION_identity
    return net.layers[l].activation


cdef void finish_rows(Network *net, Workspace *ws, int l, ptrdiff_t row, ptrdiff_t rows) noexcept nogil:
    """The activation of layer l, a function of whole rows or a user's own, with dropout and its inputs."""
    cdef Layer *layer = &net.layers[l]
    cdef ptrdiff_t j
    if layer.custom != NULL:
        users_activation(net, ws, l, row, rows)
    elif layer.pieces > 1:
        net.kernels.maxout(rows, layer.units, layer.pieces, block_of(net, ws, ws.a[l + 1], row, 0), ws.stride,
                           NULL if ws.kept[l + 1] == NULL else block_of(net, ws, ws.kept[l + 1], row, 0))
    else:
        net.kernels.activation[layer.activation].forward_rows(
            rows, layer.n_out, layer.params, block_of(net, ws, ws.a[l + 1], row, 0), ws.stride,
            kept_block(net, ws, l + 1, row, 0))
    for j in range(panels_in(net, layer.units)):
        if ws.numbers[l + 1] != NULL:
            drop_outputs(net, ws, l, row, rows, j)
        if layer.residual:
            add_inputs(net, ws, l, row, rows, j)
        if net.pairs != NULL:
            round_outputs(net, ws, l + 1, row, rows, j)


cdef void finish_outputs(Network *net, Workspace *ws, bint logits, ptrdiff_t row, ptrdiff_t rows) noexcept nogil:
    """The output layer's activation, where it is a function of whole rows and logits are not wanted."""
    if net.layers[net.n_layers - 1].whole_rows and not logits:
        finish_rows(net, ws, net.n_layers - 1, row, rows)


cdef void forward_rows(Network *net, Workspace *ws, bint logits, ptrdiff_t row, ptrdiff_t rows) noexcept nogil:
    """All layers for a block of rows that load_inputs has put into place."""
    cdef ptrdiff_t j
    cdef int l
    round_inputs(net, ws, row, rows)
    for l in range(net.n_layers):
        forward_layer(net, ws, l, elementwise(net, l, logits), row, rows, 0, net.layers[l].out_panels, ws.a[l + 1])
        if net.layers[l].norm == LAYER_NORM:
            normalise(net, ws, l, row, rows)
            for j in range(net.layers[l].out_panels):
                activate(net, ws, l, elementwise(net, l, logits), row, rows, j, ws.a[l + 1])
        if net.layers[l].whole_rows and not (logits and l == net.n_layers - 1):
            finish_rows(net, ws, l, row, rows)
