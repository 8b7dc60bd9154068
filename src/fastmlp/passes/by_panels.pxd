# Rows of a step whose layers are split by column panels.
from fastmlp.passes.steps cimport Part, Steps
from fastmlp.passes.threads cimport Place

cdef void panels_forward(Steps *run, Place *place, Part *part) noexcept nogil
cdef void panels_backward(Steps *run, Place *place, Part *part) noexcept nogil
