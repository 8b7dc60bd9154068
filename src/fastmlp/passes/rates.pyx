"""Single kernels that go through memory, timed: what an operation costs beside the products (bench/kernels.py).

No mirror in reference/: nothing that is computed here is kept.
"""
from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_FORMAT,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from fastmlp.passes.kernels cimport (
    FM_MAX_STATES,
    Matrix,
    Rows,
    fm_kernels,
    fm_loss_rows,
    index_of,
    kernel_table,
    optimizer_states,
)
from fastmlp.passes.threads cimport fm_nanoseconds
from libc.stdint cimport int32_t, int64_t, uintptr_t
from libc.string cimport memcpy, memset

cdef enum:
    COPY, GATHER, FORWARD, BACKWARD, LOSS, UPDATE
    ALIGNMENT = 64
    MAX_ROWS = 1024
    MAX_NUMBERS = 64

_WHAT = {"copy": COPY, "forward": FORWARD, "backward": BACKWARD, "loss": LOSS, "update": UPDATE}
_LISTS = {"forward": "activation", "backward": "activation", "loss": "loss", "update": "optimizer"}

# Memory as blocks, one behind the other, of so many arrays each: rows x columns in panels. A kernel is called with the
# arrays of one block; rows are gathered from X into the first block always, as in training.
cdef struct Probe:
    const fm_kernels *table
    int what
    int which                # of its list
    bint labels              # of a loss, in the place of a target
    ptrdiff_t rows
    ptrdiff_t columns
    ptrdiff_t panels
    ptrdiff_t stride         # elements from one panel of an array to the next
    ptrdiff_t size           # bytes of an array
    ptrdiff_t arrays
    ptrdiff_t blocks
    char *memory
    Matrix X
    const int64_t *order
    double[MAX_NUMBERS] numbers
    double[64] bias          # as the table's numbers; likewise:
    double[MAX_ROWS] scale
    int32_t[MAX_ROWS] label
    double[MAX_ROWS] row_loss


