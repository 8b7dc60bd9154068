"""Tiles of weights: how many items of work they are, in which order, and the memory that an item needs.

An item is a tile of P x P weights of one layer, or one of a layer's vectors; it is summed over the whole batch and
updated by one thread, so the sums do not depend on the number of threads. Mirror: reference/plan.py.
"""
import numpy as np


cdef ptrdiff_t count_tiles(Network *net) noexcept nogil:
    """Items of a phase over all tiles: those of the weights and, for each layer, its vectors."""
    cdef ptrdiff_t items = 0
    cdef int l
    for l in range(net.n_layers):
        items += weight_tiles(net, l) + net.layers[l].n_vectors
    return items


cdef tiles_by_panel(Network *net):
    """All items in the order of their panels' places from left to right, those of a panel still in a run: shares of it
    are what the threads work on where layers are split by panels."""
    cdef ptrdiff_t item
    cdef Tile t
    places = []
    for item in range(count_tiles(net)):
        t = tile_of(net, item)
        places.append((0.5 if t.vector != WEIGHTS else (t.j + 0.5) / net.layers[t.l].column_panels, item))
    return np.array([item for _, item in sorted(places)], np.int32)


cdef size_t scratch_bytes(Network *net) noexcept nogil:
    """Memory that an update needs of its own: a tile of gradients, or a vector's of the widest layer."""
    cdef size_t panels = net.panel
    cdef int l
    for l in range(net.n_layers):
        panels = max(panels, <size_t> net.layers[l].out_panels)
    return panels * net.panel * net.item
