"""Products of panels: in which order blocks of rows and of the summed dimension go through the register tile.

Blocking never changes a sum's order: a block continues where the one before stopped. Mirror: np.matmul in
reference/forward.py, reference/backward.py and reference/update.py.
"""
from fastmlp.passes.kernels cimport fm_gemm_few, fm_gemm_rows
from fastmlp.passes.panels cimport packed, place, vectors_in


cdef void multiply_panel(Network *net, ptrdiff_t rows, const Left *left, const char *b, ptrdiff_t columns,
                         char *c) noexcept nogil:
    """c (rows x panel) = left (rows x k) b (k x panel), where `columns` of the panel's columns are in use."""
    cdef fm_gemm_rows gemm = net.pairs.gemm_rows if left.pairs else net.kernels.gemm_rows
    cdef ptrdiff_t k = left.k
    cdef ptrdiff_t block = net.block_rows if rows > 2 * net.kernels.tile_rows else k
    cdef const char *a = left.at
    cdef bint accumulate = False
    while k > block:
        gemm(rows, block, a, left.stride, b, vectors_in(net, columns), accumulate, c)
        a = place(net, a, left.stride, 0, block // left.width)
        b = packed(net, b, 0, block, 0)
        k -= block
        accumulate = True
    gemm(rows, k, a, left.stride, b, vectors_in(net, columns), accumulate, c)


cdef void multiply_few(Network *net, ptrdiff_t rows, const Left *left, const char *b, ptrdiff_t columns,
                       ptrdiff_t panels, char *c, ptrdiff_t c_stride) noexcept nogil:
    """c = left b over several panels of b (k rows each) for a few rows: full panels together, a narrow last one alone.
    """
    cdef fm_gemm_rows gemm = net.pairs.gemm_rows if left.pairs else net.kernels.gemm_rows
    cdef fm_gemm_few gemm_few = net.pairs.gemm_few if left.pairs else net.kernels.gemm_few
    cdef ptrdiff_t full = panels, k = left.k
    cdef ptrdiff_t last = columns - (panels - 1) * net.panel
    if last <= net.lanes:
        full -= 1
        gemm(rows, k, left.at, left.stride, packed(net, b, k, 0, full), 1, False, place(net, c, c_stride, 0, full))
    if full > 0:
        gemm_few(rows, k, left.at, left.stride, b, k * net.panel, full, False, c, c_stride)


cdef void gradient_block(Network *net, ptrdiff_t rows, const Operands *of, ptrdiff_t k, ptrdiff_t columns,
                         bint accumulate, const Ahead *ahead, char *g) noexcept nogil:
    """g (rows x panel) = a^T d over the first k steps of both; += where accumulate.

    What comes next is fetched meanwhile, a few lines between two register tiles: all at once they would wait for each
    other, and the tile for them.
    """
    cdef ptrdiff_t done = 0, n, row, n_rows
    while done < k:
        n = min(net.block_rows, k - done)
        row = 0
        while row < rows:
            n_rows = rows
            if done == 0 and ahead.n > 0:
                n_rows = min(net.kernels.tile_rows, rows - row)
                fetch_ahead(net, ahead, row, n_rows)
            of.gemm(n_rows, n, packed(net, of.a, 0, done, 0) + row * net.item, packed(net, of.d, 0, done, 0),
                    vectors_in(net, columns), accumulate or done > 0, packed(net, g, 0, row, 0))
            row += n_rows
        done += n