cdef void one_block(Probe *p, ptrdiff_t block) noexcept nogil:
    cdef const fm_kernels *table = p.table
    cdef char *a = p.memory + block * p.arrays * p.size
    cdef ptrdiff_t panel, step = p.stride * table.itemsize
    cdef fm_loss_rows rows
    cdef void *state[FM_MAX_STATES]
    cdef int slot
    if p.what == COPY:
        memcpy(a + p.size, a, p.size)
    elif p.what == GATHER:
        table.gather[p.X.source](p.rows, p.columns, p.order + block * p.rows, (p.blocks - block) * p.rows, p.X.ahead,
                                 p.X.data, p.X.row_stride, p.X.column_stride, NULL, NULL, p.memory, p.stride)
    elif p.what == FORWARD and table.activation[p.which].forward_rows != NULL:
        table.activation[p.which].forward_rows(p.rows, p.columns, p.numbers, a, p.stride, a)
    elif p.what == BACKWARD and table.activation[p.which].backward_rows != NULL:
        table.activation[p.which].backward_rows(p.rows, p.columns, a, p.numbers, a + p.size, p.stride)
    elif p.what == FORWARD and table.activation[p.which].forward_units != NULL:
        for panel in range(p.panels):
            table.activation[p.which].forward_units(p.rows, 2, p.bias, p.bias, False, a + panel * step,
                                                    a + panel * step)
    elif p.what == BACKWARD and table.activation[p.which].backward_units != NULL:
        for panel in range(p.panels):  # the terms of the vector's gradient go where the deltas follow them
            table.activation[p.which].backward_units(p.rows, 2, a + panel * step, p.bias, False,
                                                     a + p.size + panel * step, a + p.size + panel * step)
    elif p.what == FORWARD:
        for panel in range(p.panels):
            table.activation[p.which].forward(p.rows, 2, p.bias, p.numbers, a + panel * step, a + panel * step)
    elif p.what == BACKWARD:
        for panel in range(p.panels):
            table.activation[p.which].backward(p.rows, 2, a + panel * step, p.numbers, a + p.size + panel * step)
    elif p.what == LOSS:
        memset(&rows, 0, sizeof(rows))
        rows.rows, rows.n_outputs, rows.stride = p.rows, p.columns, p.stride
        rows.a, rows.d, rows.scale, rows.row_loss = a, a + p.size, p.scale, p.row_loss
        rows.target, rows.labels = NULL if p.labels else a + 2 * p.size, p.label if p.labels else NULL
        table.loss[p.which](&rows, p.numbers)
    else:
        for slot in range(FM_MAX_STATES):
            state[slot] = a + (2 + slot) * p.size
        table.optimizer[p.which](p.size // table.itemsize, a, a + p.size, state, p.numbers)


cdef double seconds_of(Probe *p, ptrdiff_t passes) noexcept nogil:
    cdef ptrdiff_t block, _pass
    cdef int64_t start = fm_nanoseconds()
    for _pass in range(passes):
        for block in range(p.blocks):
            one_block(p, block)
    return (fm_nanoseconds() - start) * 1e-9


cdef int cut(Probe *p, Py_buffer *memory, str isa, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t arrays) except -1:
    """Cut memory into blocks of so many arrays, for the table of its dtype."""
    if not (1 <= rows <= MAX_ROWS and 1 <= columns <= 1 << 20):
        raise ValueError(f"rows and columns are {rows} and {columns}")
    p.table = kernel_table(isa, {b"f": "float32", b"d": "float64"}[memory.format])
    p.rows, p.columns, p.arrays = rows, columns, arrays
    p.panels, p.stride = (columns + p.table.panel - 1) // p.table.panel, rows * p.table.panel
    p.size = p.panels * p.stride * p.table.itemsize
    p.blocks, p.memory = memory.len // (arrays * p.size), <char *> memory.buf
    if p.blocks < 1 or <uintptr_t> p.memory % ALIGNMENT:
        raise ValueError(f"memory of {memory.len} bytes is no block of {arrays * p.size}, aligned to {ALIGNMENT}")
    return 0


def arrays(str what, str name, bint labels=False):
    """Return the number of arrays that a block has."""
    if what == "update":
        return 2 + optimizer_states(index_of("optimizer", name))
    return {"copy": 2, "forward": 1, "backward": 2, "loss": 2 if labels else 3}[what]


def kernel_seconds(str what, str name, memory, str isa=None, *, ptrdiff_t rows, ptrdiff_t columns,
                   ptrdiff_t passes=1, numbers=(), bint labels=False):
    """Seconds that a kernel takes to go so many times through memory, a contiguous float32 or float64 array.

    what is "copy", "forward", "backward", "loss" or "update", name its row of the list, numbers what it has of
    parameters or columns. Memory is blocks of these arrays, each rows x columns in panels: x, copy; a; a, d; a, d,
    target (none with labels); w, g, state...
    """
    cdef Probe p
    cdef Py_buffer view
    cdef ptrdiff_t number
    if what not in _WHAT:
        raise ValueError(f"what is {what!r}; there are: {', '.join(_WHAT)}")
    if len(numbers) > MAX_NUMBERS:
        raise ValueError(f"there are {len(numbers)} numbers, more than {MAX_NUMBERS}")
    p.what, p.labels = _WHAT[what], labels
    p.which = index_of(_LISTS[what], name) if what in _LISTS else 0
    for number in range(MAX_NUMBERS):
        p.numbers[number] = numbers[number] if number < len(numbers) else 0.0
    memset(p.label, 0, sizeof(p.label))
    memset(p.scale, 0, sizeof(p.scale))
    PyObject_GetBuffer(memory, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | PyBUF_WRITABLE)
    try:
        cut(&p, &view, isa, rows, columns, arrays(what, name, labels))
        for number in range(p.table.panel):  # f(f(f(a - 2) - 2) - 2): of no f does that tend to denormal numbers
            if p.table.itemsize == sizeof(float):
                (<float *> p.bias)[number] = -2.0
            else:
                p.bias[number] = -2.0
        with nogil:
            seconds = seconds_of(&p, passes)
    finally:
        PyBuffer_Release(&view)
    return seconds


def gather_seconds(X, const int64_t[::1] order not None, block, str isa=None, *, ptrdiff_t rows, ptrdiff_t ahead=0,
                   ptrdiff_t passes=1):
    """Seconds that it takes to gather rows of X so many times in an order, always so many into the same block; the one
    that comes so many ahead (0: none) is fetched meanwhile."""
    cdef Probe p
    cdef Py_buffer view
    cdef Rows source = Rows(X)
    cdef int64_t row
    for row in order:
        if not 0 <= row < source.matrix.rows:
            raise ValueError(f"row {row} of {source.matrix.rows}")
    PyObject_GetBuffer(block, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | PyBUF_WRITABLE)
    try:
        cut(&p, &view, isa, rows, source.matrix.columns, 1)
        p.what, p.X, p.order, p.blocks = GATHER, source.matrix, &order[0], order.shape[0] // rows
        p.X.ahead = ahead
        with nogil:
            seconds = seconds_of(&p, passes)
    finally:
        PyBuffer_Release(&view)
    return seconds
