# What a fastmlp_net * of the C interface points at, and predictions by it without the GIL.
from fastmlp.passes.gate cimport fm_gate
from fastmlp.passes.kernels cimport Matrix
from fastmlp.passes.layers cimport Network
from fastmlp.passes.threads cimport fm_ticket
from fastmlp.passes.workspace cimport Workspace
from cpython.ref cimport PyObject

cdef enum:
    ROOMS = 16                       # workspaces that wait for calls; threads beyond so many make their own

# A workspace that one call uses at a time.
cdef struct Room:
    Workspace *ws
    PyObject *buffers                # which hold it
    char *row                        # one row of outputs

# What arrays are measured by.
cdef struct Shape:
    ptrdiff_t item                   # bytes of an element
    ptrdiff_t n_inputs
    ptrdiff_t n_outputs
    ptrdiff_t n_parameters

cdef struct Handle:
    fm_ticket rooms[ROOMS]           # the addresses of those that nobody uses, else 0
    Network *net
    fm_gate *gate
    PyObject *owner                  # the MLP
    PyObject *engine
    Shape shape
    ptrdiff_t block                  # rows that go through together

cdef Handle *new_handle(owner, engine, ptrdiff_t n_parameters) except NULL
cdef void free_handle(Handle *handle) noexcept
cdef int predict_rows(Handle *handle, Matrix *x, char *out, double *first) noexcept nogil
cdef void describe(Matrix *x, const void *data, ptrdiff_t rows, ptrdiff_t columns, int source) noexcept nogil
cdef bint fits(const Shape *shape, const void *array, size_t size, ptrdiff_t rows, ptrdiff_t columns) noexcept nogil
