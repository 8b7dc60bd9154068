# A batch between its forward and its backward pass.
from fastmlp.passes.gate cimport Entry, Gate
from fastmlp.passes.layers cimport Network
from fastmlp.passes.parameters cimport Parameters
from fastmlp.passes.plan cimport Plan
from fastmlp.passes.rows cimport Examples
from fastmlp.passes.threads cimport Team
from fastmlp.passes.workspace cimport Buffers, Workspace
from libc.stdint cimport int64_t, uint64_t

# What the threads of a pass share. Its items are blocks of rows, or tiles.
cdef struct Pass:
    Team *team
    Network *net
    Workspace *ws
    Examples *examples
    ptrdiff_t rows
    ptrdiff_t block             # rows of an item
    ptrdiff_t microbatch        # rows whose gradient is summed apart
    ptrdiff_t first             # items [first, last) are to be done
    ptrdiff_t last
    bint random                 # in training: a mask is drawn by
    uint64_t seed
    int64_t step
    char *outputs               # (rows, O), row by row; of a backward pass, derivatives by them
    char **gradients            # of each tensor, or NULL; NULL where none is wanted
    bint transposed             # weights as (O, I)
    char *by_inputs             # (rows, I); NULL where they are not wanted
    const char *weight_t        # of the first layer, for them
    char *scratch               # per thread
    size_t scratch_bytes

cdef class Tape:
    cdef Parameters parameters
    cdef Gate gate
    cdef Buffers buffers
    cdef list pool              # where the buffers go when the tape is no longer needed
    cdef Plan plan
    cdef readonly ptrdiff_t rows
    cdef int64_t changes        # of the parameters, when the forward pass was made
    cdef forward(self, X, out, int team_size, seed)
    cdef backward(self, by_outputs, gradient, by_inputs, int team_size, bint transposed)
    cdef forward_rows_of(self, Examples *examples, char *outputs, int team_size, seed)
    cdef backward_from(self, char *by_outputs, char **gradients, char *by_inputs, int team_size, bint transposed)
    cdef take_buffers(self, bint training)
    cdef Entry enter(self, str call) except *
    cdef check_matrix(self, array, str name, ptrdiff_t columns)
    cdef pull_back(self, Pass *run, int team_size)
