"""The first layer's update by sparse rows that touches only weights of columns which the batch has (`Run.lazy`).

All other weights and their state are left as they are, and nothing looks at them: what it costs follows from the
batch's entries alone. Sums are those of the exact update, which does the same where a batch has all columns.
Mirror: reference/lazy.py.
"""
from fastmlp.passes.gemm cimport fm_prefetch
from fastmlp.passes.kernels cimport FM_MAX_STATES
from fastmlp.passes.layers cimport WEIGHTS, Layer
from fastmlp.passes.panels cimport packed, panel_row, place, vectors_in
from fastmlp.passes.sparse cimport copy_number
from fastmlp.passes.tiles cimport Tile
from fastmlp.passes.update cimport Aim, aim_at, update_next
from fastmlp.passes.workspace cimport Entries
from libc.stdint cimport int32_t
from libc.string cimport memcpy, memset

cdef enum:
    PANEL_DOUBLES = 16               # of a row of a panel, on every ISA


cdef inline ptrdiff_t slot_of(Entries *entries, int32_t column) noexcept nogil:
    """The number of a column among those that have been touched; one that is new gets the next."""
    cdef ptrdiff_t slot = entries.slots[column]  # what an earlier batch has left there says nothing
    if 0 <= slot < entries.n_touched and entries.touched[slot] == column:
        return slot
    slot = entries.n_touched
    entries.slots[column], entries.touched[slot] = <int32_t> slot, column
    entries.n_touched += 1
    entries.block_first[slot + 2] = 0
    return slot


cdef void sort_by_column(Network *net, Workspace *ws, ptrdiff_t rows) noexcept nogil:
    """Sort the entries of a workspace's first rows by their columns, in the order in which these first come, so that
    in each the rows keep theirs."""
    cdef Entries *entries = &ws.entries
    cdef ptrdiff_t *ends = entries.block_first + 1  # of a column: where the next one of its entries goes
    cdef ptrdiff_t r, i, to, slot
    entries.n_touched = 0
    entries.block_first[0] = entries.block_first[1] = 0
    for r in range(rows):
        for i in range(entries.first[r], entries.first[r] + entries.count[r]):
            ends[slot_of(entries, entries.columns[i]) + 1] += 1
    for slot in range(entries.n_touched):
        ends[slot + 1] += ends[slot]
    for r in range(rows):
        for i in range(entries.first[r], entries.first[r] + entries.count[r]):
            slot = entries.slots[entries.columns[i]]
            to = ends[slot]
            ends[slot] = to + 1
            entries.block_rows[to], entries.block_columns[to] = <int32_t> r, <int32_t> (slot % net.panel)
            copy_number(net.item, entries.values + i * net.item, entries.block_values + to * net.item)


cdef void update_columns(Network *net, Workspace *ws, ptrdiff_t item, const Rule *rule, char *scratch) noexcept nogil:
    """The gradient of the weights of some columns, as many as a panel has, and their update."""
    cdef Layer *layer = &net.layers[0]
    cdef Entries *entries = &ws.entries
    cdef ptrdiff_t first = item * net.panel, n = min(net.panel, entries.n_touched - first), begin, count
    cdef const int32_t *columns = entries.touched + first
    cdef ptrdiff_t j
    cdef Tile t
    cdef Aim aim
    if n <= 0:
        return
    begin = entries.block_first[first]
    count = entries.block_first[first + n] - begin
    t.l, t.vector = 0, WEIGHTS
    for j in range(layer.out_panels):
        t.i, t.j = j if layer.narrow else 0, 0 if layer.narrow else j
        aim_at(net, &t, rule, scratch, &aim)
        if net.far and not layer.narrow:
            fetch_rows(net, &aim, columns, n)
        memset(scratch, 0, n * panel_row(net))
        net.kernels.add_entries(count, entries.block_rows + begin, entries.block_columns + begin,
                                entries.block_values + begin * net.item, place(net, ws.d[1], ws.stride, 0, j),
                                vectors_in(net, layer.n_out - j * net.panel), scratch)
        if layer.narrow:
            update_narrow(net, &aim, columns, n, j, rule)
        else:
            update_wide(net, &aim, columns, n, rule)


