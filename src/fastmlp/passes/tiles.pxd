# Tiles: which weights an item of the tiles phase stands for, and where they, their gradient and their operands are.
from fastmlp.passes.gemm cimport Operands, operands
from fastmlp.passes.layers cimport WEIGHTS, Layer, Network
from fastmlp.passes.panels cimport packed, pairs_down, pairs_in, place
from fastmlp.passes.workspace cimport Workspace

# P x P weights of one layer, in the matrix that is updated (W, or W^T of a narrow layer), or all of one of its vectors.
cdef struct Tile:
    int l
    int vector           # WEIGHTS, or which vector
    ptrdiff_t place      # of the vector among those of its layer
    ptrdiff_t i          # block of rows: from row i P on
    ptrdiff_t j          # panel
    ptrdiff_t rows       # in the tile
    ptrdiff_t columns    # from the tile's left edge on

cdef ptrdiff_t count_tiles(Network *net) noexcept nogil
cdef tiles_by_panel(Network *net)
cdef size_t scratch_bytes(Network *net) noexcept nogil

cdef inline ptrdiff_t weight_tiles(Network *net, int l) noexcept nogil:
    """Tiles of a layer's weights, which come before the items of its vectors."""
    return net.layers[l].row_blocks * net.layers[l].column_panels

cdef inline Tile tile_of(Network *net, ptrdiff_t item) noexcept nogil:
    """Items of a layer stand together, those of one panel in a run: the right operand stays in the cache."""
    cdef Tile t
    cdef Layer *layer
    cdef ptrdiff_t tiles
    t.l = 0
    while True:
        layer = &net.layers[t.l]
        tiles = weight_tiles(net, t.l)
        if item < tiles + layer.n_vectors:
            break
        item -= tiles + layer.n_vectors
        t.l += 1
    t.place = item - tiles
    t.vector = WEIGHTS if t.place < 0 else layer.which[t.place]
    t.i = t.j = 0
    if t.vector == WEIGHTS:
        t.j = item if layer.row_blocks == 1 else item // layer.row_blocks
        t.i = item - t.j * layer.row_blocks
    t.rows = min(net.panel, layer.rows - t.i * net.panel)
    t.columns = layer.columns - t.j * net.panel
    return t

cdef inline char *weights_of(Network *net, Tile *t, const char *matrix, ptrdiff_t row) noexcept nogil:
    """The address of a row of the tile, in a matrix that lies like the layer's updated one."""
    return packed(net, matrix, net.layers[t.l].rows, t.i * net.panel + row, t.j)

cdef inline char *transpose_of(Network *net, Tile *t) noexcept nogil:
    """The place of the tile's transpose; NULL where there is none."""
    cdef Layer *layer = &net.layers[t.l]
    if layer.transposed == NULL:
        return NULL
    return packed(net, layer.transposed, layer.columns, t.j * net.panel, t.i)

cdef inline char *place_in(Network *net, Tile *t) noexcept nogil:
    """The place of the tile, or of the vector, among a network's parameters."""
    if t.vector != WEIGHTS:
        return net.layers[t.l].vectors[t.vector].at
    return weights_of(net, t, net.layers[t.l].updated, 0)

cdef inline ptrdiff_t elements_of(Network *net, Tile *t) noexcept nogil:
    """Elements from there on, in whole vectors: of the last panel of a vector maybe half."""
    if t.vector != WEIGHTS:
        return (net.layers[t.l].vectors[t.vector].columns + net.lanes - 1) & -net.lanes
    return t.rows * net.panel

cdef inline ptrdiff_t summed_in(Network *net, Tile *t) noexcept nogil:
    """Elements of its gradient before that is finished: one for each unit of a vector, also where that is shared."""
    return net.layers[t.l].out_panels * net.panel if t.vector != WEIGHTS else t.rows * net.panel

cdef inline void operands_of(Network *net, Workspace *ws, Tile *t, ptrdiff_t first, ptrdiff_t rows,
                             Operands *to) noexcept nogil:
    """The two panels whose product, a^T d over so many rows from row `first` on, is the tile's gradient."""
    cdef bint narrow = net.layers[t.l].narrow
    if net.layers[t.l].pairs != NULL:
        to.a = pairs_down(net, ws.d_down[t.l + 1] if narrow else ws.down[t.l], ws.stride, first, t.i)
        to.d = pairs_down(net, ws.down[t.l] if narrow else ws.d_down[t.l + 1], ws.stride, first, t.j)
        to.k, to.gemm = pairs_in(rows), net.pairs.gemm_columns
        return
    to[0] = operands(net, place(net, ws.d[t.l + 1] if narrow else ws.a[t.l], ws.stride, first, t.i),
                     place(net, ws.a[t.l] if narrow else ws.d[t.l + 1], ws.stride, first, t.j), rows)
