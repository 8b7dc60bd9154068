"""The C tables seen from Python: which ISAs there are, the names in the lists, the shuffle of rows.

The one module that links csrc. Mirror: reference/optimizer.py (a list, as those in spec/), reference/random.py.
"""
import os

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

cdef extern from "kernels.h" nogil:
    enum:
        FM_ISA_COUNT
        FM_DTYPE_COUNT
        FM_SIGNAL
        FM_ROWS
        FM_LABELS
    const char *fm_isa_name(int isa) noexcept
    const char *fm_isa_needs(int isa) noexcept
    const fm_kernels *fm_kernel_table(int isa, int dtype) noexcept
    const fm_pairs *fm_pairs_table(int isa, int native) noexcept
    const char *fm_dtype_name(int i) noexcept
    const char *fm_source_name(int i) noexcept
    const char *fm_activation_name(int i) noexcept
    const char *fm_activation_params(int i) noexcept
    int fm_activation_keeps(int i) noexcept
    int fm_activation_of(int i) noexcept
    const char *fm_loss_name(int i) noexcept
    const char *fm_loss_output(int i) noexcept
    const char *fm_loss_params(int i) noexcept
    int fm_loss_targets(int i) noexcept
    const char *fm_optimizer_name(int i) noexcept
    int fm_optimizer_states(int i) noexcept
    int fm_optimizer_n_columns(int i) noexcept
    const char *fm_optimizer_columns(int i) noexcept
    const char *fm_shared_columns_names() noexcept
    const char *fm_math_name(int i) noexcept
    double fm_math_ulp(int i, int dtype) noexcept

cdef extern from "random.h" nogil:
    enum:
        FM_STREAM_SHUFFLE
    int fm_digit_bits(int64_t n) noexcept
    void fm_sort_rows(int64_t n, const uint32_t *keys, int bits, uint64_t *order, uint64_t *pairs,
                      int64_t *start) noexcept

ctypedef const char *(*name_function)(int i) noexcept nogil


cdef list _column(name_function name):
    """The texts of one column of a C list, in its order."""
    cdef list texts = []
    cdef int i = 0
    while name(i) != NULL:
        texts.append(name(i).decode())
        i += 1
    return texts


_NAMES = {
    "dtype": _column(fm_dtype_name),
    "source": _column(fm_source_name),
    "activation": _column(fm_activation_name),
    "loss": _column(fm_loss_name),
    "optimizer": _column(fm_optimizer_name),
    "math": _column(fm_math_name),
}


def names(str kind):
    return list(_NAMES[kind])


def activations():
    """Return the list's row of each activation, by name."""
    params = _column(fm_activation_params)
    return {name: {"params": tuple(params[i].split()), "whole_rows": activation_is_of_rows(i),
                   "keeps": "signal" if activation_keeps_slopes(i) else "output"}
            for i, name in enumerate(_NAMES["activation"])}


def losses():
    """Return the list's row of each loss, by name."""
    outputs, params = _column(fm_loss_output), _column(fm_loss_params)
    return {name: {"output": outputs[i], "params": tuple(params[i].split()), "labels": fm_loss_targets(i) == FM_LABELS}
            for i, name in enumerate(_NAMES["loss"])}


def optimizers():
    """What the list says of each optimizer, by name."""
    columns, shared = _column(fm_optimizer_columns), fm_shared_columns_names().decode()
    return {name: {"states": optimizer_states(i), "columns": tuple(f"{columns[i]}, {shared}".split(", "))}
            for i, name in enumerate(_NAMES["optimizer"])}


def math_ulp(str name, str dtype):
    return fm_math_ulp(index_of("math", name), index_of("dtype", dtype))


