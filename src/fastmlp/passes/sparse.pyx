"""Sparse rows in the first layer: its products and its gradient, at the cost of the entries that the rows have.

The sums are those of the dense rows, in the same order, without their terms of 0: the same bits. For the gradient the
entries of a part are sorted by blocks of P columns, which are what a tile of weights takes. Mirror: reference/rows.py,
which makes rows dense.
"""
from fastmlp.passes.layers cimport Layer
from fastmlp.passes.panels cimport packed, panel_row, place, vectors_in
from fastmlp.passes.workspace cimport Entries, block_of
from libc.stdint cimport int32_t
from libc.string cimport memset

cdef enum:
    TILE_DOUBLES = 512               # of a tile of P x P, on every ISA


cdef void multiply_entries(Network *net, Workspace *ws, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t panel,
                           ptrdiff_t panels, char *out) noexcept nogil:
    """A W of the first layer for a block of rows: what forward_layer does for dense ones."""
    cdef Layer *layer = &net.layers[0]
    cdef Entries *entries = &ws.entries
    cdef ptrdiff_t r, j, columns = min(layer.n_out - panel * net.panel, panels * net.panel)
    for r in range(row, row + rows):
        if layer.dots:
            for j in range(panel, panel + panels):
                net.kernels.dots_entries(entries.count[r], entries.columns + entries.first[r],
                                         entries.values + entries.first[r] * net.item,
                                         packed(net, layer.weight_t, 0, j * net.panel, 0), layer.n_out * net.panel,
                                         min(layer.n_out - j * net.panel, net.panel), block_of(net, ws, out, r, j))
        else:
            net.kernels.gemm_entries(entries.count[r], entries.columns + entries.first[r],
                                     entries.values + entries.first[r] * net.item,
                                     packed(net, layer.weight, layer.n_in, 0, panel), layer.n_in * net.panel,
                                     (columns + net.lanes - 1) // net.lanes, block_of(net, ws, out, r, panel),
                                     ws.stride)


cdef void sort_entries(Network *net, Workspace *ws, ptrdiff_t rows) noexcept nogil:
    """Sort the entries of a workspace's first rows by blocks of columns, so that in each the rows keep their order."""
    cdef Entries *entries = &ws.entries
    cdef ptrdiff_t *ends = entries.block_first + 1  # of block b: where the next one of its entries goes
    cdef ptrdiff_t r, i, to, block
    cdef int32_t column
    memset(entries.block_first, 0, (net.layers[0].in_panels + 2) * sizeof(ptrdiff_t))
    for r in range(rows):
        for i in range(entries.first[r], entries.first[r] + entries.count[r]):
            ends[entries.columns[i] // net.panel + 1] += 1
    for block in range(net.layers[0].in_panels):
        ends[block + 1] += ends[block]
    for r in range(rows):
        for i in range(entries.first[r], entries.first[r] + entries.count[r]):
            column = entries.columns[i]
            block = column // net.panel
            to = ends[block]
            ends[block] = to + 1
            entries.block_rows[to], entries.block_columns[to] = <int32_t> r, <int32_t> (column - block * net.panel)
            copy_number(net.item, entries.values + i * net.item, entries.block_values + to * net.item)


cdef void entries_gradient(Network *net, Workspace *ws, Tile *t, bint accumulate, char *g) noexcept nogil:
    """The gradient of a tile of the first layer's weights over the rows whose entries have been sorted."""
    cdef Layer *layer = &net.layers[0]
    cdef ptrdiff_t block = t.j if layer.narrow else t.i
    if not layer.narrow:
        if not accumulate:
            memset(g, 0, t.rows * panel_row(net))
        add_block(net, ws, block, place(net, ws.d[1], ws.stride, 0, t.j), vectors_in(net, t.columns), g)
    else:
        narrow_gradient(net, ws, t, accumulate, g)


cdef void add_block(Network *net, Workspace *ws, ptrdiff_t block, const char *d, int vectors, char *g) noexcept nogil:
    cdef Entries *entries = &ws.entries
    cdef ptrdiff_t first = entries.block_first[block]
    net.kernels.add_entries(entries.block_first[block + 1] - first, entries.block_rows + first,
                            entries.block_columns + first, entries.block_values + first * net.item, d, vectors, g)


cdef void narrow_gradient(Network *net, Workspace *ws, Tile *t, bint accumulate, char *g) noexcept nogil:
    """The gradient of a tile of W^T, where that is updated: summed as a tile of W, and transposed."""
    cdef double[TILE_DOUBLES] memory
    cdef char *tile = <char *> memory
    cdef ptrdiff_t columns = min(net.panel, t.columns)
    memset(tile, 0, net.panel * panel_row(net))
    if accumulate:
        net.kernels.transpose(t.rows, columns, g, tile)
    add_block(net, ws, t.j, place(net, ws.d[1], ws.stride, 0, t.i), vectors_in(net, t.rows), tile)
    memset(g, 0, t.rows * panel_row(net))
    net.kernels.transpose(columns, t.rows, tile, g)
