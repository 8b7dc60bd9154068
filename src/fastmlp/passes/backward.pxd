# The backward pass over a block of rows.
from fastmlp.passes.layers cimport Network
from fastmlp.passes.workspace cimport Workspace

cdef void backward_layer(Network *net, Workspace *ws, int l, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t panel,
                         ptrdiff_t panels) noexcept nogil
cdef void backward_rows(Network *net, Workspace *ws, ptrdiff_t row, ptrdiff_t rows) noexcept nogil
