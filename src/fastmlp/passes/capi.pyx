"""The table of functions that C programs call (fastmlp.h): predictions come without the GIL (handles.pyx),
all else asks Python.

No mirror in reference/: what is asked of Python is in fastmlp/c_api.py.
"""
import numpy as np

from cpython.buffer cimport PyBUF_READ, PyBUF_WRITE
from cpython.exc cimport PyErr_SetInterrupt
from cpython.memoryview cimport PyMemoryView_FromMemory
from cpython.pycapsule cimport PyCapsule_New
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from fastmlp cimport (
    FASTMLP_ARGUMENT,
    FASTMLP_DIVERGED,
    FASTMLP_ERROR,
    FASTMLP_FLOAT32,
    FASTMLP_FLOAT64,
    FASTMLP_INTERRUPTED,
    FASTMLP_MEMORY,
    FASTMLP_NOT_FINITE,
    FASTMLP_NULL,
    FASTMLP_OK,
    FASTMLP_SIZE,
    FASTMLP_STALE,
    FASTMLP_TRAINING,
    FASTMLP_VERSION,
    fastmlp_api,
    fastmlp_net,
    fastmlp_options,
    fastmlp_tape,
)
from fastmlp.passes.handles cimport Handle, Shape, describe, fits, free_handle, new_handle, predict_rows
from fastmlp.passes.kernels cimport FM_SOURCE_float32, FM_SOURCE_float64, Matrix
from fastmlp.passes.predict cimport few_enough
from libc.math cimport NAN
from libc.string cimport memcpy, memset

cdef extern from "failure.h" nogil:
    const char *fm_text(int code) noexcept
    const char *fm_last_message() noexcept
    int fm_fail(int code, const char *message) noexcept

cdef enum:
    MOST_SIZES = 1 << 16             # of a network: more is a count gone wrong
    MOST_OPTIONS = 4096              # bytes of what a newer version may have as options

cdef object calls = None             # fastmlp.c_api
cdef fastmlp_api table


cdef class Kept:
    """What a fastmlp_tape * points at: a tape and its network."""
    cdef object net
    cdef object tape
    cdef ptrdiff_t rows
    cdef Shape shape


# ---- without the GIL -------------------------------------------------------------------------------------------------

