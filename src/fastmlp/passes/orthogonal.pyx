"""Muon's directions: matrices of gradients are made nearly orthogonal as wholes, between gradient and update.

Mirror: reference/orthogonal.py.
"""
# With y = u / |u|, u made of momentum and gradient, five times y <- y (c1 I + c3 y^T y + c5 (y^T y)^2): Newton's and
# Schulz's iteration, whose polynomial takes every singular value to about 1. y is taken in the orientation that has no
# more columns than rows, where y^T y is small, and both products are those that there are: the gradient's, and the
# forward pass's. Sums run k = 0, 1, 2, ..., and a y^T y is symmetric to the bit, so that of two blocks beside the
# diagonal one is the transpose of the other, and no bit depends on P.
#
# A stage is a phase over the blocks of all layers. Nothing of a step has been applied before the last one: the momentum
# moves with the weights, so that a step may be given up in between.
from fastmlp.passes.gemm cimport Ahead, Left, Operands, gradient_block, left_of, multiply_panel, operands
from fastmlp.passes.kernels cimport fm_muon_columns
from fastmlp.passes.layers cimport WEIGHTS, Layer
from fastmlp.passes.panels cimport packed, panel_row, panels_in, place as place_of
from fastmlp.passes.parameters cimport allocate, take
from fastmlp.passes.threads cimport fm_free, phase_begin, phase_end, phase_next
from fastmlp.passes.tiles cimport Tile, count_tiles, elements_of, place_in, tile_of, weights_of
from fastmlp.passes.update cimport average, clip, step_of, transpose_tile, update_stored
from libc.math cimport sqrt
from libc.stdlib cimport calloc, free
from libc.string cimport memset

cdef enum:
    ROWS = 256                   # of an item of the last product
    # Stages: what the items of a phase are.
    SCALE                        # a panel, divided by the norm
    GRAM                         # a block of y^T y on or above the diagonal
    POLYNOMIAL                   # of that, likewise
    PRODUCT                      # rows of a panel of y times the polynomial


cdef class Directions:
    """Memory for the directions of all layers of a network."""

    def __cinit__(self, Parameters parameters):
        self.of_layers = <Direction *> calloc(parameters.net.n_layers, sizeof(Direction))
        if self.of_layers == NULL:
            raise MemoryError("no memory for the layers' directions")
        self.arena = allocate(self.lay_out(&parameters.net, NULL))
        self.lay_out(&parameters.net, self.arena)

    def __dealloc__(self):
        fm_free(self.arena)
        free(self.of_layers)

    cdef size_t lay_out(self, Network *net, char *base) noexcept:
        cdef size_t used = 0
        cdef Direction *to
        cdef ptrdiff_t rows
        for l in range(net.n_layers):
            to = &self.of_layers[l]
            to.rows, to.columns = net.layers[l].n_in, net.layers[l].n_out
            to.across = net.layers[l].narrow
            if to.rows < to.columns:
                to.rows, to.columns, to.across = to.columns, to.rows, True
            to.panels, to.row_blocks = panels_in(net, to.columns), panels_in(net, to.rows)
            rows = to.row_blocks * net.panel
            if rows * panel_row(net) % 4096 == 0:  # or panels would compete for the same sets of the first-level cache
                rows += net.kernels.tile_rows
            to.stride = rows * net.panel
            for k in range(2):
                to.y[k] = take(base, &used, to.panels * rows * panel_row(net))
            to.gram = take(base, &used, to.panels * to.columns * panel_row(net))
            to.polynomial = take(base, &used, to.panels * to.columns * panel_row(net))
            to.squares = take(base, &used, to.panels * to.row_blocks * panel_row(net))
        return used


cdef inline const fm_muon_columns *columns_of(const Rule *rule, int l) noexcept nogil:
    return <const fm_muon_columns *> step_of(rule, 2 * l)


cdef inline bint is_whole(Network *net, const Rule *rule, int l) noexcept nogil:
    """Whether a layer's weights are updated along a direction of the whole matrix."""
    return columns_of(rule, l).hidden_only == 0 or 0 < l < net.n_layers - 1


cdef int iterations(const Rule *rule) noexcept nogil:
    """How often `iterate` is to be called."""
    return <int> columns_of(rule, 0).ns_steps


