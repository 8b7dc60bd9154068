# One call that makes steps, and where it comes to rest.
from fastmlp.passes.gate cimport Gate
from fastmlp.passes.layers cimport Network
from fastmlp.passes.orthogonal cimport Directions
from fastmlp.passes.parameters cimport Parameters
from fastmlp.passes.plan cimport Plan
from fastmlp.passes.rows cimport Inputs
from fastmlp.passes.steps cimport Steps
from libc.stdint cimport int64_t

cdef class Call:
    cdef Parameters parameters
    cdef Gate gate
    cdef Inputs inputs
    cdef readonly object weight_sums  # per step
    cdef list buffers                # more are made where they are too few
    cdef list gradients              # Parameters that hold sums of parts and microbatches
    cdef object parts                # of a step's row of the table, which tensors follow; or None
    cdef object tiles                # numbers in the order of their panels
    cdef object profile              # nanoseconds by stage, by the clock, of all threads; or None
    cdef Plan plan
    cdef Steps steps
    cdef bint counts                 # whether steps are updates of the parameters
    cdef int64_t before              # the count of updates, less the steps of the run
    cdef object exception            # what a signal's handler or a hook raised
    cdef bint hook_raised
    cdef object at_loss              # hooks of the run; or None
    cdef object at_gradient
    cdef Parameters gradient         # of a batch, for at_gradient
    cdef object cut                  # shares of a step that several processes make; or None
    cdef list vectors                # their gradients, which are exchanged
    cdef keep_sums_in(self, list gradients)
    cdef follow(self, table, tuple groups)
    cdef run(self, ptrdiff_t first, ptrdiff_t last, int team_size, bint by_panels)
    cdef regions(self, int team_size)
    cdef bint region(self, int team_size) except -1
    cdef bint at_rest(self, ptrdiff_t step) noexcept
    cdef bint hooked(self, method, ptrdiff_t step, ptrdiff_t start, ptrdiff_t rows) noexcept
    cdef Directions directions       # what an optimizer of matrices makes of that; or None
    cdef store_gradient_in(self, Parameters gradient)
    cdef keep_directions_in(self, Directions directions)
    cdef take_shares(self, cut)
    cdef exchange_in(self, list gradients)

cdef vector_of(Parameters gradient)
cdef parts_of(Network *net, ptrdiff_t width, tuple groups)
