# The forward pass over a block of rows.
from fastmlp.passes.layers cimport Network
from fastmlp.passes.workspace cimport Workspace

cdef void forward_layer(Network *net, Workspace *ws, int l, int activation, ptrdiff_t row, ptrdiff_t rows,
                        ptrdiff_t panel, ptrdiff_t panels, char *out) noexcept nogil
cdef int elementwise(Network *net, int l, bint logits) noexcept nogil
cdef void finish_outputs(Network *net, Workspace *ws, bint logits, ptrdiff_t row, ptrdiff_t rows) noexcept nogil
cdef void forward_rows(Network *net, Workspace *ws, bint logits, ptrdiff_t row, ptrdiff_t rows) noexcept nogil