cdef inline char *aside(Network *net, Tile *t, char *matrix) noexcept nogil:
    """The place for a tile in a matrix that is free, where they may lie as they like."""
    return matrix + (t.j * net.layers[t.l].row_blocks + t.i) * net.panel * panel_row(net)


cdef inline void put_transposed(Network *net, ptrdiff_t rows, ptrdiff_t columns, const char *block,
                                char *out) noexcept nogil:
    """The transpose of a block, and zeros beside it, where something else may have been."""
    if rows < net.panel:
        memset(out, 0, columns * panel_row(net))
    net.kernels.transpose(rows, columns, block, out)


cdef void directions_phase(Network *net, Network *gradient, Direction *directions, const Rule *rule, Team *team,
                           Place *place) noexcept nogil:
    """Leave what the iterations begin with, of norm 1; the gradient is clipped."""
    cdef ptrdiff_t item
    phase_begin(team, place, count_tiles(net))
    while True:
        item = phase_next(team, place)
        if item < 0:
            break
        direction_of(net, gradient, directions, rule, tile_of(net, item))
    phase_end(team, place)
    stage_phase(net, directions, rule, team, place, SCALE, 0)


cdef void direction_of(Network *net, Network *gradient, Direction *directions, const Rule *rule,
                       Tile t) noexcept nogil:
    cdef Direction *to = &directions[t.l]
    cdef char *g = place_in(gradient, &t)
    cdef char *out
    cdef char *block
    cdef ptrdiff_t rows = t.rows, i = t.i, j = t.j
    if t.vector != WEIGHTS or not is_whole(net, rule, t.l):
        return
    if to.across:
        rows, i, j = min(net.panel, t.columns), t.j, t.i
    block = place_of(net, to.y[0], to.stride, i * net.panel, j)
    out = aside(net, &t, to.y[1]) if to.across else block
    clip(net, elements_of(net, &t), rule, g)
    net.kernels.muon_direction(elements_of(net, &t), g, weights_of(net, &t, net.layers[t.l].weight_state[0], 0),
                               step_of(rule, 2 * t.l), out)
    if to.across:
        put_transposed(net, t.rows, rows, out, block)
    net.kernels.square_columns(rows, block, packed(net, to.squares, to.row_blocks, i, j))


cdef void iterate(Network *net, Direction *directions, const Rule *rule, Team *team, Place *place,
                  int turn) noexcept nogil:
    """One step of the iteration; `turn` of them came before."""
    cdef int stage
    for stage in range(GRAM, PRODUCT + 1):
        stage_phase(net, directions, rule, team, place, stage, turn)


