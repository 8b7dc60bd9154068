"""Products of panels: in which order blocks of rows and of the summed dimension go through the register tile.

Blocking never changes a sum's order: a block continues where the one before stopped. Mirror: np.matmul in
reference/forward.py, reference/backward.py and reference/update.py.
"""
from fastmlp.passes.panels cimport packed, place, vectors_in


cdef void multiply_panel(Network *net, ptrdiff_t rows, ptrdiff_t k, const char *a, ptrdiff_t a_stride, const char *b,
                         ptrdiff_t columns, char *c) noexcept nogil:
    """c (rows x panel) = a (rows x k) b (k x panel), where `columns` of the panel's columns are in use."""
    cdef ptrdiff_t block = net.block_rows if rows > 2 * net.kernels.tile_rows else k
    cdef bint accumulate = False
    while k > block:
        net.kernels.gemm_rows(rows, block, a, a_stride, b, vectors_in(net, columns), accumulate, c)
        a = place(net, a, a_stride, 0, block // net.panel)
        b = packed(net, b, 0, block, 0)
        k -= block
        accumulate = True
    net.kernels.gemm_rows(rows, k, a, a_stride, b, vectors_in(net, columns), accumulate, c)


cdef void multiply_few(Network *net, ptrdiff_t rows, ptrdiff_t k, const char *a, ptrdiff_t a_stride, const char *b,
                       ptrdiff_t columns, ptrdiff_t panels, char *c, ptrdiff_t c_stride) noexcept nogil:
    """c = a b over several panels of b (k rows each) for a few rows: full panels together, a narrow last one alone."""
    cdef ptrdiff_t full = panels
    cdef ptrdiff_t last = columns - (panels - 1) * net.panel
    if last <= net.lanes:
        full -= 1
        net.kernels.gemm_rows(rows, k, a, a_stride, packed(net, b, k, 0, full), 1, False,
                              place(net, c, c_stride, 0, full))
    if full > 0:
        net.kernels.gemm_few(rows, k, a, a_stride, b, k * net.panel, full, False, c, c_stride)


cdef void gradient_block(Network *net, ptrdiff_t rows, ptrdiff_t batch, const char *a, const char *d,
                         ptrdiff_t columns, bint accumulate, const Ahead *ahead, char *g) noexcept nogil:
    """g (rows x panel) = a^T d, both `batch` rows of a panel; += where accumulate.

    What comes next is fetched meanwhile, a few lines between two register tiles: all at once they would wait for each
    other, and the tile for them.
    """
    cdef ptrdiff_t done = 0, n, row, n_rows
    while done < batch:
        n = min(net.block_rows, batch - done)
        row = 0
        while row < rows:
            n_rows = rows
            if done == 0 and ahead.n > 0:
                n_rows = min(net.kernels.tile_rows, rows - row)
                fetch_ahead(net, ahead, row, n_rows)
            net.kernels.gemm_columns(n_rows, n, packed(net, a, 0, done, 0) + row * net.item,
                                     packed(net, d, 0, done, 0), vectors_in(net, columns), accumulate or done > 0,
                                     packed(net, g, 0, row, 0))
            row += n_rows
        done += n
