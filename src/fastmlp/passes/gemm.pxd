# The three products of a layer, panel by panel.
from fastmlp.passes.kernels cimport FM_MAX_STATES
from fastmlp.passes.layers cimport Network
from fastmlp.passes.panels cimport packed, panel_row

cdef extern from "sync.h" nogil:
    void fm_prefetch(const char *p, ptrdiff_t size) noexcept

cdef enum:
    MAX_AHEAD = 2 + FM_MAX_STATES     # W, W^T and the optimizer's state

# Blocks as large as a product's result that are needed once it is there.
cdef struct Ahead:
    int n
    const char *blocks[MAX_AHEAD]

cdef inline void fetch_ahead(Network *net, const Ahead *ahead, ptrdiff_t row, ptrdiff_t rows) noexcept nogil:
    """Ask for some rows of each block."""
    cdef int i
    for i in range(ahead.n):
        fm_prefetch(packed(net, ahead.blocks[i], 0, row, 0), rows * panel_row(net))

cdef void multiply_panel(Network *net, ptrdiff_t rows, ptrdiff_t k, const char *a, ptrdiff_t a_stride, const char *b,
                         ptrdiff_t columns, char *c) noexcept nogil
cdef void multiply_few(Network *net, ptrdiff_t rows, ptrdiff_t k, const char *a, ptrdiff_t a_stride, const char *b,
                       ptrdiff_t columns, ptrdiff_t panels, char *c, ptrdiff_t c_stride) noexcept nogil
cdef void gradient_block(Network *net, ptrdiff_t rows, ptrdiff_t batch, const char *a, const char *d,
                         ptrdiff_t columns, bint accumulate, const Ahead *ahead, char *g) noexcept nogil
