# The forward pass over a block of rows.
from fastmlp.passes.kernels cimport Matrix
from fastmlp.passes.plan cimport Examples, Network, Workspace
from libc.stdint cimport int64_t

cdef void load_inputs(Network *net, Workspace *ws, Examples *examples, ptrdiff_t start, ptrdiff_t row,
                      ptrdiff_t rows) noexcept nogil
cdef void load_targets(Network *net, Workspace *ws, Examples *examples, ptrdiff_t start, ptrdiff_t row,
                       ptrdiff_t rows, double weight_sum) noexcept nogil
cdef void forward_layer(Network *net, Workspace *ws, int l, int activation, ptrdiff_t row, ptrdiff_t rows,
                        ptrdiff_t panel, ptrdiff_t panels, char *out) noexcept nogil
cdef int elementwise(Network *net, int l, bint logits) noexcept nogil
cdef void finish_outputs(Network *net, Workspace *ws, bint logits, ptrdiff_t row, ptrdiff_t rows) noexcept nogil
cdef void forward_rows(Network *net, Workspace *ws, bint logits, ptrdiff_t row, ptrdiff_t rows) noexcept nogil

cdef inline char *block_of(Network *net, Workspace *ws, char *matrix, ptrdiff_t row, ptrdiff_t panel) noexcept nogil:
    """Where row `row` of a workspace matrix begins in one of its panels."""
    return matrix + (panel * ws.stride + row * net.panel) * net.item
