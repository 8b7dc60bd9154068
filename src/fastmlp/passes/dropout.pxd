# Dropout of a block of rows.
from fastmlp.passes.layers cimport Layer, Network
from fastmlp.passes.panels cimport vectors_in
from fastmlp.passes.workspace cimport Workspace, block_of
from libc.stdint cimport int64_t, uint64_t

cdef void draw_numbers(Network *net, Workspace *ws, uint64_t seed, int64_t step, ptrdiff_t first, ptrdiff_t row,
                       ptrdiff_t rows) noexcept nogil

cdef inline void drop_block(Network *net, Workspace *ws, int l, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t panel,
                            char *c, char *before) noexcept nogil:
    """c = c mask for one panel of layer l's inputs, or of their deltas; what c was goes to `before`, unless NULL."""
    cdef Layer *layer = &net.layers[l]
    net.kernels.drop(rows, vectors_in(net, layer.n_in - panel * net.panel),
                     ws.numbers[l] + panel * ws.stride + row * net.panel, layer.drop_below, layer.drop_scale, c, before)

cdef inline void drop_outputs(Network *net, Workspace *ws, int l, ptrdiff_t row, ptrdiff_t rows,
                              ptrdiff_t panel) noexcept nogil:
    """a = a mask for one panel of layer l's outputs, of which a copy is kept where the slope is computed from them."""
    drop_block(net, ws, l + 1, row, rows, panel, block_of(net, ws, ws.a[l + 1], row, panel),
               NULL if net.layers[l].keeps_slopes else block_of(net, ws, ws.kept[l + 1], row, panel))
