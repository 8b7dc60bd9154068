# Operands of products as pairs of bfloat16.
from fastmlp.passes.layers cimport Layer, Network

cdef void round_weights(Network *net, Layer *layer, ptrdiff_t i, ptrdiff_t j) noexcept nogil
cdef void round_layer(Network *net, Layer *layer) noexcept nogil
cdef void round_panel(Network *net, const char *matrix, ptrdiff_t stride, ptrdiff_t columns, ptrdiff_t row,
                      ptrdiff_t rows, ptrdiff_t j, char *along, char *down) noexcept nogil