cdef inline ptrdiff_t items_of(const Direction *to, int stage) noexcept nogil:
    if stage == SCALE:
        return to.panels
    if stage == PRODUCT:
        return to.panels * ((to.rows + ROWS - 1) // ROWS)
    return to.panels * (to.panels + 1) // 2


cdef void stage_phase(Network *net, Direction *directions, const Rule *rule, Team *team, Place *place, int stage,
                      int turn) noexcept nogil:
    cdef ptrdiff_t item, items = 0
    cdef int l
    for l in range(net.n_layers):
        items += items_of(&directions[l], stage) if is_whole(net, rule, l) else 0
    phase_begin(team, place, items)
    while True:
        item = phase_next(team, place)
        if item < 0:
            break
        l = 0
        while not is_whole(net, rule, l) or item >= items_of(&directions[l], stage):
            item -= items_of(&directions[l], stage) if is_whole(net, rule, l) else 0
            l += 1
        if stage == SCALE:
            scale_panel(net, &directions[l], columns_of(rule, l).smallest_norm, item)
        elif stage == PRODUCT:
            multiply_rows(net, &directions[l], item, turn)
        else:
            symmetric_block(net, &directions[l], step_of(rule, 2 * l), stage, item, turn)
    phase_end(team, place)


cdef void scale_panel(Network *net, Direction *to, double smallest, ptrdiff_t j) noexcept nogil:
    """Divide a panel by the norm of the whole matrix, which everybody adds up: of its columns' squares, there are few.
    """
    cdef double square = net.kernels.sum_columns(to.row_blocks, to.columns, to.squares, to.row_blocks * net.panel)
    net.kernels.scale(to.rows * net.panel, 1 / (sqrt(square) + smallest), place_of(net, to.y[0], to.stride, 0, j))


cdef void symmetric_block(Network *net, Direction *to, const double *step, int stage, ptrdiff_t item,
                          int turn) noexcept nogil:
    """A block on or above the diagonal of y^T y, or of the polynomial of that; and its transpose, below."""
    cdef ptrdiff_t i, j = 0, rows, columns
    cdef Operands of
    cdef Ahead nothing
    cdef char *block
    nothing.n = 0
    while item > j:
        item -= j + 1
        j += 1
    i = item
    rows, columns = min(net.panel, to.columns - i * net.panel), to.columns - j * net.panel
    if stage == GRAM:
        block = packed(net, to.gram, to.columns, i * net.panel, j)
        of = operands(net, place_of(net, to.y[turn % 2], to.stride, 0, i),
                      place_of(net, to.y[turn % 2], to.stride, 0, j), to.rows)
        gradient_block(net, rows, &of, of.k, columns, False, &nothing, block)
    else:
        block = packed(net, to.polynomial, to.columns, i * net.panel, j)
        of = operands(net, packed(net, to.gram, to.columns, 0, i), packed(net, to.gram, to.columns, 0, j), to.columns)
        gradient_block(net, rows, &of, of.k, columns, False, &nothing, block)
        net.kernels.muon_polynomial(rows, i == j, step, packed(net, to.gram, to.columns, i * net.panel, j), block)
    if i != j:
        net.kernels.transpose(rows, min(net.panel, columns), block,
                              packed(net, to.gram if stage == GRAM else to.polynomial, to.columns, j * net.panel, i))


cdef void multiply_rows(Network *net, Direction *to, ptrdiff_t item, int turn) noexcept nogil:
    """Some rows of a panel of y times the polynomial."""
    cdef ptrdiff_t j = item % to.panels, row = item // to.panels * ROWS
    cdef Left left = left_of(net, place_of(net, to.y[turn % 2], to.stride, row, 0), to.stride, to.columns)
    multiply_panel(net, min(<ptrdiff_t> ROWS, to.rows - row), &left,
                   packed(net, to.polynomial, to.columns, 0, j), to.columns - j * net.panel,
                   place_of(net, to.y[(turn + 1) % 2], to.stride, row, j))


cdef inline double scale_of(const Layer *layer, const fm_muon_columns *step) noexcept nogil:
    """What the shape makes of the step: its spectral norm is that of a matrix whose outputs are as large as its inputs,
    or its entries are as large as those of a step of Adam's."""
    if step.consistent_rms > 0:
        return step.consistent_rms * sqrt(<double> max(layer.n_in, layer.n_out))
    return sqrt(max(1.0, <double> layer.n_out / <double> layer.n_in))


cdef void update_along(Network *net, Network *gradient, Direction *directions, ptrdiff_t item,
                       const Rule *rule) noexcept nogil:
    """One tile's update along its direction; one that has none by its gradient, where weights decay by their own rate.
    """
    cdef Tile t = tile_of(net, item)
    cdef Direction *to = &directions[t.l]
    cdef const fm_muon_columns *step = columns_of(rule, t.l)
    cdef ptrdiff_t n = elements_of(net, &t)
    cdef int last = iterations(rule) % 2
    cdef char *along
    cdef char *weight
    if t.vector != WEIGHTS or not is_whole(net, rule, t.l):
        if t.vector == WEIGHTS and step.adam_decay != 0:
            net.kernels.shrink(n, step.adam_decay, place_in(net, &t))
        update_stored(net, gradient, item, rule)
        return
    if to.across:
        along = aside(net, &t, to.y[1 - last])
        put_transposed(net, min(net.panel, t.columns), t.rows,
                       place_of(net, to.y[last], to.stride, t.j * net.panel, t.i), along)
    else:
        along = place_of(net, to.y[last], to.stride, t.i * net.panel, t.j)
    weight = place_in(net, &t)
    net.kernels.muon_step(n, along, place_in(gradient, &t), scale_of(&net.layers[t.l], step),
                          <const double *> step, weights_of(net, &t, net.layers[t.l].weight_state[0], 0), weight)
    average(net, n, weight, rule)
    transpose_tile(net, &t)
