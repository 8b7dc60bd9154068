"""Prediction and evaluation: forward passes over any number of rows, a block at a time, buffers for each thread.

Any number of calls may run at once; while the parameters change, the gate is closed (gate.pyx). Mirror:
reference/predict.py.
"""
import numpy as np

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_FORMAT,
    PyBUF_STRIDES,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.exc cimport PyErr_CheckSignals
from cython cimport floating
from fastmlp.passes.custom cimport raise_left
from fastmlp.passes.forward cimport elementwise, finish_outputs, forward_layer, forward_rows
from fastmlp.passes.gate cimport REFUSED, Entry, Gate
from fastmlp.passes.kernels cimport (
    FM_MATH_softplus,
    FM_SOURCE_float32,
    FM_SOURCE_float64,
    Matrix,
    matrix_of,
    source_of,
)
from fastmlp.passes.layers cimport Network, multiply_adds, seconds_of_rows, threads_for
from fastmlp.passes.loss cimport loss_rows
from fastmlp.passes.plan cimport panels_at_once, row_block, share_by_panels
from fastmlp.passes.rows cimport Examples, load_inputs, load_targets, most_entries, to_units
from fastmlp.passes.threads cimport (
    MAX_THREADS,
    Place,
    Watch,
    fm_counter_load,
    fm_counter_store,
    fm_nanoseconds,
    phase_begin,
    phase_end,
    phase_next,
    team_free,
    team_new,
    team_run,
    time_to_look,
    watch_for_signals,
)
from fastmlp.passes.workspace cimport EVALUATE, PREDICT, Buffers, Workspace, round_inputs
from libc.math cimport sqrt
from libc.stdint cimport int64_t
from libc.string cimport memset

from fastmlp.passes.threads import max_threads

cdef enum:
    # Of variances that become standard deviations at a time: a multiple of every vector's length.
    SIGNALS = 64

cdef object ndarray = np.ndarray
cdef object empty = np.empty

# Multiply-adds of a call that is over before releasing the GIL would pay: some ten microseconds.
cdef double SMALL_MULTIPLY_ADDS = 1e6

# Rows are predicted in waves of about so much time, between which signal handlers may run. The first is short by what
# the model says of its speed, and no wave is more than so many times as large as the one before it.
cdef double WAVE_SECONDS = 0.02
cdef double FIRST_WAVE_SECONDS = 0.005
cdef ptrdiff_t WAVE_GROWTH = 8


cdef bint few_enough(Network *net, ptrdiff_t rows) noexcept nogil:
    """Whether a call for so many rows is over before anything else would pay: other threads, or to release the GIL."""
    return multiply_adds(net, rows, False) <= SMALL_MULTIPLY_ADDS


