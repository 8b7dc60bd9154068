# The three products of a layer, panel by panel.
from fastmlp.passes.kernels cimport FM_MAX_STATES, fm_gemm_columns
from fastmlp.passes.layers cimport Network
from fastmlp.passes.panels cimport packed, pairs_in, panel_row

cdef extern from "sync.h" nogil:
    void fm_prefetch(const char *p, ptrdiff_t size) noexcept

cdef enum:
    MAX_AHEAD = 2 + FM_MAX_STATES     # W, W^T and the optimizer's state

# The left operand of a product with weights: rows of floats, or of pairs along them.
cdef struct Left:
    const char *at
    ptrdiff_t stride                  # from one panel to the next
    ptrdiff_t k                       # steps of the sums: numbers, or pairs
    ptrdiff_t width                   # of them in a panel
    bint pairs

# Two panels whose product a^T d is a gradient, with sums over their rows.
cdef struct Operands:
    const char *a
    const char *d
    ptrdiff_t k                       # rows, or pairs of them
    fm_gemm_columns gemm

# Blocks as large as a product's result that are needed once it is there.
cdef struct Ahead:
    int n
    const char *blocks[MAX_AHEAD]

cdef inline void fetch_ahead(Network *net, const Ahead *ahead, ptrdiff_t row, ptrdiff_t rows) noexcept nogil:
    """Ask for some rows of each block."""
    cdef int i
    for i in range(ahead.n):
        fm_prefetch(packed(net, ahead.blocks[i], 0, row, 0), rows * panel_row(net))

cdef inline Left left_of(Network *net, const char *at, ptrdiff_t stride, ptrdiff_t k) noexcept nogil:
    """A left operand of floats."""
    cdef Left left
    left.at, left.stride, left.k, left.width, left.pairs = at, stride, k, net.panel, False
    return left

cdef inline Left left_of_pairs(Network *net, const char *at, ptrdiff_t stride, ptrdiff_t numbers) noexcept nogil:
    """A left operand of pairs along rows of so many numbers; the stride is that of the floats."""
    cdef Left left
    left.at, left.stride, left.k, left.width, left.pairs = at, stride // 2, pairs_in(numbers), net.panel // 2, True
    return left

cdef inline Operands operands(Network *net, const char *a, const char *d, ptrdiff_t rows) noexcept nogil:
    """Operands of a gradient in floats."""
    cdef Operands of
    of.a, of.d, of.k, of.gemm = a, d, rows, net.kernels.gemm_columns
    return of

cdef void multiply_panel(Network *net, ptrdiff_t rows, const Left *left, const char *b, ptrdiff_t columns,
                         char *c) noexcept nogil
cdef void multiply_few(Network *net, ptrdiff_t rows, const Left *left, const char *b, ptrdiff_t columns,
                       ptrdiff_t panels, char *c, ptrdiff_t c_stride) noexcept nogil
cdef void gradient_block(Network *net, ptrdiff_t rows, const Operands *of, ptrdiff_t k, ptrdiff_t columns,
                         bint accumulate, const Ahead *ahead, char *g) noexcept nogil