# Asked once: CPUID traps into the hypervisor on a virtual machine and takes tens of microseconds there.
cdef const fm_kernels *_TABLES[FM_ISA_COUNT][FM_DTYPE_COUNT]
cdef const fm_pairs *_PAIRS[FM_ISA_COUNT]
cdef list _isa_rows():
    cdef list rows = []
    cdef int i, d
    for i in range(FM_ISA_COUNT):
        for d in range(FM_DTYPE_COUNT):
            _TABLES[i][d] = fm_kernel_table(i, d)
        _PAIRS[i] = fm_pairs_table(i, 1)
        if _PAIRS[i] == NULL:
            _PAIRS[i] = fm_pairs_table(i, 0)
        rows.append((fm_isa_name(i).decode(), fm_isa_needs(i).decode(), _TABLES[i][0] != NULL))
    return rows


_ISAS = _isa_rows()
cdef int _BEST = next(i for i, row in enumerate(_ISAS) if row[2])
_AVAILABLE = [name for name, _, available in _ISAS if available]


def isas():
    return [{"name": name, "needs": needs, "available": available} for name, needs, available in _ISAS]


def default_isa():
    available = _AVAILABLE
    forced = os.environ.get("FASTMLP_ISA", "")
    if not forced:
        return available[0]
    if forced not in available:
        raise ValueError(f"FASTMLP_ISA is {forced!r}; this machine can run: {', '.join(available)}")
    return forced


def table_sizes(str isa, str dtype):
    cdef const fm_kernels *table = kernel_table(isa, "float32" if dtype == "bfloat16" else dtype)
    return {
        "isa": table.isa.decode(),
        "dtype": dtype,
        "itemsize": table.itemsize,
        "lanes": table.lanes,
        "panel": table.panel,
        "tile_rows": table.tile_rows,
    }


def bfloat16_of(str isa=None):
    """What multiplies bfloat16 on an ISA's panels here, and whether that is an instruction."""
    cdef const fm_pairs *pairs = pairs_table(isa)
    return pairs.name.decode(), bool(pairs.native)


cdef const fm_kernels *kernel_table(str isa, str dtype) except NULL:
    cdef int d = index_of("dtype", dtype)
    return _TABLES[place_of(isa)][d]


cdef const fm_pairs *pairs_table(str isa) except NULL:
    """The best products of bfloat16 on an ISA's panels."""
    return _PAIRS[place_of(isa)]


cdef int place_of(str isa) except -1:
    """The place of an ISA, or of the best one, in their list."""
    cdef int i = 0
    if isa is None:
        isa = default_isa()
    if isa not in _AVAILABLE:
        raise ValueError(f"isa is {isa!r}; this machine can run: {', '.join(_AVAILABLE)}")
    while _ISAS[i][0] != isa:
        i += 1
    return i


cdef int index_of(str kind, str name) except -2:
    """Place of a name in a C list, which is its value in the C enum."""
    try:
        return _NAMES[kind].index(name)
    except ValueError:
        raise ValueError(f"{kind} is {name!r}; there are: {', '.join(_NAMES[kind])}") from None


cdef bint activation_keeps_slopes(int activation):
    return fm_activation_keeps(activation) == FM_SIGNAL


cdef bint activation_is_of_rows(int activation):
    return fm_activation_of(activation) == FM_ROWS


cdef int optimizer_states(int optimizer):
    return fm_optimizer_states(optimizer)


cdef int optimizer_n_columns(int optimizer):
    return fm_optimizer_n_columns(optimizer)


cdef int optimizer_column(int optimizer, str name):
    """The place of one of its own columns, or -1."""
    names = fm_optimizer_columns(optimizer).decode().split(", ")
    return names.index(name) if name in names else -1


cdef str loss_output(int loss):
    return fm_loss_output(loss).decode()