cdef int rows_of(Handle *handle, const void *x, size_t x_bytes, const void *y, size_t y_bytes,
                 ptrdiff_t *rows) noexcept nogil:
    """Find out how many rows x has, and that y has as many."""
    cdef const Shape *shape
    if handle == NULL or x == NULL or y == NULL:
        return fm_fail(FASTMLP_NULL, NULL)
    shape = &handle.shape
    rows[0] = <ptrdiff_t> (x_bytes // (<size_t> shape.item * <size_t> shape.n_inputs))
    if not (fits(shape, x, x_bytes, rows[0], shape.n_inputs) and fits(shape, y, y_bytes, rows[0], shape.n_outputs)):
        return fm_fail(FASTMLP_SIZE, NULL)
    return FASTMLP_OK


cdef int predict(fastmlp_net *net, const void *x, size_t x_bytes, void *y, size_t y_bytes, int threads) noexcept nogil:
    cdef Handle *handle = <Handle *> net
    cdef ptrdiff_t rows
    cdef Matrix matrix
    cdef int code = rows_of(handle, x, x_bytes, y, y_bytes, &rows)
    if code != FASTMLP_OK or rows == 0:
        return code
    if threads < 0:
        return fm_fail(FASTMLP_ARGUMENT, "threads must not be negative")
    if handle.net.custom or not (threads == 1 or (threads == 0 and few_enough(handle.net, rows))):
        return predict_by_python(handle, x, x_bytes, y, y_bytes, threads)
    describe(&matrix, x, rows, handle.shape.n_inputs,
             FM_SOURCE_float32 if handle.shape.item == 4 else FM_SOURCE_float64)
    code = predict_rows(handle, &matrix, <char *> y, NULL)
    return code if code == FASTMLP_OK else fm_fail(code, NULL)


cdef double value(int n, double *x, void *net) noexcept nogil:
    cdef Handle *handle = <Handle *> net
    cdef Matrix matrix
    cdef double result
    cdef int code
    if handle == NULL or x == NULL:
        code = FASTMLP_NULL
    elif n != handle.shape.n_inputs:
        code = FASTMLP_SIZE
    elif handle.net.custom:
        code = FASTMLP_ERROR
    else:
        describe(&matrix, x, 1, n, FM_SOURCE_float64)
        code = predict_rows(handle, &matrix, NULL, &result)
    if code == FASTMLP_OK:
        return result
    fm_fail(code, NULL)
    return NAN


cdef ptrdiff_t n_inputs(const fastmlp_net *net) noexcept nogil:
    return fm_fail(FASTMLP_NULL, NULL) if net == NULL else (<const Handle *> net).shape.n_inputs


cdef ptrdiff_t n_outputs(const fastmlp_net *net) noexcept nogil:
    return fm_fail(FASTMLP_NULL, NULL) if net == NULL else (<const Handle *> net).shape.n_outputs


cdef ptrdiff_t n_parameters(const fastmlp_net *net) noexcept nogil:
    return fm_fail(FASTMLP_NULL, NULL) if net == NULL else (<const Handle *> net).shape.n_parameters


cdef int dtype(const fastmlp_net *net) noexcept nogil:
    if net == NULL:
        return fm_fail(FASTMLP_NULL, NULL)
    return FASTMLP_FLOAT32 if (<const Handle *> net).shape.item == 4 else FASTMLP_FLOAT64


# ---- with Python -----------------------------------------------------------------------------------------------------

cdef int failed(error) noexcept:
    """Keep what an exception says for `last_error`; return the code for it."""
    cdef int code = FASTMLP_ERROR
    if isinstance(error, MemoryError):
        code = FASTMLP_MEMORY
    elif isinstance(error, KeyboardInterrupt):
        PyErr_SetInterrupt()
        code = FASTMLP_INTERRUPTED
    elif isinstance(error, FloatingPointError):
        code = FASTMLP_DIVERGED
    elif isinstance(error, calls.NotFinite):
        code = FASTMLP_NOT_FINITE
    elif isinstance(error, calls.Stale):
        code = FASTMLP_STALE
    elif isinstance(error, (TypeError, ValueError)):
        code = FASTMLP_ARGUMENT
    try:
        message = (str(error) or type(error).__name__).encode(errors="replace")
    except Exception:
        return fm_fail(code, NULL)
    return fm_fail(code, message)


cdef view_of(const void *memory, size_t size, const Shape *shape, ptrdiff_t columns, bint writeable):
    """A C array as NumPy sees it, for as long as the call lasts: (rows, columns), or a vector where columns is 0."""
    view = PyMemoryView_FromMemory(<char *> memory, size, PyBUF_WRITE if writeable else PyBUF_READ)
    array = np.frombuffer(view, np.float32 if shape.item == 4 else np.float64)
    return array.reshape(-1, columns) if columns else array


cdef str text_of(const char *text):
    return None if text == NULL else text.decode()


cdef give(net, fastmlp_net **to):
    to[0] = <fastmlp_net *> new_handle(net, calls.engine_of(net), net.n_parameters)


cdef int read_options(const fastmlp_options *given, fastmlp_options *options) noexcept:
    """Take what a program of any version has filled in; what is not known here has to be zero."""
    cdef const char *rest = <const char *> given
    cdef size_t i
    memset(options, 0, sizeof(fastmlp_options))
    if given == NULL:
        return FASTMLP_OK
    if given.size < sizeof(size_t) or given.size > MOST_OPTIONS:
        return fm_fail(FASTMLP_VERSION, "options.size is not the size of any fastmlp_options")
    for i in range(sizeof(fastmlp_options), given.size):
        if rest[i] != 0:
            return fm_fail(FASTMLP_VERSION, "options has something in it that this version does not know")
    memcpy(options, given, min(given.size, sizeof(fastmlp_options)))
    return FASTMLP_OK


cdef int create(const ptrdiff_t *sizes, size_t n, const fastmlp_options *given, fastmlp_net **net) noexcept with gil:
    cdef fastmlp_options options
    cdef int code
    cdef size_t i
    if sizes == NULL or net == NULL:
        return fm_fail(FASTMLP_NULL, NULL)
    if n > MOST_SIZES:
        return fm_fail(FASTMLP_ARGUMENT, "n, the number of sizes, is too large")
    code = read_options(given, &options)
    if code != FASTMLP_OK:
        return code
    if options.dtype != FASTMLP_FLOAT32 and options.dtype != FASTMLP_FLOAT64:
        return fm_fail(FASTMLP_ARGUMENT, "options.dtype must be FASTMLP_FLOAT32 or FASTMLP_FLOAT64")
    try:
        give(calls.create(
            [sizes[i] for i in range(n)], "float32" if options.dtype == FASTMLP_FLOAT32 else "float64",
            options.seed if options.seeded else None, text_of(options.activation), text_of(options.output),
            text_of(options.loss)), net)
        return FASTMLP_OK
    except BaseException as error:
        return failed(error)


cdef int load(const void *file, size_t size, fastmlp_net **net) noexcept with gil:
    if file == NULL or net == NULL:
        return fm_fail(FASTMLP_NULL, NULL)
    try:
        give(calls.load(PyMemoryView_FromMemory(<char *> file, size, PyBUF_READ)), net)
        return FASTMLP_OK
    except BaseException as error:
        return failed(error)


cdef int from_python(void *mlp, fastmlp_net **net) noexcept with gil:
    if mlp == NULL or net == NULL:
        return fm_fail(FASTMLP_NULL, NULL)
    try:
        give(<object> <PyObject *> mlp, net)
        return FASTMLP_OK
    except BaseException as error:
        return failed(error)


cdef int to_python(fastmlp_net *net, void **mlp) noexcept with gil:
    if net == NULL or mlp == NULL:
        return fm_fail(FASTMLP_NULL, NULL)
    owner = <object> (<Handle *> net).owner
    Py_INCREF(owner)
    mlp[0] = <void *> owner
    return FASTMLP_OK


cdef void release(fastmlp_net *net) noexcept with gil:
    if net != NULL:
        free_handle(<Handle *> net)


cdef int get_parameters(fastmlp_net *net, void *parameters, size_t size) noexcept with gil:
    return vector_call(<Handle *> net, "get_parameters", parameters, size, True)


cdef int set_parameters(fastmlp_net *net, const void *parameters, size_t size) noexcept with gil:
    return vector_call(<Handle *> net, "set_parameters", parameters, size, False)


cdef int vector_call(Handle *handle, str name, const void *vector, size_t size, bint writeable,
                     tuple others=()) noexcept:
    """Call what has this name in fastmlp/c_api.py with a number for each parameter."""
    if handle == NULL or vector == NULL:
        return fm_fail(FASTMLP_NULL, NULL)
    if not fits(&handle.shape, vector, size, 1, handle.shape.n_parameters):
        return fm_fail(FASTMLP_SIZE, NULL)
    try:
        getattr(calls, name)(<object> handle.owner, view_of(vector, size, &handle.shape, 0, writeable), *others)
    except BaseException as error:
        return failed(error)
    return FASTMLP_OK


cdef int predict_by_python(Handle *handle, const void *x, size_t x_bytes, void *y, size_t y_bytes,
                           int threads) noexcept with gil:
    try:
        calls.predict(<object> handle.owner, view_of(x, x_bytes, &handle.shape, handle.shape.n_inputs, False),
                      view_of(y, y_bytes, &handle.shape, handle.shape.n_outputs, True), threads)
    except BaseException as error:
        return failed(error)
    return FASTMLP_OK


cdef int forward(fastmlp_net *net, const void *x, size_t x_bytes, void *y, size_t y_bytes, int flags, int threads,
                 fastmlp_tape **tape) noexcept with gil:
    cdef Handle *handle = <Handle *> net
    cdef ptrdiff_t rows = 0
    cdef Kept kept
    cdef int code = rows_of(handle, x, x_bytes, y, y_bytes, &rows)
    if code != FASTMLP_OK:
        return code
    if tape == NULL:
        return fm_fail(FASTMLP_NULL, NULL)
    if rows == 0 or threads < 0 or (flags & ~FASTMLP_TRAINING):
        return fm_fail(FASTMLP_ARGUMENT, "there must be a row, flags 0 or FASTMLP_TRAINING, threads not negative")
    try:
        kept = Kept()
        kept.net, kept.rows, kept.shape = <object> handle.owner, rows, handle.shape
        kept.tape = calls.forward(
            kept.net, view_of(x, x_bytes, &handle.shape, handle.shape.n_inputs, False),
            view_of(y, y_bytes, &handle.shape, handle.shape.n_outputs, True), bool(flags), threads)
    except BaseException as error:
        return failed(error)
    Py_INCREF(kept)
    tape[0] = <fastmlp_tape *> <PyObject *> kept
    return FASTMLP_OK


cdef int backward(fastmlp_tape *tape, const void *dy, size_t dy_bytes, void *gradient, size_t gradient_bytes, void *dx,
                  size_t dx_bytes, int threads) noexcept with gil:
    cdef Kept kept
    cdef Shape *shape
    if tape == NULL or dy == NULL:
        return fm_fail(FASTMLP_NULL, NULL)
    kept = <Kept> <PyObject *> tape
    shape = &kept.shape
    if (not fits(shape, dy, dy_bytes, kept.rows, shape.n_outputs)
            or not wanted(shape, gradient, gradient_bytes, 1, shape.n_parameters)
            or not wanted(shape, dx, dx_bytes, kept.rows, shape.n_inputs)):
        return fm_fail(FASTMLP_SIZE, NULL)
    if threads < 0:
        return fm_fail(FASTMLP_ARGUMENT, "threads must not be negative")
    try:
        calls.backward(kept.net, kept.tape, view_of(dy, dy_bytes, shape, shape.n_outputs, False),
                       None if gradient == NULL else view_of(gradient, gradient_bytes, shape, 0, True),
                       None if dx == NULL else view_of(dx, dx_bytes, shape, shape.n_inputs, True), threads)
    except BaseException as error:
        return failed(error)
    return FASTMLP_OK


cdef bint wanted(const Shape *shape, const void *array, size_t size, ptrdiff_t rows, ptrdiff_t columns) noexcept:
    """Whether an array that need not be there fits, or is not there."""
    return size == 0 if array == NULL else fits(shape, array, size, rows, columns)


cdef void release_tape(fastmlp_tape *tape) noexcept with gil:
    if tape != NULL:
        Py_DECREF(<object> <PyObject *> tape)


cdef int step(fastmlp_net *net, const void *gradient, size_t size, const char *optimizer, double learning_rate,
              int threads) noexcept with gil:
    if threads < 0:
        return fm_fail(FASTMLP_ARGUMENT, "threads must not be negative")
    try:
        name = text_of(optimizer)
    except UnicodeDecodeError as error:
        return failed(error)
    return vector_call(<Handle *> net, "step", gradient, size, False, (name, learning_rate, threads))


def capsule(functions):
    """The table in a capsule; `functions` is the module that has what it asks of Python."""
    global calls
    calls = functions
    table.size, table.version = sizeof(fastmlp_api), 1
    table.text, table.last_error = fm_text, fm_last_message
    table.create, table.load, table.from_python, table.to_python = create, load, from_python, to_python
    table.release = release
    table.n_inputs, table.n_outputs, table.n_parameters, table.dtype = n_inputs, n_outputs, n_parameters, dtype
    table.get_parameters, table.set_parameters = get_parameters, set_parameters
    table.predict, table.value = predict, value
    table.forward, table.backward, table.release_tape, table.step = forward, backward, release_tape, step
    return PyCapsule_New(&table, "fastmlp._C_API", NULL)
