# Tiles of weights from and to matrices of others, which lie row by row.
from fastmlp.passes.kernels cimport Rows
from fastmlp.passes.layers cimport Network
from fastmlp.passes.parameters cimport Parameters
from fastmlp.passes.tiles cimport Tile

cdef void take_tile(Network *net, Tile *t, char *g, bint transposed, char *room, char **tensors) noexcept nogil
cdef void places_in_vector(Network *net, char *parameters, char **tensors) noexcept nogil
cdef put_tensors(Parameters parameters, const char **tensors, int team_size)
cdef write_transposed(Parameters parameters, arrays, int team_size)
cdef ptrdiff_t count_parameters(Network *net) noexcept nogil
cdef int count_tensors(Network *net) noexcept nogil
