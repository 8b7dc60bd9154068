"""Single kernels for tests, bench/ and `fastmlp info`: what one gives, and how fast it is on data that stays in cache.

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
    fm_gemm_columns, fm_gemm_few, fm_gemm_rows, fm_kernels, fm_loop, fm_pairs, fm_row_keys, index_of, kernel_table,
    pairs_table,
)
from fastmlp.passes.threads cimport fm_allocate, fm_free, fm_nanoseconds
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset


def philox(uint64_t seed, uint32_t stream, uint32_t substream, uint64_t first, uint32_t[:, ::1] out not None,
           str isa=None):
    """Write blocks of four random numbers, the first of number `first`, into out: see reference.random.philox."""
    if out.shape[1] != 4:
        raise ValueError(f"a block has four numbers, not {out.shape[1]}")
    if out.shape[0]:
        kernel_table(isa, "float32").philox(seed, stream, substream, first, out.shape[0], &out[0, 0])


def random_rows(uint64_t seed, uint32_t stream, uint32_t substream, uint64_t index, ptrdiff_t first,
                uint16_t[:, ::1] out not None, str isa=None):
    """Write a random number for each element of a matrix into out: see reference.random.elements."""
    cdef const fm_kernels *table = kernel_table(isa, "float32")
    cdef fm_row_keys keys
    cdef ptrdiff_t r, c, panel = table.panel, rows = out.shape[0], columns = out.shape[1]
    cdef uint16_t *panels = <uint16_t *> fm_allocate((columns + panel) * (rows + 1) * sizeof(uint16_t))
    if panels == NULL:
        raise MemoryError("no memory for the panels")
    keys.seed, keys.stream, keys.substream, keys.index, keys.first = seed, stream, substream, index, first
    table.random_rows(&keys, rows, columns, panels, rows * panel)
    for r in range(rows):
        for c in range(columns):
            out[r, c] = panels[c // panel * rows * panel + r * panel + c % panel]
    fm_free(panels)


def math(str name, x, out, str isa=None):
    """Apply one of the vector functions to a contiguous float32 or float64 array, writing into out of the same kind."""
    cdef int function = index_of("math", name)
    cdef Py_buffer source, target
    PyObject_GetBuffer(x, &source, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
    try:
        PyObject_GetBuffer(out, &target, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | PyBUF_WRITABLE)
        try:
            if source.len != target.len or <bytes> source.format != <bytes> target.format:
                raise ValueError("out must have the size and dtype of x")
            table = kernel_table(isa, {b"f": "float32", b"d": "float64"}[source.format])
            table.math[function](source.len // source.itemsize, source.buf, target.buf)
        finally:
            PyBuffer_Release(&target)
    finally:
        PyBuffer_Release(&source)


def fma_rate(str isa, str dtype, ptrdiff_t iterations):
    """(flops, seconds) of multiply-adds that touch no memory, on this thread: the processor's peak. Of "bfloat16",
    those of pairs."""
    cdef fm_loop loop = pairs_table(isa).dot_loop if dtype == "bfloat16" else kernel_table(isa, dtype).fma_loop
    cdef char sink[256]
    cdef double flops
    cdef int64_t start, nanoseconds
    memset(sink, 0, sizeof(sink))
    with nogil:
        start = fm_nanoseconds()
        flops = loop(iterations, sink)
        nanoseconds = fm_nanoseconds() - start
    return flops, nanoseconds * 1e-9


def gemm_rate(str kernel, str isa, str dtype, ptrdiff_t rows, ptrdiff_t k, ptrdiff_t repeats):
    """(flops, seconds) of one panel's product of rows x k with k x panel, repeated on the same data. kernel is "rows"
    (forward and backward), "columns" (gradient; rows up to a panel's width) or "few" (row kernel; up to 3 rows). Of
    "bfloat16", k is even."""
    cdef bint paired = dtype == "bfloat16"
    cdef const fm_kernels *table = kernel_table(isa, "float32" if paired else dtype)
    cdef const fm_pairs *pairs = pairs_table(isa)
    cdef fm_gemm_rows by_rows = pairs.gemm_rows if paired else table.gemm_rows
    cdef fm_gemm_columns by_columns = pairs.gemm_columns if paired else table.gemm_columns
    cdef fm_gemm_few by_few = pairs.gemm_few if paired else table.gemm_few
    cdef int kind = ("rows", "columns", "few").index(kernel)
    cdef ptrdiff_t _i, width = table.panel, most = (table.panel if kind == 1 else table.few_rows if kind == 2 else rows)
    if not 1 <= rows <= most or k < 1 or repeats < 1 or rows > (1 << 28) // k or (paired and k % 2):
        raise ValueError(f"rows, k and repeats are {rows}, {k}, {repeats}; rows may be 1 to {most}")
    cdef ptrdiff_t left = (rows + width) * (k + width), right = k * width, result = (rows + 1) * width
    cdef char *memory = <char *> fm_allocate((left + right + result) * table.itemsize)
    cdef int64_t start, nanoseconds
    if memory == NULL:
        raise MemoryError("no memory for the operands")
    cdef char *b = memory + left * table.itemsize
    cdef char *c = b + right * table.itemsize
    cdef ptrdiff_t stride = rows * width // (2 if paired else 1), steps = k // (2 if paired else 1)
    with nogil:
        start = fm_nanoseconds()
        for _i in range(repeats):
            if kind == 0:
                by_rows(rows, steps, memory, stride, b, 2, 0, c)
            elif kind == 1:
                by_columns(rows, steps, memory, b, 2, 0, c)
            else:
                by_few(rows, steps, memory, stride, b, 0, 1, 0, c, 0)
        nanoseconds = fm_nanoseconds() - start
        fm_free(memory)
    return 2.0 * rows * k * width * repeats, nanoseconds * 1e-9


def round_rate(str what, str isa, ptrdiff_t repeats):
    """(bytes, seconds) of floats that are read and rounded to pairs of bfloat16, both along rows and down columns, on
    data that stays in the first-level cache: of "rows", as outputs are, or of a "tile" of weights."""
    cdef const fm_pairs *pairs = pairs_table(isa)
    cdef ptrdiff_t panel = kernel_table(isa, "float32").panel, _i
    cdef bint rows = ("rows", "tile").index(what) == 0
    cdef ptrdiff_t size = panel * panel * sizeof(float)
    cdef char *memory = <char *> fm_allocate(3 * size)
    cdef int64_t start, nanoseconds
    if memory == NULL:
        raise MemoryError("no memory for the operands")
    with nogil:
        start = fm_nanoseconds()
        for _i in range(repeats):
            if rows:
                pairs.round_rows(panel, panel, memory, memory + size, memory + 2 * size)
            else:
                pairs.round_tile(panel, panel, memory, memory + size, memory + 2 * size)
        nanoseconds = fm_nanoseconds() - start
        fm_free(memory)
    return <double> size * repeats, nanoseconds * 1e-9
