"""Bounds on the norm of the weights into each unit, after an update: an item is a panel of units, whose norms need all
of their rows.

Mirror: reference/bound.py.
"""
# Norms are those of W's columns, whichever of W and W^T is updated, which depends on the ISA; of W^T's rows where all
# ISAs have that one alone.
from fastmlp.passes.layers cimport Layer
from fastmlp.passes.pairs cimport round_weights
from fastmlp.passes.panels cimport packed
from fastmlp.passes.threads cimport phase_begin, phase_end, phase_next


cdef inline ptrdiff_t items_of(Layer *layer) noexcept nogil:
    if layer.max_norm == 0:
        return 0
    return 1 if layer.dots else layer.out_panels


cdef void bound_phase(Network *net, Team *team, Place *place) noexcept nogil:
    """Scale the units whose norms an update has left too large."""
    cdef ptrdiff_t item, items = 0
    cdef int l
    for l in range(net.n_layers):
        items += items_of(&net.layers[l])
    phase_begin(team, place, items)
    while True:
        item = phase_next(team, place)
        if item < 0:
            break
        l = 0
        while item >= items_of(&net.layers[l]):
            item -= items_of(&net.layers[l])
            l += 1
        bound_panel(net, &net.layers[l], item)
    phase_end(team, place)


cdef void bound_panel(Network *net, Layer *layer, ptrdiff_t j) noexcept nogil:
    """Scale the units of a layer's panel j, in both copies of its weights."""
    cdef ptrdiff_t i, panel = net.panel
    if layer.dots:
        net.kernels.bound_rows(layer.n_out, layer.n_in, layer.max_norm, layer.weight_t, layer.n_out * net.panel)
        return
    if not net.kernels.bound_columns(layer.n_in, layer.max_norm, packed(net, layer.weight, layer.n_in, 0, j)):
        return
    for i in range(layer.in_panels):
        if layer.weight_t != NULL:
            net.kernels.transpose(min(panel, layer.n_in - i * panel), min(panel, layer.n_out - j * panel),
                                  packed(net, layer.weight, layer.n_in, i * panel, j),
                                  packed(net, layer.weight_t, layer.n_out, j * panel, i))
        round_weights(net, layer, j if layer.narrow else i, i if layer.narrow else j)
