"""Traces: the signals, outputs and sensitivities of all layers, for who wants to look inside.

Mirror: Engine.trace in reference/engine.py.
"""
import numpy as np

from fastmlp.passes.backward cimport backward_rows
from fastmlp.passes.forward cimport forward_layer, forward_rows
from fastmlp.passes.kernels cimport FM_ACTIVATION_identity
from fastmlp.passes.layers cimport Network
from fastmlp.passes.loss cimport loss_rows, users_loss
from fastmlp.passes.plan cimport rows_at_once
from fastmlp.passes.rows cimport load_inputs, load_targets
from fastmlp.passes.workspace cimport GRADIENT, Buffers, Workspace


cdef trace_rows(Parameters parameters, Inputs inputs):
    """(signals, outputs, sensitivities) of all rows: lists with an array per layer; None without targets."""
    cdef Network *net = &parameters.net
    cdef ptrdiff_t total = inputs.rows
    cdef ptrdiff_t most = max(<ptrdiff_t> 1, min(total, rows_at_once(net))), start, rows
    cdef Buffers buffers = Buffers(parameters, most, GRADIENT)
    cdef Workspace *ws = &buffers.ws
    cdef int l, last = net.n_layers - 1
    spec = parameters.spec
    signals, outputs, sensitivities = ([np.empty((total, layer.n_out), spec.dtype) for layer in spec.layers]
                                       for _kind in range(3))
    ws.has_labels = inputs.examples.labels
    for start in range(0, total, most):
        rows = min(most, total - start)
        load_inputs(net, ws, &inputs.examples, start, 0, rows)
        forward_rows(net, ws, False, 0, rows)
        for l in range(net.n_layers):
            copy_out(net, ws, ws.a[l + 1], l, outputs, start, rows)
            # The deltas' buffers are free until the backward pass, and hold the signals for so long.
            forward_layer(net, ws, l, FM_ACTIVATION_identity, 0, rows, 0, net.layers[l].out_panels, ws.d[l + 1])
            copy_out(net, ws, ws.d[l + 1], l, signals, start, rows)
        if not inputs.has_targets:
            continue
        load_targets(net, ws, &inputs.examples, start, 0, rows, 1.0)
        if net.fused:
            forward_layer(net, ws, last, FM_ACTIVATION_identity, 0, rows, 0, net.layers[last].out_panels,
                          ws.a[last + 1])
        loss_rows(net, ws, 0, rows)
        if net.loss == NULL:
            users_loss(parameters, ws, rows)
        backward_rows(net, ws, 0, rows)
        for l in range(net.n_layers):
            copy_out(net, ws, ws.d[l + 1], l, sensitivities, start, rows)
    return signals, outputs, sensitivities if inputs.has_targets else None


cdef copy_out(Network *net, Workspace *ws, char *matrix, int l, arrays, ptrdiff_t start, ptrdiff_t rows):
    cdef char[:, ::1] to = arrays[l][start:start + rows].view(np.int8)
    cdef ptrdiff_t columns = net.layers[l].n_out
    net.kernels.unpack(rows, columns, matrix, ws.stride, &to[0, 0], columns)
