# Sparse rows in the first layer: their entries, its products, and the gradient of its weights.
from fastmlp.passes.layers cimport Network
from fastmlp.passes.tiles cimport Tile
from fastmlp.passes.workspace cimport Workspace
from libc.stdint cimport int32_t, int64_t

cdef void multiply_entries(Network *net, Workspace *ws, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t panel,
                           ptrdiff_t panels, char *out) noexcept nogil
cdef void sort_entries(Network *net, Workspace *ws, ptrdiff_t rows) noexcept nogil
cdef void entries_gradient(Network *net, Workspace *ws, Tile *t, bint accumulate, char *g) noexcept nogil

cdef inline void copy_number(ptrdiff_t item, const char *number, char *to) noexcept nogil:
    """Copy one number of so many bytes, 4 or 8."""
    if item == 4:
        (<int32_t *> to)[0] = (<const int32_t *> number)[0]
    else:
        (<int64_t *> to)[0] = (<const int64_t *> number)[0]

cdef inline bint has_entries(Workspace *ws, int l) noexcept nogil:
    """Whether the inputs of layer l are the entries of sparse rows."""
    return l == 0 and ws.entries.room > 0