cdef inline void fetch_rows(Network *net, const Aim *aim, const int32_t *columns, ptrdiff_t n) noexcept nogil:
    """Ask for rows of a panel of W and of its state, which lie anywhere, while their gradient is summed."""
    cdef ptrdiff_t k, at
    cdef int slot
    for k in range(n):
        at = columns[k] * panel_row(net)
        fm_prefetch(aim.weight + at, panel_row(net))
        for slot in range(net.n_states):
            fm_prefetch(<char *> aim.state[slot] + at, panel_row(net))


cdef inline void update_weights(Network *net, Aim *aim, ptrdiff_t rows, const Rule *rule) noexcept nogil:
    """Update the rows of a panel that are aimed at by their gradient, to which that of the penalties is added."""
    cdef Layer *layer = &net.layers[0]
    if layer.l1 != 0 or layer.l2 != 0:
        net.kernels.regularise(rows * net.panel, aim.weight, layer.l1, layer.l2, aim.gradient)
    update_next(net, aim, rows, rule)


cdef void update_wide(Network *net, const Aim *panel, const int32_t *columns, ptrdiff_t n,
                      const Rule *rule) noexcept nogil:
    """Update rows of a panel of W where they lie; neighbours together."""
    cdef Aim aim = panel[0]
    cdef ptrdiff_t k = 0, end, at
    cdef int slot
    while k < n:
        end = k + 1
        while end < n and columns[end] == columns[end - 1] + 1:
            end += 1
        at = columns[k] * panel_row(net)
        aim.weight = panel.weight + at
        for slot in range(net.n_states):
            aim.state[slot] = <char *> panel.state[slot] + at
        update_weights(net, &aim, end - k, rule)  # whose gradients lie one behind the other
        k = end


cdef inline void move_row(Network *net, char *matrix, ptrdiff_t row, ptrdiff_t n, char *numbers,
                          bint back) noexcept nogil:
    """Copy n numbers of a row of W, which stand in a column of this W^T, side by side, or back."""
    cdef char *at = packed(net, matrix, net.layers[0].n_out, 0, row // net.panel) + row % net.panel * net.item
    cdef ptrdiff_t o
    for o in range(n):
        if back:
            copy_number(net.item, numbers + o * net.item, at)
        else:
            copy_number(net.item, at, numbers + o * net.item)
        at += panel_row(net)


cdef void update_narrow(Network *net, const Aim *tile, const int32_t *columns, ptrdiff_t n, ptrdiff_t j,
                        const Rule *rule) noexcept nogil:
    """Update rows of W's panel j where W^T is what is updated: they are copied from there, and to both matrices."""
    cdef Layer *layer = &net.layers[0]
    cdef double[PANEL_DOUBLES] weight
    cdef double[FM_MAX_STATES][PANEL_DOUBLES] states
    cdef Aim aim = tile[0]
    cdef ptrdiff_t k, units = min(net.panel, layer.n_out - j * net.panel)
    cdef int slot
    memset(weight, 0, sizeof(weight))
    memset(states, 0, sizeof(states))
    for k in range(n):
        move_row(net, tile.weight, columns[k], units, <char *> weight, False)
        aim.weight = <char *> weight
        for slot in range(net.n_states):
            move_row(net, <char *> tile.state[slot], columns[k], units, <char *> states[slot], False)
            aim.state[slot] = states[slot]
        update_weights(net, &aim, 1, rule)
        move_row(net, tile.weight, columns[k], units, <char *> weight, True)
        for slot in range(net.n_states):
            move_row(net, <char *> tile.state[slot], columns[k], units, <char *> states[slot], True)
        if layer.transposed != NULL:
            memcpy(packed(net, layer.transposed, layer.n_in, columns[k], j), weight, units * net.item)
