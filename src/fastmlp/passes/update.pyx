"""The update of one tile of weights at a time, with its gradient summed in the cache: G is never stored whole.

The optimizer's step and the transpose follow the sums at once, but where a batch was cut. Mirror: reference/update.py.
"""
from fastmlp.passes.gemm cimport Ahead, Operands, fetch_ahead, gradient_block
from fastmlp.passes.gradient cimport add_penalties, add_up, finish_vector, sum_vector
from fastmlp.passes.kernels cimport FM_MAX_STATES, fm_shared_columns
from fastmlp.passes.layers cimport WEIGHTS, Layer, Vector
from fastmlp.passes.panels cimport packed, vectors_in
from fastmlp.passes.sparse cimport entries_gradient, has_entries
from fastmlp.passes.threads cimport phase_begin, phase_end, phase_next
from fastmlp.passes.tiles cimport (
    Tile,
    count_tiles,
    elements_of,
    operands_of,
    place_in,
    summed_in,
    tile_of,
    transpose_of,
    weights_of,
)
from libc.string cimport memcpy


cdef void what_changes(Network *net, Tile *t, bint shared, Ahead *ahead) noexcept nogil:
    """Note what the update of a tile changes and is worth fetching meanwhile: all of it where it is far away, and where
    other threads have read the weights, those, since they have to give them up first."""
    cdef int slot
    ahead.n = 0
    if not (net.far or shared):
        return
    ahead.blocks[0], ahead.n = weights_of(net, t, net.layers[t.l].updated, 0), 1
    if net.layers[t.l].transposed != NULL:
        ahead.blocks[1], ahead.n = transpose_of(net, t), 2
    for slot in range(net.n_states if net.far else 0):
        ahead.blocks[ahead.n] = weights_of(net, t, net.layers[t.l].weight_state[slot], 0)
        ahead.n += 1


cdef void update_item(Network *net, Workspace *ws, ptrdiff_t rows, ptrdiff_t item, Network *before,
                      const Rule *rule, bint shared, char *scratch) noexcept nogil:
    """One tile's gradient, and its update; `before` (NULL: nothing) holds the sums over the batch's earlier rows."""
    cdef Tile t = tile_of(net, item)
    cdef Aim aim
    if before != NULL:
        memcpy(scratch, place_in(before, &t), summed_in(net, &t) * net.item)
    if t.vector != WEIGHTS:
        sum_vector(net, ws, 0, rows, &t, before != NULL, scratch)
        finish_vector(net, &t, scratch)
        update_vector(net, &t, rule, scratch)
    elif has_entries(ws, t.l):
        entries_gradient(net, ws, &t, before != NULL, scratch)
        take_aim(net, &t, rule, scratch, &aim)
        add_penalties(net, &t, 0, t.rows, scratch)
        update_rows(net, &aim, t.rows, rule)
        transpose_tile(net, &t)
    else:
        update_weights(net, ws, rows, &t, before != NULL, rule, shared, scratch)


cdef void update_weights(Network *net, Workspace *ws, ptrdiff_t rows, Tile *t, bint accumulate,
                         const Rule *rule, bint shared, char *g) noexcept nogil:
    """A few rows of the tile at a time, a register tile: the processor begins with the products of the next while it
    still divides, and waits for memory, for the one before."""
    cdef Operands operands
    cdef Ahead ahead
    cdef Aim aim
    cdef ptrdiff_t row = 0, n, done
    operands_of(net, ws, t, 0, rows, &operands)
    done = (operands.k - 1) // net.block_rows * net.block_rows
    take_aim(net, t, rule, g, &aim)
    what_changes(net, t, shared, &ahead)
    if done > 0:
        gradient_block(net, t.rows, &operands, done, t.columns, accumulate, &ahead, g)
        ahead.n = 0
    while row < t.rows:
        n = min(net.kernels.tile_rows, t.rows - row)
        fetch_ahead(net, &ahead, row, n)
        operands.gemm(n, operands.k - done, packed(net, operands.a, 0, done, 0) + row * net.item,
                      packed(net, operands.d, 0, done, 0), vectors_in(net, t.columns), accumulate or done > 0,
                      packed(net, g, 0, row, 0))
        if not net.far:
            if not aim.plain:
                add_penalties(net, t, row, n, g)
            update_rows(net, &aim, n, rule)
        row += n
    if net.far:  # what has been asked for needs longer than one register tile to arrive
        add_penalties(net, t, 0, t.rows, g)
        update_rows(net, &aim, t.rows, rule)
    transpose_tile(net, t)


cdef inline const fm_shared_columns *shared_columns(Network *net, const double *step) noexcept nogil:
    """The columns of a step's row of the table that every step has: behind those of its optimizer."""
    return <const fm_shared_columns *> (step + net.n_columns)


