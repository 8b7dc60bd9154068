# A user's own activation of a layer.
from fastmlp.passes.layers cimport Network
from fastmlp.passes.workspace cimport Workspace

cdef void users_activation(Network *net, Workspace *ws, int l, ptrdiff_t row, ptrdiff_t rows) noexcept nogil
cdef raise_left(Workspace *ws)
