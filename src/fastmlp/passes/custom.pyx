"""A user's own activation: Python is asked for the outputs and slopes of a block of rows, by the calling thread.

A network that has one uses no other thread, so what a function raises stays with the workspace until the caller sees
it; until then no function is called again. No mirror in reference/, where such an activation is one as any other.
"""
import numpy as np

from cpython.ref cimport Py_DECREF, Py_INCREF
from fastmlp.passes.layers cimport Layer
from fastmlp.passes.workspace cimport block_of


cdef void users_activation(Network *net, Workspace *ws, int l, ptrdiff_t row, ptrdiff_t rows) noexcept nogil:
    """Put outputs in the place of the signals of layer l, and its slopes beside them where these are kept."""
    if ws.raised == NULL:
        with gil:
            ask(net, ws, l, row, rows)


cdef void ask(Network *net, Workspace *ws, int l, ptrdiff_t row, ptrdiff_t rows) noexcept:
    cdef Layer *layer = &net.layers[l]
    cdef char *a = block_of(net, ws, ws.a[l + 1], row, 0)
    cdef char[:, ::1] to
    try:
        activation = <object> layer.custom
        z = np.empty((rows, layer.n_out), np.float32 if net.item == 4 else np.float64)
        to = z.view(np.int8)
        net.kernels.unpack(rows, layer.n_out, a, ws.stride, &to[0, 0], layer.n_out)
        put(net, ws, layer, a, activation.of(z))
        if ws.kept[l + 1] != NULL:
            put(net, ws, layer, block_of(net, ws, ws.kept[l + 1], row, 0), activation.slope_of(z))
    except BaseException as exception:
        Py_INCREF(exception)
        ws.raised = <void *> exception


cdef put(Network *net, Workspace *ws, Layer *layer, char *matrix, array):
    cdef const char[:, ::1] values = array.view(np.int8)
    net.kernels.pack(values.shape[0], layer.n_out, &values[0, 0], layer.n_out, matrix, ws.stride)


cdef raise_left(Workspace *ws):
    """Raise what a function has left, if it has."""
    if ws.raised == NULL:
        return
    exception = <object> ws.raised
    ws.raised = NULL
    Py_DECREF(exception)
    raise exception