cdef inline void take_aim(Network *net, Tile *t, const Rule *rule, char *g, Aim *aim) noexcept nogil:
    cdef Layer *layer = &net.layers[t.l]
    cdef const fm_shared_columns *shared
    cdef int slot
    aim.optimizer, aim.step, aim.gradient = net.kernels.optimizer[net.optimizer], step_of(rule, 2 * t.l), g
    aim.weight = weights_of(net, t, layer.updated, 0)
    for slot in range(net.n_states):
        aim.state[slot] = weights_of(net, t, layer.weight_state[slot], 0)
    shared = shared_columns(net, aim.step)
    aim.plain = (rule.factor == 1 and rule.most == 0 and rule.share == 0 and shared.weight_decay == 0
                 and shared.shrinkage == 0 and layer.l1 == 0 and layer.l2 == 0)


cdef inline void update_rows(Network *net, Aim *aim, ptrdiff_t rows, const Rule *rule) noexcept nogil:
    """The next rows of a tile, by their gradient, clipped, and decay."""
    cdef ptrdiff_t n = rows * net.panel, size = n * net.item
    cdef const fm_shared_columns *shared
    cdef int slot
    if not aim.plain:
        shared = shared_columns(net, aim.step)
        clip(net, n, rule, aim.gradient)
        if shared.weight_decay != 0:
            net.kernels.regularise(n, aim.weight, 0, shared.weight_decay, aim.gradient)
        if shared.shrinkage != 0:
            net.kernels.shrink(n, shared.shrinkage, aim.weight)
    aim.optimizer(n, aim.weight, aim.gradient, aim.state, aim.step)
    if not aim.plain:
        average(net, n, aim.weight, rule)
    aim.weight += size
    aim.gradient += size
    for slot in range(FM_MAX_STATES):  # a number that the compiler knows: else it makes a loop of vectors of this
        if slot < net.n_states:
            aim.state[slot] = <char *> aim.state[slot] + size


cdef void aim_at(Network *net, Tile *t, const Rule *rule, char *g, Aim *aim) noexcept nogil:
    """Aim at the rows of a tile whose gradient lies at g."""
    take_aim(net, t, rule, g, aim)


cdef void update_next(Network *net, Aim *aim, ptrdiff_t rows, const Rule *rule) noexcept nogil:
    """Update the rows that are aimed at, and aim at those behind them."""
    update_rows(net, aim, rows, rule)


cdef void update_vector(Network *net, Tile *t, const Rule *rule, char *g) noexcept nogil:
    """Update one of a layer's vectors, which have neither penalty nor decay, and the factor of its biases."""
    cdef Vector *vector = &net.layers[t.l].vectors[t.vector]
    cdef ptrdiff_t n = elements_of(net, t)
    clip(net, n, rule, g)
    net.kernels.optimizer[net.optimizer](n, vector.at, g, <void **> vector.state, step_of(rule, 2 * t.l + 1))
    average(net, n, vector.at, rule)


cdef void update_summed(Network *net, Network **sums, ptrdiff_t n_sums, ptrdiff_t item, const Rule *rule,
                        char *scratch) noexcept nogil:
    """One tile's update with the sum of the gradients of a batch's microbatches."""
    cdef Tile t = tile_of(net, item)
    cdef Aim aim
    add_up(net, sums, n_sums, &t, scratch)
    if t.vector != WEIGHTS:
        finish_vector(net, &t, scratch)
        update_vector(net, &t, rule, scratch)
    else:
        add_penalties(net, &t, 0, t.rows, scratch)
        take_aim(net, &t, rule, scratch, &aim)
        update_rows(net, &aim, t.rows, rule)
        transpose_tile(net, &t)


cdef void update_stored(Network *net, Network *gradient, ptrdiff_t item, const Rule *rule) noexcept nogil:
    """One tile's update with a gradient that is stored and finished; it is clipped, and decay added, where it lies."""
    cdef Tile t = tile_of(net, item)
    cdef Aim aim
    if t.vector != WEIGHTS:
        update_vector(net, &t, rule, place_in(gradient, &t))
        return
    take_aim(net, &t, rule, place_in(gradient, &t), &aim)
    update_rows(net, &aim, t.rows, rule)
    transpose_tile(net, &t)


cdef void average_phase(Network *net, Team *team, Place *place, double share) noexcept nogil:
    """The average, which else follows behind each tile's update, where bounds on norms come in between."""
    cdef ptrdiff_t item
    cdef Tile t
    cdef Rule rule
    rule.share = share
    phase_begin(team, place, count_tiles(net))
    while True:
        item = phase_next(team, place)
        if item < 0:
            break
        t = tile_of(net, item)
        average(net, elements_of(net, &t), place_in(net, &t), &rule)
    phase_end(team, place)
