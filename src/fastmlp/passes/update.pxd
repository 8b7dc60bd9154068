# The gradient of weight tiles, and what is done with it.
from fastmlp.passes.plan cimport Network, Workspace

cdef ptrdiff_t update_items(Network *net) noexcept nogil
cdef items_by_panel(Network *net)
cdef size_t scratch_bytes(Network *net) noexcept nogil
cdef void update_item(Network *net, Workspace *ws, ptrdiff_t rows, ptrdiff_t item, Network *before,
                      const double *scalars, int n_scalars, bint shared, char *scratch) noexcept nogil
cdef void gradient_item(Network *net, Workspace *ws, ptrdiff_t rows, ptrdiff_t item, bint accumulate,
                        Network *to) noexcept nogil
cdef void update_summed(Network *net, Network **sums, ptrdiff_t n_sums, ptrdiff_t item, const double *scalars,
                        int n_scalars, char *scratch) noexcept nogil
cdef void gradient_summed(Network *net, Network **sums, ptrdiff_t n_sums, ptrdiff_t item, Network *to) noexcept nogil
