"""Traces: the signals, outputs and sensitivities of all layers, for who wants to look inside.

Mirror: Engine.trace in reference/engine.py.
"""
import numpy as np

from fastmlp.passes.backward cimport backward_rows
from fastmlp.passes.custom cimport raise_left
from fastmlp.passes.forward cimport forward_layer, forward_rows
from fastmlp.passes.kernels cimport FM_ACTIVATION_identity
from fastmlp.passes.layers cimport Network
from fastmlp.passes.loss cimport apply_slopes, loss_rows, round_output_deltas, users_loss
from fastmlp.passes.plan cimport rows_at_once
from fastmlp.passes.rows cimport load_inputs, load_targets
from fastmlp.passes.workspace cimport GRADIENT, Buffers, Workspace


cdef trace_rows(Parameters parameters, Inputs inputs, by_outputs):
    """(signals, outputs, sensitivities) of all rows: lists with an array per layer.

    Sensitivities begin with the loss, or with derivatives by the outputs if these are given; without both, None.
    """
    cdef Network *net = &parameters.net
    cdef ptrdiff_t total = inputs.rows
    cdef ptrdiff_t most = max(<ptrdiff_t> 1, min(total, rows_at_once(net))), start, rows
    cdef Buffers buffers = Buffers(parameters, most, GRADIENT)
    cdef Workspace *ws = &buffers.ws
    cdef int l, last = net.n_layers - 1
    cdef bint backward = inputs.has_targets or by_outputs is not None
    if inputs.entries is not None:
        raise ValueError("traces are of dense rows")
    spec = parameters.spec
    signals, sensitivities = ([np.empty((total, layer.n_signals), spec.dtype) for layer in spec.layers]
                              for _kind in range(2))
    outputs = [np.empty((total, layer.n_out), spec.dtype) for layer in spec.layers]
    ws.has_labels = inputs.examples.labels
    for start in range(0, total, most):
        rows = min(most, total - start)
        load_inputs(net, ws, &inputs.examples, start, 0, rows)
        forward_rows(net, ws, False, 0, rows)
        raise_left(ws)
        for l in range(net.n_layers):
            copy_out(net, ws, ws.a[l + 1], outputs[l], start, rows)
            # The deltas' buffers are free until the backward pass, and hold the signals for so long.
            forward_layer(net, ws, l, FM_ACTIVATION_identity, 0, rows, 0, net.layers[l].out_panels, ws.d[l + 1])
            copy_out(net, ws, ws.d[l + 1], signals[l], start, rows)
        if not backward:
            continue
        if by_outputs is not None:
            copy_in(net, ws, ws.d[last + 1], last, by_outputs, start, rows)
            apply_slopes(net, ws, net.n_layers, 0, rows)
            round_output_deltas(net, ws, 0, rows)
        else:
            load_targets(net, ws, &inputs.examples, start, 0, rows, 1.0)
            if net.fused:
                forward_layer(net, ws, last, FM_ACTIVATION_identity, 0, rows, 0, net.layers[last].out_panels,
                              ws.a[last + 1])
            loss_rows(net, ws, 0, rows)
            if net.loss == NULL:
                users_loss(parameters, ws, rows)
        backward_rows(net, ws, 0, rows)
        for l in range(net.n_layers):
            copy_out(net, ws, ws.d[l + 1], sensitivities[l], start, rows)
    return signals, outputs, sensitivities if backward else None


cdef copy_out(Network *net, Workspace *ws, char *matrix, array, ptrdiff_t start, ptrdiff_t rows):
    cdef char[:, ::1] to = array[start:start + rows].view(np.int8)
    cdef ptrdiff_t columns = array.shape[1]
    net.kernels.unpack(rows, columns, matrix, ws.stride, &to[0, 0], columns)


cdef copy_in(Network *net, Workspace *ws, char *matrix, int l, array, ptrdiff_t start, ptrdiff_t rows):
    cdef const char[:, ::1] source = array[start:start + rows].view(np.int8)
    cdef ptrdiff_t columns = net.layers[l].n_out
    net.kernels.pack(rows, columns, &source[0, 0], columns, matrix, ws.stride)
