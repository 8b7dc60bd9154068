# The update of tiles of weights and of biases.
from fastmlp.passes.layers cimport Network
from fastmlp.passes.workspace cimport Workspace

cdef void update_item(Network *net, Workspace *ws, ptrdiff_t rows, ptrdiff_t item, Network *before,
                      const double *step, bint shared, char *scratch) noexcept nogil
cdef void update_summed(Network *net, Network **sums, ptrdiff_t n_sums, ptrdiff_t item, const double *step,
                        char *scratch) noexcept nogil
cdef void update_stored(Network *net, Network *gradient, ptrdiff_t item, const double *step) noexcept nogil
