# Every address in a matrix of column panels is made here. Element (r, c) of a matrix whose panels are `stride` elements
# apart is at (c / P) stride + r P + c % P, where P columns make a panel.
from fastmlp.passes.layers cimport Network

cdef inline ptrdiff_t panel_row(Network *net) noexcept nogil:
    """Bytes of one row of a panel."""
    return net.panel * net.item

cdef inline ptrdiff_t panels_in(Network *net, ptrdiff_t columns) noexcept nogil:
    """Panels that hold so many columns, the last one maybe in part."""
    return (columns + net.panel - 1) // net.panel

cdef inline char *place(Network *net, const char *matrix, ptrdiff_t stride, ptrdiff_t row,
                        ptrdiff_t panel) noexcept nogil:
    """The address at which a row begins in one of a matrix's panels."""
    return <char *> matrix + (panel * stride + row * net.panel) * net.item

cdef inline char *packed(Network *net, const char *matrix, ptrdiff_t rows, ptrdiff_t row,
                         ptrdiff_t panel) noexcept nogil:
    """The address at which a row begins in a panel of a matrix without gaps between its panels: parameters lie so."""
    return <char *> matrix + (panel * rows + row) * net.panel * net.item

cdef inline int vectors_in(Network *net, ptrdiff_t columns) noexcept nogil:
    """Vectors of a panel's row that are in use, where so many columns are left from its first on."""
    return 1 if columns <= net.lanes else 2

cdef inline ptrdiff_t pairs_in(ptrdiff_t numbers) noexcept nogil:
    """Pairs that hold so many numbers, the last one maybe in part."""
    return (numbers + 1) // 2

cdef inline char *pairs_down(Network *net, const char *matrix, ptrdiff_t stride, ptrdiff_t row,
                             ptrdiff_t panel) noexcept nogil:
    """The address at which an even row, with the next one, begins in the pairs down the columns of a matrix."""
    return place(net, matrix, stride // 2, row // 2, panel)

cdef inline char *pairs_along(Network *net, const char *matrix, ptrdiff_t stride, ptrdiff_t row,
                              ptrdiff_t panel) noexcept nogil:
    """The address at which a row begins in the pairs along the rows of a matrix: they are half as long."""
    return <char *> matrix + (panel * stride + row * net.panel) // 2 * net.item
