# The largest norm of the weights into a unit, which an update may not leave behind.
from fastmlp.passes.layers cimport Network
from fastmlp.passes.threads cimport Place, Team

cdef void bound_phase(Network *net, Team *team, Place *place) noexcept nogil
