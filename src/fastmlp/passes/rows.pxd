# The arrays of one run, held for as long as it takes.
from fastmlp.passes.kernels cimport Rows
from fastmlp.passes.plan cimport Examples, Parameters
from libc.stdint cimport int64_t

cdef class Inputs:
    cdef Examples examples
    cdef Rows x
    cdef Rows y
    cdef const double[::1] weight
    cdef const int64_t[::1] order
    cdef bint has_targets
    cdef ptrdiff_t rows              # in the order, or in X when there is none
    cdef check_labels(self, y, ptrdiff_t n_outputs)
    cdef weight_sums(self, ptrdiff_t batch_size)

cdef check_order(const int64_t[::1] order, ptrdiff_t rows)
cdef sums_of_weights(const double[::1] weight, const int64_t[::1] order, ptrdiff_t rows, ptrdiff_t batch_size)
