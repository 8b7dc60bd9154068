# Forward passes over any number of rows.
from fastmlp.passes.inputs cimport Inputs
from fastmlp.passes.plan cimport Examples, Parameters, Purpose

cdef extern from "sync.h" nogil:
    ctypedef struct fm_gate:
        pass

cdef class Predictor:
    cdef Parameters parameters
    cdef object dtype
    cdef list pool                   # sets of buffers, one for each thread of a call, that no call is using
    cdef fm_gate gate
    cdef bint enter(self) noexcept
    cdef void leave(self) noexcept
    cdef close(self)
    cdef void open(self) noexcept
    cdef list take_buffers(self, ptrdiff_t chunk, Purpose purpose, int team_size)
    cdef bint over(self, Inputs inputs, out, double[::1] row_loss, int threads, bint check) except -1
    cdef run_over(self, Inputs inputs, out, double[::1] row_loss, int team_size, bint check)
    cdef small(self, X)
    cdef run_small(self, Examples *examples)
