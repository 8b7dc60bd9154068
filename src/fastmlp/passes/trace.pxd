# Every layer's values of some rows.
from fastmlp.passes.parameters cimport Parameters
from fastmlp.passes.rows cimport Inputs

cdef trace_rows(Parameters parameters, Inputs inputs, by_outputs)
