# The update of tiles of weights and of vectors.
from fastmlp.passes.layers cimport Network
from fastmlp.passes.threads cimport Place, Team
from fastmlp.passes.workspace cimport Workspace

# What a step does with the gradient.
cdef struct Rule:
    const double *step       # its row of the table
    const ptrdiff_t *parts   # where in it those begin that weights and vectors of each layer follow; NULL: at its start
    double factor            # that the gradient is multiplied by: less than 1 where its norm was too large
    double most              # that an entry's magnitude may be; 0: anything
    double share             # of the parameters in their moving average afterwards; 0: it stays

cdef void update_item(Network *net, Workspace *ws, ptrdiff_t rows, ptrdiff_t item, Network *before,
                      const Rule *rule, bint shared, char *scratch) noexcept nogil
cdef void update_summed(Network *net, Network **sums, ptrdiff_t n_sums, ptrdiff_t item, const Rule *rule,
                        char *scratch) noexcept nogil
cdef void update_stored(Network *net, Network *gradient, ptrdiff_t item, const Rule *rule) noexcept nogil
cdef void average_phase(Network *net, Team *team, Place *place, double share) noexcept nogil
