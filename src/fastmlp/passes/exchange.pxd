# Tensors of other libraries by DLPack's table of C functions, and the passes over them.
from fastmlp.passes.gate cimport Gate
from fastmlp.passes.parameters cimport Parameters
from fastmlp.passes.predict cimport Predictor
from fastmlp.passes.rows cimport Examples
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

# As DLPack 1.3 lays them out in memory; structures inside of others are written out.
cdef struct DLTensor:
    void *data
    int32_t device_type
    int32_t device_id
    int32_t ndim
    uint8_t code
    uint8_t bits
    uint16_t lanes
    int64_t *shape
    int64_t *strides             # in elements; NULL: row by row
    uint64_t byte_offset

ctypedef int (*borrow_tensor)(void *tensor, DLTensor *to) except -1

cdef struct ExchangeTable:
    uint32_t major
    uint32_t minor
    void *previous
    void *allocate
    void *managed_from_object
    void *managed_to_object
    borrow_tensor borrow         # valid while the tensor is; NULL where the library has none
    void *stream

cdef class TensorPasses:
    cdef Parameters parameters
    cdef Predictor predictor
    cdef Gate gate
    cdef list tape_buffers
    cdef object capsule
    cdef borrow_tensor borrow
    cdef bint matrix(self, tensor, DLTensor *view, ptrdiff_t columns) except -1
    cdef char *whole(self, tensor, ptrdiff_t rows, ptrdiff_t columns) except? NULL
    cdef bint inputs(self, x, Examples *examples) except -1
    cdef bint places(self, list tensors, char **to, bint all_of_them) except -1
    cdef int team_size(self, ptrdiff_t rows, bint train, int threads) except -1