cdef int source_of(const char *format, Py_ssize_t itemsize) noexcept:
    """The source dtype that a buffer's format stands for, or -1."""
    cdef char code
    if format[0] in (b"=", b"@"):  # NumPy says "=" of what is not aligned
        format += 1
    code = format[0]
    if code == 0 or format[1] != 0:
        return -1
    if code in (b"l", b"q"):  # C's long is 4 bytes on Windows and 8 elsewhere: the size decides
        return FM_SOURCE_int32 if itemsize == 4 else FM_SOURCE_int64
    if code == b"f":
        return FM_SOURCE_float32
    if code == b"d":
        return FM_SOURCE_float64
    if code == b"e":
        return FM_SOURCE_float16
    if code == b"B":
        return FM_SOURCE_uint8
    if code == b"h":
        return FM_SOURCE_int16
    return FM_SOURCE_int32 if code == b"i" else -1


cdef int matrix_of(Py_buffer *view, int source, Matrix *matrix) noexcept:
    """Describe a buffer of rows (1-D: rows of one element) of a source dtype; 0 if it is none that can be gathered."""
    if source < 0 or view.ndim not in (1, 2):
        return 0
    matrix.source = source
    matrix.data = <const char *> view.buf
    matrix.rows, matrix.row_stride = view.shape[0], view.strides[0]
    matrix.columns = view.shape[1] if view.ndim == 2 else 1
    matrix.column_stride = view.strides[1] if view.ndim == 2 else view.itemsize
    matrix.ahead = 0
    return 1


cdef class Rows:
    """A borrowed view of a 1-D or 2-D array whose rows are read through a gather kernel."""

    def __cinit__(self, array):
        PyObject_GetBuffer(array, &self.view, PyBUF_STRIDES | PyBUF_FORMAT)
        self.held = True
        if not matrix_of(&self.view, source_of(self.view.format, self.view.itemsize), &self.matrix):
            raise TypeError(f"rows of format {self.view.format.decode()!r} with {self.view.ndim} dimensions cannot be "
                            "gathered")

    def __dealloc__(self):
        if self.held:
            PyBuffer_Release(&self.view)


def permute_into(seed, epoch, int64_t[::1] order not None):
    """Write the shuffle of rows for (seed, epoch) into order: see reference.random.permutation."""
    cdef int64_t n = order.shape[0], blocks = (n + 3) // 4
    cdef uint64_t key = seed
    cdef uint32_t stream = epoch
    cdef int bits = fm_digit_bits(n)
    if n == 0:
        return
    cdef uint64_t *pairs = sort_memory(n, bits, 4 * blocks * sizeof(uint32_t))
    cdef uint32_t *keys = <uint32_t *> (pairs + n + (2 << bits))
    with nogil:
        _TABLES[_BEST][0].philox(key, FM_STREAM_SHUFFLE, stream, 0, blocks, keys)
        fm_sort_rows(n, keys, bits, <uint64_t *> &order[0], pairs, <int64_t *> pairs + n)
    free(pairs)


def rows_by_key(const uint32_t[::1] keys not None, int bits, int64_t[::1] order not None):
    """Write the numbers of the keys, in the keys' order, into order; by digits of 1 to 16 bits."""
    cdef int64_t n = keys.shape[0]
    if n != order.shape[0] or n == 0 or not 1 <= bits <= 16:
        raise ValueError(f"{n} keys do not go into {order.shape[0]} places by digits of {bits} bits")
    cdef uint64_t *pairs = sort_memory(n, bits, 0)
    fm_sort_rows(n, &keys[0], bits, <uint64_t *> &order[0], pairs, <int64_t *> pairs + n)
    free(pairs)


cdef uint64_t *sort_memory(int64_t n, int bits, size_t behind) except NULL:
    """Memory of n pairs, the starts of the buckets, and more bytes behind them. In one piece: what is freed and asked
    for again in every epoch then stays with the process, without new pages."""
    cdef uint64_t *memory = <uint64_t *> malloc((n + (2 << bits)) * sizeof(uint64_t) + behind)
    if memory == NULL:
        raise MemoryError(f"no memory to sort {n} rows")
    return memory
