"""Networks as C programs hold them, and predictions by them: without the GIL, and without a Python object.

No mirror in reference/: C programs have the compiled engine.
"""
from cpython.ref cimport Py_DECREF, Py_INCREF
from fastmlp cimport FASTMLP_BUSY, FASTMLP_MEMORY, FASTMLP_NOT_FINITE, FASTMLP_OK
from fastmlp.passes.engine cimport Engine
from fastmlp.passes.gate cimport fm_gate_enter, fm_gate_leave
from fastmlp.passes.kernels cimport FM_SOURCE_float32
from fastmlp.passes.plan cimport row_block
from fastmlp.passes.predict cimport Blocks, forward_block
from fastmlp.passes.rows cimport Examples
from fastmlp.passes.threads cimport fm_allocate, fm_free
from fastmlp.passes.workspace cimport PREDICT, Buffers
from libc.stdint cimport uint64_t, uintptr_t
from libc.string cimport memset

cdef extern from "sync.h" nogil:
    uint64_t fm_ticket_load(fm_ticket *t) noexcept
    int fm_ticket_replace(fm_ticket *t, uint64_t seen, uint64_t to) noexcept

cdef enum:
    # What a block is cut for, so that a workspace serves calls of any size.
    MANY_ROWS = 1 << 20


cdef Handle *new_handle(owner, engine, ptrdiff_t n_parameters) except NULL:
    """A handle of an MLP and its engine, which it keeps alive."""
    cdef Network *net = &(<Engine?> engine).parameters.net
    cdef Handle *handle = <Handle *> fm_allocate(sizeof(Handle))
    if handle == NULL:
        raise MemoryError("no memory for a handle")
    handle.net, handle.gate = net, &(<Engine> engine).gate.gate
    handle.shape.item, handle.shape.n_parameters = net.item, n_parameters
    handle.shape.n_inputs, handle.shape.n_outputs = net.layers[0].n_in, net.layers[net.n_layers - 1].n_out
    handle.block = row_block(net, MANY_ROWS, 1, False)
    handle.owner, handle.engine = <PyObject *> owner, <PyObject *> engine
    Py_INCREF(owner)
    Py_INCREF(engine)
    return handle


cdef void free_handle(Handle *handle) noexcept:
    cdef uint64_t room
    cdef int i
    for i in range(ROOMS):
        room = fm_ticket_load(&handle.rooms[i])
        if room != 0:
            free_room(<Room *> <uintptr_t> room)
    Py_DECREF(<object> handle.engine)
    Py_DECREF(<object> handle.owner)
    fm_free(handle)


cdef Room *new_room(Handle *handle) noexcept with gil:
    cdef Buffers buffers
    cdef Room *room
    try:
        buffers = Buffers((<Engine> handle.engine).parameters, handle.block, PREDICT)
    except MemoryError:
        return NULL
    room = <Room *> fm_allocate(sizeof(Room) + handle.shape.n_outputs * sizeof(double))
    if room != NULL:
        room.row = <char *> (room + 1)
        room.ws = &buffers.ws
        room.buffers = <PyObject *> buffers
        Py_INCREF(buffers)
    return room


cdef void free_room(Room *room) noexcept with gil:
    Py_DECREF(<object> room.buffers)
    fm_free(room)


cdef Room *take_room(Handle *handle) noexcept nogil:
    """A workspace that nobody else uses; NULL where there is no memory for one."""
    cdef uint64_t seen
    cdef int i
    for i in range(ROOMS):
        seen = fm_ticket_load(&handle.rooms[i])
        if seen != 0 and fm_ticket_replace(&handle.rooms[i], seen, 0):
            return <Room *> <uintptr_t> seen
    return new_room(handle)


cdef void give_back(Handle *handle, Room *room) noexcept nogil:
    cdef int i
    for i in range(ROOMS):
        if fm_ticket_load(&handle.rooms[i]) == 0 and fm_ticket_replace(&handle.rooms[i], 0, <uintptr_t> room):
            return
    free_room(room)


cdef int predict_rows(Handle *handle, Matrix *x, char *out, double *first) noexcept nogil:
    """Outputs of all rows, a block at a time, or where `out` is NULL the first output of one row; or why not."""
    cdef Network *net = handle.net
    cdef Examples examples
    cdef Blocks run
    cdef Room *room
    cdef ptrdiff_t start = 0
    if not net.kernels.finite[x.source](x.rows, x.columns, x.data, x.row_stride, x.column_stride):
        return FASTMLP_NOT_FINITE
    room = take_room(handle)
    if room == NULL:
        return FASTMLP_MEMORY
    memset(&examples, 0, sizeof(examples))
    examples.x, examples.rows = x[0], x.rows
    run.net, run.examples, run.targets = net, &examples, False
    run.out = room.row if out == NULL else out
    if not fm_gate_enter(handle.gate):
        give_back(handle, room)
        return FASTMLP_BUSY
    while start < x.rows:
        forward_block(&run, room.ws, start, min(handle.block, x.rows - start))
        start += handle.block
    fm_gate_leave(handle.gate)
    if out == NULL:
        first[0] = (<float *> room.row)[0] if net.item == 4 else (<double *> room.row)[0]
    give_back(handle, room)
    return FASTMLP_OK


cdef void describe(Matrix *x, const void *data, ptrdiff_t rows, ptrdiff_t columns, int source) noexcept nogil:
    """Rows of floats or doubles, one behind the other."""
    x.data, x.rows, x.columns, x.source, x.ahead = <const char *> data, rows, columns, source, 0
    x.column_stride = sizeof(float) if source == FM_SOURCE_float32 else sizeof(double)
    x.row_stride = columns * x.column_stride


cdef bint fits(const Shape *shape, const void *array, size_t size, ptrdiff_t rows, ptrdiff_t columns) noexcept nogil:
    """Whether an array has this shape, by its size in bytes, and is aligned."""
    cdef size_t row = <size_t> shape.item * <size_t> columns
    return size % row == 0 and size // row == <size_t> rows and <uintptr_t> array % <size_t> shape.item == 0
