# Muon's directions: what it makes of each layer's matrix of gradients as a whole, between gradient and update.
from fastmlp.passes.layers cimport Network
from fastmlp.passes.parameters cimport Parameters
from fastmlp.passes.threads cimport Place, Team
from fastmlp.passes.update cimport Rule

# One layer's, in the orientation in which it has no more columns than rows, which no ISA changes.
cdef struct Direction:
    bint across                  # it is the transpose of the matrix that the layer updates
    ptrdiff_t rows
    ptrdiff_t columns
    ptrdiff_t panels
    ptrdiff_t row_blocks         # of P rows
    ptrdiff_t stride             # elements from one of its panels to the next
    char *y[2]                   # it, and what the iteration makes of it, in turns; the other is free
    char *gram                   # y^T y, columns x columns
    char *polynomial             # like it
    char *squares                # the sums of squares of the columns of each block

cdef class Directions:
    cdef Direction *of_layers
    cdef char *arena
    cdef size_t lay_out(self, Network *net, char *base) noexcept

cdef int iterations(const Rule *rule) noexcept nogil
cdef void directions_phase(Network *net, Network *gradient, Direction *directions, const Rule *rule, Team *team,
                           Place *place) noexcept nogil
cdef void iterate(Network *net, Direction *directions, const Rule *rule, Team *team, Place *place,
                  int turn) noexcept nogil
cdef void update_along(Network *net, Network *gradient, Direction *directions, ptrdiff_t item,
                       const Rule *rule) noexcept nogil
