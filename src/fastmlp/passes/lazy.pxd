# The first layer's update by sparse rows that touches only weights of columns which the batch has.
from fastmlp.passes.layers cimport Network
from fastmlp.passes.rows cimport Examples
from fastmlp.passes.update cimport Rule
from fastmlp.passes.workspace cimport Workspace

cdef void sort_by_column(Network *net, Workspace *ws, ptrdiff_t rows) noexcept nogil
cdef void update_columns(Network *net, Workspace *ws, ptrdiff_t item, const Rule *rule, char *scratch) noexcept nogil

cdef inline ptrdiff_t column_items(Network *net, Examples *examples, ptrdiff_t start, ptrdiff_t rows) noexcept nogil:
    """Items of the update by rows that begin at `start` of the order: for the most columns that their entries can have,
    as many at a time as a panel has. (A thread that is late asks when others have sorted those of the next step.)"""
    cdef ptrdiff_t entries = examples.offsets[start + rows] - examples.offsets[start]
    return (min(entries, net.layers[0].n_in) + net.panel - 1) // net.panel