cdef void run_blocks(void *context, int thread) noexcept nogil:
    cdef Blocks *run = <Blocks *> context
    cdef ptrdiff_t item, start, rows
    cdef Place place
    place.thread, place.phase, place.target = thread, 0, 0
    phase_begin(run.team, &place, (run.last - run.first + run.block - 1) // run.block)
    while True:
        item = phase_next(run.team, &place)
        if item < 0:
            break
        if fm_counter_load(run.team.stop):
            continue  # an item that has been claimed counts as done, or other threads would wait for it
        start = run.first + item * run.block
        rows = min(run.block, run.last - start)
        if run.check and not finite_rows(run, start, rows):
            fm_counter_store(run.team.failed, 1)
            fm_counter_store(run.team.stop, 1)
        else:
            forward_block(run, run.ws[thread], start, rows)
    phase_end(run.team, &place)


cdef void run_panels(void *context, int thread) noexcept nogil:
    """A few rows that are in the workspace already: every layer shared out by its panels, because what takes the time
    is to read the weights."""
    cdef Blocks *run = <Blocks *> context
    cdef Network *net = run.net
    cdef ptrdiff_t item, at_once, panels, rows = run.examples.x.rows
    cdef Place place
    cdef int l
    place.thread, place.phase, place.target = thread, 0, 0
    for l in range(net.n_layers):
        panels = net.layers[l].out_panels
        at_once = panels_at_once(panels, run.team.n)
        phase_begin(run.team, &place, (panels + at_once - 1) // at_once)
        while True:
            item = phase_next(run.team, &place)
            if item < 0:
                break
            forward_layer(net, run.ws[0], l, elementwise(net, l, False), 0, rows, item * at_once,
                          min(at_once, panels - item * at_once), run.ws[0].a[l + 1])
        phase_end(run.team, &place)


cdef void forward_by_panels(Blocks *run) noexcept nogil:
    cdef Network *net = run.net
    cdef Workspace *ws = run.ws[0]
    cdef ptrdiff_t rows = run.examples.x.rows
    load_inputs(net, ws, run.examples, 0, 0, rows)
    round_inputs(net, ws, 0, rows)
    team_run(run.team, run_panels, run)
    finish_outputs(net, ws, False, 0, rows)
    write_outputs(net, ws, rows, run.out)


cdef void write_outputs(Network *net, Workspace *ws, ptrdiff_t rows, char *out) noexcept nogil:
    """The outputs of a workspace's first rows as a prediction: in the targets' units and, of each target, in order."""
    cdef ptrdiff_t n_outputs = net.layers[net.n_layers - 1].n_out
    net.kernels.unpack(rows, n_outputs, ws.a[net.n_layers], ws.stride, out, n_outputs)
    to_units(net, rows, out)
    if net.heads > 1:
        finish_heads(net, out, rows * n_outputs)


cdef void finish_heads(Network *net, char *out, ptrdiff_t n) noexcept nogil:
    """Make of outputs what is predicted, where each target has several."""
    if net.levels != NULL:
        order_heads(net, out, n)
    elif net.item == 4:
        deviations(net, n, <float *> out)
    else:
        deviations(net, n, <double *> out)


cdef inline void deviations(Network *net, ptrdiff_t n, floating *values) noexcept nogil:
    """Put the standard deviation in the place of every second value, the signal of a variance."""
    cdef double[2 * SIGNALS] memory
    cdef floating *signals = <floating *> memory
    cdef floating *softplus = signals + SIGNALS
    cdef floating eps = <floating> net.loss_params[0]
    cdef ptrdiff_t start = 0, i, some
    while start < n // 2:
        some = min(<ptrdiff_t> SIGNALS, n // 2 - start)
        for i in range(SIGNALS):
            signals[i] = values[2 * (start + i) + 1] if i < some else 0
        net.kernels.math[FM_MATH_softplus](SIGNALS, signals, softplus)
        for i in range(some):
            values[2 * (start + i) + 1] = sqrt(softplus[i] + eps)
        start += some


cdef void order_heads(Network *net, char *out, ptrdiff_t n) noexcept nogil:
    """Put the outputs of each target, which are side by side, in their order; NaN last, as NumPy has it."""
    cdef ptrdiff_t target
    for target in range(n // net.heads):
        if net.item == 4:
            sort_few(net.heads, <float *> out + target * net.heads)
        else:
            sort_few(net.heads, <double *> out + target * net.heads)


cdef inline void sort_few(ptrdiff_t n, floating *values) noexcept nogil:
    cdef ptrdiff_t i, place
    cdef floating value
    for i in range(1, n):
        value, place = values[i], i
        while place > 0 and (values[place - 1] > value or (values[place - 1] != values[place - 1] and value == value)):
            values[place] = values[place - 1]
            place -= 1
        values[place] = value


cdef bint finite_rows(Blocks *run, ptrdiff_t start, ptrdiff_t rows) noexcept nogil:
    """Looked at just before they are gathered, they come from memory once."""
    cdef Matrix *x = &run.examples.x
    return run.net.kernels.finite[x.source](rows, x.columns, x.data + start * x.row_stride, x.row_stride,
                                            x.column_stride)


cdef void forward_block(Blocks *run, Workspace *ws, ptrdiff_t start, ptrdiff_t rows) noexcept nogil:
    """Outputs of rows [start, start + rows), and their losses where there are targets."""
    cdef Network *net = run.net
    cdef ptrdiff_t n_outputs = net.layers[net.n_layers - 1].n_out, r
    load_inputs(net, ws, run.examples, start, 0, rows)
    forward_rows(net, ws, run.targets and net.fused, 0, rows)
    if run.targets:
        load_targets(net, ws, run.examples, start, 0, rows, 1.0)
        loss_rows(net, ws, 0, rows)
        for r in range(rows):
            run.row_loss[start + r] = ws.row_loss[r]
    write_outputs(net, ws, rows, run.out + start * n_outputs * net.item)


cdef ptrdiff_t whole_blocks(Blocks *run, double rows, int team_size) noexcept:
    """About so many rows: as many whole blocks for each thread as they make, and at least one."""
    cdef ptrdiff_t share = run.block * team_size
    return <ptrdiff_t> max(min(rows, <double> run.examples.x.rows) / share, 1.0) * share


cdef class Predictor:

    def __init__(self, Parameters parameters):
        self.parameters = parameters
        self.dtype = np.dtype(parameters.spec.dtype)
        self.pool = []
        self.gate = Gate()

    cdef list take_buffers(self, ptrdiff_t block, Purpose purpose, int team_size):
        """A set of buffers of at least `block` rows: one that lies ready, if it is large enough."""
        cdef list buffers = self.ready
        cdef Buffers first
        if buffers is not None:
            self.ready = None
        elif self.pool:
            buffers = self.pool.pop()
        else:
            buffers = []
        if buffers:
            first = buffers[0]
            if first.ws.capacity < block or first.purpose < purpose:
                buffers = []
            else:
                block, purpose = first.ws.capacity, first.purpose
        while len(buffers) < team_size:
            buffers.append(Buffers(self.parameters, block, purpose))
        return buffers

    cdef put_back(self, list buffers):
        """Keep a set of buffers that a call has used. The first has a place of its own: a list that is emptied and
        filled again asks for memory each time."""
        if self.ready is None:
            self.ready = buffers
        else:
            self.pool.append(buffers)

    cdef bint over(self, Inputs inputs, out, double[::1] row_loss, int threads, bint check) except -1:
        """Fill `out` and, where there are targets, `row_loss`; False if the gate is closed and nothing was done. With
        `check`, a ValueError when X holds NaN or infinity, which may leave a part of `out` filled."""
        cdef Network *net = &self.parameters.net
        cdef ptrdiff_t rows = inputs.examples.x.rows
        cdef Py_buffer view
        if row_loss is not None and row_loss.shape[0] != rows:
            raise ValueError(f"row_loss has {row_loss.shape[0]} rows; X has {rows}")
        if out.shape != (rows, net.layers[net.n_layers - 1].n_out) or out.dtype != self.dtype:
            raise ValueError(f"out is {out.dtype} {out.shape}; it must be {self.dtype} "
                             f"({rows}, {net.layers[net.n_layers - 1].n_out})")
        PyObject_GetBuffer(out, &view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
        try:
            return self.fill(&inputs.examples, <char *> view.buf, &row_loss[0] if inputs.has_targets and rows else NULL,
                             threads, check)
        finally:
            PyBuffer_Release(&view)

    cdef bint fill(self, Examples *examples, char *out, double *row_loss, int threads, bint check) except -1:
        """Do what `over` does where arrays lie so in memory; without `row_loss` there are no targets."""
        cdef int team_size = min(threads, <int> MAX_THREADS)
        cdef Entry entry
        if self.parameters.net.custom:
            team_size = 1
        elif threads <= 0:
            team_size = threads_for(&self.parameters.net, examples.x.rows, False, -threads or max_threads())
        entry = self.gate.enter("predict" if row_loss == NULL else "evaluate")
        if entry == REFUSED:
            return False
        try:
            if examples.x.rows > 0:
                self.run_over(examples, out, row_loss, team_size, check)
        finally:
            self.gate.leave(entry)
        return True

    cdef run_over(self, Examples *examples, char *out, double *row_loss, int team_size, bint check):
        cdef Network *net = &self.parameters.net
        cdef ptrdiff_t rows = examples.x.rows
        cdef Workspace *spaces[MAX_THREADS]
        cdef Blocks run
        cdef int thread
        cdef bint targets = row_loss != NULL
        cdef ptrdiff_t entries
        cdef bint by_panels = share_by_panels(net, rows, team_size) and not targets
        run.block = rows if by_panels else row_block(net, rows, team_size, False)
        purpose = EVALUATE if targets else PREDICT
        entries = most_entries(examples, run.block)
        if entries == 0:
            buffers = self.take_buffers(run.block, purpose, 1 if by_panels else team_size)
        else:
            check = False        # which has been done where they were taken in
            buffers = [Buffers(self.parameters, run.block, purpose, False, entries)
                       for _thread in range(1 if by_panels else team_size)]
        for thread in range(len(buffers)):
            spaces[thread] = &(<Buffers> buffers[thread]).ws
            spaces[thread].has_labels = examples.labels
        run.net, run.ws, run.examples, run.targets = net, spaces, examples, targets
        run.row_loss, run.check, run.out = row_loss, check, out
        if by_panels:
            self.few_rows(&run, team_size)
        else:
            self.waves(&run, team_size)
        if entries == 0:
            self.put_back(buffers)

    cdef few_rows(self, Blocks *run, int team_size):
        run.team = team_new(team_size)
        cdef bint good
        with nogil:
            good = not run.check or finite_rows(run, 0, run.examples.x.rows)
            if good:
                forward_by_panels(run)
            team_free(run.team)
        if not good:
            raise ValueError("X holds values that are not finite")

    cdef waves(self, Blocks *run, int team_size):
        """All rows, a wave of blocks at a time; between two of them, signal handlers, with all workers at rest."""
        cdef ptrdiff_t total = run.examples.x.rows, rows
        cdef double seconds = seconds_of_rows(run.net, total, False) / team_size
        cdef Watch watch = watch_for_signals()
        cdef int64_t began
        cdef bint failed
        rows = whole_blocks(run, total * FIRST_WAVE_SECONDS / max(seconds, 1e-9), team_size)
        run.last = 0
        while run.last < total:
            run.first, run.last = run.last, min(total, run.last + rows)
            run.team = team_new(team_size)
            began = fm_nanoseconds()
            with nogil:
                team_run(run.team, run_blocks, run)
                failed = fm_counter_load(run.team.failed)
                team_free(run.team)
            raise_left(run.ws[0])
            if failed:
                raise ValueError("X holds values that are not finite")
            if run.last < total and time_to_look(&watch):
                PyErr_CheckSignals()
            seconds = max((fm_nanoseconds() - began) * 1e-9, 1e-9) / (run.last - run.first)
            rows = whole_blocks(run, min(WAVE_SECONDS / seconds, <double> (WAVE_GROWTH * rows)), team_size)

    cdef small(self, X):
        """Outputs of a few rows, with as little around the arithmetic as there can be; None where X is not plainly good
        and small, or the gate is closed: the long way tells why."""
        cdef Network *net = &self.parameters.net
        cdef Examples examples
        cdef Matrix *x = &examples.x
        cdef Py_buffer view
        cdef int source = -1
        if type(X) is not ndarray or net.custom or net.deviations:
            return None
        if X.dtype is self.dtype:  # NumPy writes a format anew for each buffer, which takes a tenth of a small call
            source = FM_SOURCE_float32 if net.item == 4 else FM_SOURCE_float64
        try:
            PyObject_GetBuffer(X, &view, PyBUF_STRIDES if source >= 0 else PyBUF_STRIDES | PyBUF_FORMAT)
        except (BufferError, ValueError):
            return None
        try:
            memset(&examples, 0, sizeof(examples))
            if source < 0:
                source = source_of(view.format, view.itemsize)
            if (not matrix_of(&view, source, x) or view.ndim != 2 or x.columns != net.layers[0].n_in
                    or not few_enough(net, x.rows) or x.rows == 0
                    or not net.kernels.finite[x.source](x.rows, x.columns, x.data, x.row_stride, x.column_stride)):
                return None
            return self.run_small(&examples)
        finally:
            PyBuffer_Release(&view)

    cdef run_small(self, Examples *examples):
        """Outputs of a few rows in an array of their own, or None; values beyond the network's dtype are infinite in
        it, and where that shows, the long way says which."""
        cdef Py_buffer view
        cdef Network *net = &self.parameters.net
        cdef ptrdiff_t rows = examples.x.rows, columns = net.layers[net.n_layers - 1].n_out
        cdef bint good
        out = empty((rows, columns), self.dtype)
        PyObject_GetBuffer(out, &view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
        good = self.fill_few(examples, <char *> view.buf)
        if good and examples.x.source == FM_SOURCE_float64 and net.item == 4:
            good = net.kernels.finite[FM_SOURCE_float32](rows, columns, view.buf, columns * 4, 4)
        PyBuffer_Release(&view)
        return out if good else None

    cdef bint fill_few(self, Examples *examples, char *out) except -1:
        """Outputs of a few rows, on this thread and with the GIL held; False if the gate is closed. It is passed when
        everything has been allocated: a collection of garbage may run any Python code, also such as would wait for this
        call."""
        cdef list buffers = self.take_buffers(examples.x.rows, PREDICT, 1)
        cdef Blocks run
        cdef bint entered
        run.net, run.examples, run.targets, run.out = &self.parameters.net, examples, False, out
        entered = self.gate.enter_shortly()
        if entered:
            forward_block(&run, &(<Buffers> buffers[0]).ws, 0, examples.x.rows)
            self.gate.leave_shortly()
        self.put_back(buffers)
        return entered
