"""Products of panels: in which order blocks of rows and of the summed dimension go through the register tile.

Blocking never changes a sum's order: a block continues where the one before stopped. Mirror: np.matmul in
reference/forward.py, reference/backward.py and reference/update.py.
"""
cdef void multiply_panel(Network *net, ptrdiff_t rows, ptrdiff_t k, const char *a, ptrdiff_t a_stride, const char *b,
                         ptrdiff_t columns, char *c) noexcept nogil:
    """c (rows x panel) = a (rows x k) b (k x panel), where `columns` of the panel's columns are in use."""
    cdef ptrdiff_t block = net.block_rows if rows > 2 * net.kernels.tile_rows else k
    cdef bint accumulate = False
    while k > block:
        net.kernels.gemm_rows(rows, block, a, a_stride, b, vectors_in(net, columns), accumulate, c)
        a += block // net.panel * a_stride * net.item
        b += block * net.panel * net.item
        k -= block
        accumulate = True
    net.kernels.gemm_rows(rows, k, a, a_stride, b, vectors_in(net, columns), accumulate, c)


cdef void multiply_few(Network *net, ptrdiff_t rows, ptrdiff_t k, const char *a, ptrdiff_t a_stride, const char *b,
                       ptrdiff_t columns, ptrdiff_t panels, char *c, ptrdiff_t c_stride) noexcept nogil:
    """The same over several panels (k rows each) for a few rows: full panels together, a narrow last one alone."""
    cdef ptrdiff_t width = net.panel * net.item
    cdef ptrdiff_t full = panels
    cdef ptrdiff_t last = columns - (panels - 1) * net.panel
    if last <= net.lanes:
        full -= 1
        net.kernels.gemm_rows(rows, k, a, a_stride, b + full * k * width, 1, False, c + full * c_stride * net.item)
    if full > 0:
        net.kernels.gemm_few(rows, k, a, a_stride, b, k * net.panel, full, False, c, c_stride)


cdef void gradient_block(Network *net, ptrdiff_t rows, ptrdiff_t batch, const char *a, const char *d,
                         ptrdiff_t columns, bint accumulate, const Ahead *ahead, char *g) noexcept nogil:
    """g (rows x panel) = a^T d, both `batch` rows of a panel; += where accumulate.

    What comes next is fetched meanwhile, a few lines between two register tiles: all at once they would wait for each
    other, and the tile for them.
    """
    cdef ptrdiff_t done = 0, n, row, tile
    cdef ptrdiff_t width = net.panel * net.item
    while done < batch:
        n = min(net.block_rows, batch - done)
        row = 0
        while row < rows:
            tile = rows
            if done == 0 and ahead.n > 0:
                tile = min(net.kernels.tile_rows, rows - row)
                fetch_ahead(net, ahead, row, tile)
            net.kernels.gemm_columns(tile, n, a + done * width + row * net.item, d + done * width,
                                     vectors_in(net, columns), accumulate or done > 0, g + row * width)
            row += tile
        done += n
