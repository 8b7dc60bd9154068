# Who owns a network's parameters: weights, vectors and optimizer state, in arenas of panels.
from fastmlp.passes.layers cimport Layer, Network, Vector
from libc.stdint cimport int64_t

cdef class Parameters:
    cdef Network net
    cdef object spec
    cdef bint statistics             # whether those of a batch norm are here, which a gradient has not
    cdef object levels               # arrays that net.levels and net.target_weights point into, or None
    cdef object target_weights
    cdef tuple scalings              # arrays that net.inputs and net.targets point into, or Nones
    cdef char *arena
    cdef char *state_arena
    cdef char *average_arena         # as large as updated_bytes; NULL where no average is kept
    cdef int64_t n_steps             # updates that the optimizer's present state has made
    cdef int interpolation           # the table's column of that name; -1 where training is at the parameters
    cdef bint departed               # the parameters are y of a training; the mean x, which users see, is a state
    cdef int64_t changes             # how often the parameters have, so that others see that they did
    cdef size_t updated_bytes        # of the arena: all but the transposes
    cdef size_t spare                # bytes behind that, for what goes along with a gradient that is sent
    cdef size_t state_bytes
    cdef describe_layers(self)
    cdef describe_vectors(self, Layer *to, vectors)
    cdef size_t lay_out(self, char *base)
    cdef size_t lay_out_state(self, char *base)
    cdef void refresh_transposes(self) noexcept nogil
    cdef void depart(self, double interpolation) noexcept nogil
    cdef void interpolate(self, char *w, char *z, char *x, ptrdiff_t size, double interpolation) noexcept nogil
    cdef void arrive(self) noexcept nogil
    cdef void transpose_layer(self, Layer *layer, char *to) noexcept nogil
    cdef dict checked(self, tensors, int state)
    cdef rows_of(self, Layer *layer, bint trained)
    cdef char *weights_of(self, Layer *layer, int state) noexcept
    cdef char *vector_of(self, Vector *vector, int state) noexcept

cdef class Copy:
    cdef char *memory
    cdef int64_t n_steps
    cdef size_t parameters_bytes
    cdef size_t state_bytes
    cdef size_t average_bytes
    cdef bint is_like(self, size_t parameters_bytes, size_t state_bytes, size_t average_bytes) noexcept

cdef char *take(char *base, size_t *used, size_t size) noexcept nogil
cdef char *allocate(size_t size) except NULL
cdef refuse_too_large(size)

cdef inline double squared_weights_of(Network *net, int l) noexcept nogil:
    """The sum of a layer's squared weights. Never of the matrix that is updated: which that is depends on the ISA."""
    cdef Layer *layer = &net.layers[l]
    if layer.dots:
        return net.kernels.sum_squares(layer.n_out, layer.n_in, layer.weight_t, layer.n_out * net.panel)
    return net.kernels.sum_squares(layer.n_in, layer.n_out, layer.weight, layer.n_in * net.panel)

cdef inline double penalty_of(Network *net, int l) noexcept nogil:
    """What a layer's weights add to the loss; summed over the same matrix on every ISA, too."""
    cdef Layer *layer = &net.layers[l]
    if layer.l1 == 0 and layer.l2 == 0:
        return 0
    if layer.dots:
        return net.kernels.sum_penalties(layer.n_out, layer.n_in, layer.weight_t, layer.n_out * net.panel, layer.l1,
                                         layer.l2 / 2)
    return net.kernels.sum_penalties(layer.n_in, layer.n_out, layer.weight, layer.n_in * net.panel, layer.l1,
                                     layer.l2 / 2)
