# The norm of a stored gradient, by which it is clipped.
from fastmlp.passes.layers cimport Network

cdef size_t squares_bytes(Network *net) noexcept nogil
cdef void square_item(Network *gradient, ptrdiff_t item, char *squares) noexcept nogil
cdef double clip_factor(Network *gradient, const char *squares, double most) noexcept nogil
