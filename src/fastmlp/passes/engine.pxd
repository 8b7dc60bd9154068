# One network's parameters and all that is done with them.
from fastmlp.passes.call cimport Call
from fastmlp.passes.gate cimport Gate
from fastmlp.passes.orthogonal cimport Directions
from fastmlp.passes.parameters cimport Parameters
from fastmlp.passes.predict cimport Predictor

cdef class Engine:
    cdef Gate gate
    cdef Parameters parameters
    cdef Parameters gradients_left   # by the last call of `gradient`
    cdef list training               # Buffers of the last batch size, more than one for microbatches
    cdef list gradients              # Parameters that hold gradients, for batches in parts and microbatches
    cdef Parameters whole_gradient   # of a batch, between gradient and update
    cdef Directions directions       # what an optimizer of matrices makes of that; None where there is no such one
    cdef Predictor predictor
    cdef list tape_buffers           # of tapes that are no longer needed
    cdef dict tuners                 # by batch size, largest number of threads, whether gradients are stored
    cdef object tiles                # numbers in the order of their panels
    cdef object profile              # what start_profile began: nanoseconds by stage, by the clock, of all threads
    cdef tuple kinds_to_write(self)
    cdef Directions directions_kept(self)
    cdef int slot(self, kind, tuple kinds) except -2
    cdef come_back(self)
    cdef run_with(self, Call call, run, ptrdiff_t steps, int threads)
    cdef run_tuned(self, Call call, ptrdiff_t steps, int most)
    cdef run(self, Call call, ptrdiff_t first, ptrdiff_t last, int team_size, bint by_panels)
    cdef int team_size(self, ptrdiff_t batch, bint train, int threads) except -1
