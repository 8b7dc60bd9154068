# cython: language_level=3
"""The force where an energy is what a network says: minus its derivative by the inputs."""
from fastmlp cimport FASTMLP_FLOAT64, FASTMLP_OK, fastmlp_api, fastmlp_net, fastmlp_tape, import_fastmlp

import numpy as np

cdef const fastmlp_api *api = import_fastmlp()


def force(mlp, double[::1] x not None):
    """Return -dE/dx of E = mlp(x), a float64 network with one output."""
    cdef fastmlp_net *net = NULL
    cdef fastmlp_tape *tape = NULL
    cdef double energy, minus_one = -1
    cdef size_t size = x.shape[0] * sizeof(double)
    cdef double[::1] f = np.empty(x.shape[0])
    check(api.from_python(<void *> mlp, &net))
    try:
        if api.dtype(net) != FASTMLP_FLOAT64 or api.n_inputs(net) != x.shape[0]:
            raise ValueError("the network must be of float64, with an input for each number of x")
        check(api.forward(net, &x[0], size, &energy, sizeof(double), 0, 1, &tape))
        check(api.backward(tape, &minus_one, sizeof(double), NULL, 0, &f[0], size, 1))
    finally:
        api.release_tape(tape)
        api.release(net)
    return np.asarray(f)


cdef check(int code):
    if code != FASTMLP_OK:
        raise RuntimeError(api.last_error().decode())
