# The gradient of weight tiles, and what is done with it.
from fastmlp.passes.plan cimport Network, Workspace

cdef ptrdiff_t update_items(Network *net) noexcept nogil
cdef size_t scratch_bytes(Network *net) noexcept nogil
cdef void update_item(Network *net, Workspace *ws, ptrdiff_t rows, ptrdiff_t item, Network *before,
                      const double *scalars, int n_scalars, char *scratch) noexcept nogil
cdef void gradient_item(Network *net, Workspace *ws, ptrdiff_t rows, ptrdiff_t item, bint accumulate,
                        Network *to) noexcept nogil
