# Updates by gradients that others have computed.
from fastmlp.passes.gate cimport Gate
from fastmlp.passes.orthogonal cimport Directions
from fastmlp.passes.parameters cimport Parameters

cdef apply_gradient(Parameters parameters, Gate gate, Parameters gradient, Directions directions, table, tuple groups,
                    clip_norm, clip_value, int team_size)
