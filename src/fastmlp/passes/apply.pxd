# Updates by gradients that others have computed.
from fastmlp.passes.gate cimport Gate
from fastmlp.passes.parameters cimport Parameters

cdef apply_gradient(Parameters parameters, Gate gate, Parameters gradient, table, tuple groups, clip_norm, clip_value,
                    int team_size)
