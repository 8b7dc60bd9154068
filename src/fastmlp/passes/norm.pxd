# Normalisation of a layer's signals.
from fastmlp.passes.layers cimport Network
from fastmlp.passes.workspace cimport Workspace

cdef void normalise(Network *net, Workspace *ws, int l, ptrdiff_t row, ptrdiff_t rows) noexcept nogil
cdef void pull_back_norm(Network *net, Workspace *ws, int l, ptrdiff_t row, ptrdiff_t rows) noexcept nogil
cdef void normalise_panel(Network *net, Workspace *ws, int l, ptrdiff_t row, ptrdiff_t rows,
                          ptrdiff_t j) noexcept nogil
cdef void pull_back_panel(Network *net, Workspace *ws, int l, ptrdiff_t row, ptrdiff_t rows,
                          ptrdiff_t j) noexcept nogil
cdef void follow_statistics(Network *net, Workspace *ws, ptrdiff_t rows, double average) noexcept nogil
