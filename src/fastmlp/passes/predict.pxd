# Forward passes over any number of rows.
from fastmlp.passes.gate cimport Gate
from fastmlp.passes.layers cimport Network
from fastmlp.passes.parameters cimport Parameters
from fastmlp.passes.rows cimport Examples, Inputs
from fastmlp.passes.threads cimport Team
from fastmlp.passes.workspace cimport Purpose, Workspace

# What the threads of a call share: rows [first, last), of which an item is a block.
cdef struct Blocks:
    Team *team
    Network *net
    Workspace **ws              # per thread
    Examples *examples
    bint targets
    bint check                  # whether rows may hold NaN or infinity, which ends the call
    ptrdiff_t block
    ptrdiff_t first
    ptrdiff_t last
    char *out                   # all rows x n_outputs, row-major
    double *row_loss

cdef class Predictor:
    cdef Parameters parameters
    cdef object dtype
    cdef list ready                  # a set of buffers, one for each thread of a call, that no call is using, or None
    cdef list pool                   # further ones
    cdef Gate gate
    cdef list take_buffers(self, ptrdiff_t block, Purpose purpose, int team_size)
    cdef put_back(self, list buffers)
    cdef bint over(self, Inputs inputs, out, double[::1] row_loss, int threads, bint check) except -1
    cdef bint fill(self, Examples *examples, char *out, double *row_loss, int threads, bint check) except -1
    cdef run_over(self, Examples *examples, char *out, double *row_loss, int team_size, bint check)
    cdef few_rows(self, Blocks *run, int team_size)
    cdef waves(self, Blocks *run, int team_size)
    cdef small(self, X)
    cdef run_small(self, Examples *examples)
    cdef bint fill_few(self, Examples *examples, char *out) except -1

cdef bint few_enough(Network *net, ptrdiff_t rows) noexcept nogil
cdef void forward_block(Blocks *run, Workspace *ws, ptrdiff_t start, ptrdiff_t rows) noexcept nogil
