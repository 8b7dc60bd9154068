"""Forward passes whose buffers are kept, and backward passes from derivatives by the outputs: for losses of others.

Mirror: reference/tape.py.
"""
# The sums are those of a training step: over a batch's microbatches, each summed apart, where the engine cuts it into
# such. So a loss's own derivatives give the bits of the engine's own gradient, less its penalties.
import numpy as np

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from fastmlp.passes.backward cimport backward_rows
from fastmlp.passes.custom cimport raise_left
from fastmlp.passes.dropout cimport draw_numbers, drop_block
from fastmlp.passes.forward cimport forward_rows
from fastmlp.passes.gate cimport REFUSED
from fastmlp.passes.gemm cimport Ahead, Left, Operands, gradient_block, left_of, multiply_panel
from fastmlp.passes.gradient cimport finish_vector, sum_vector
from fastmlp.passes.layers cimport WEIGHTS, Layer, seconds_of_rows
from fastmlp.passes.loss cimport apply_slopes, round_output_deltas
from fastmlp.passes.panels cimport packed, panel_row
from fastmlp.passes.plan cimport cut_batch, row_block
from fastmlp.passes.parameters cimport take
from fastmlp.passes.rowmajor cimport count_parameters, count_tensors, places_in_vector, take_tile
from fastmlp.passes.rows cimport Examples, Inputs, load_inputs, to_units
from fastmlp.passes.threads cimport (
    Place,
    Watch,
    fm_allocate,
    fm_free,
    phase_begin,
    phase_end,
    phase_next,
    team_body,
    team_free,
    team_new,
    team_run,
    time_to_look,
    watch_for_signals,
)
from fastmlp.passes.tiles cimport Tile, count_tiles, operands_of, scratch_bytes, summed_in, tile_of
from fastmlp.passes.workspace cimport GRADIENT, TRAIN, block_of
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

cdef double WAVE_SECONDS = 0.02          # about, between two looks for signals
cdef Py_ssize_t MOST_KEPT = 4            # buffers that wait for another tape of as many rows


cdef void forward_blocks(void *context, int thread) noexcept nogil:
    cdef Pass *run = <Pass *> context
    cdef Network *net = run.net
    cdef ptrdiff_t item, row, rows, columns = net.layers[net.n_layers - 1].n_out
    cdef Place place
    place.thread, place.phase, place.target = thread, 0, 0
    phase_begin(run.team, &place, run.last - run.first)
    while True:
        item = phase_next(run.team, &place)
        if item < 0:
            break
        row = (run.first + item) * run.block
        rows = min(run.block, run.rows - row)
        load_inputs(net, run.ws, run.examples, 0, row, rows)
        if run.random:
            draw_numbers(net, run.ws, run.seed, run.step, 0, row, rows)
        forward_rows(net, run.ws, False, row, rows)
        net.kernels.unpack(rows, columns, block_of(net, run.ws, run.ws.a[net.n_layers], row, 0), run.ws.stride,
                           run.outputs + row * columns * net.item, columns)
        to_units(net, rows, run.outputs + row * columns * net.item)
    phase_end(run.team, &place)


cdef void backward_blocks(void *context, int thread) noexcept nogil:
    cdef Pass *run = <Pass *> context
    cdef Network *net = run.net
    cdef ptrdiff_t item, row, rows, columns = net.layers[net.n_layers - 1].n_out
    cdef Place place
    place.thread, place.phase, place.target = thread, 0, 0
    phase_begin(run.team, &place, run.last - run.first)
    while True:
        item = phase_next(run.team, &place)
        if item < 0:
            break
        row = (run.first + item) * run.block
        rows = min(run.block, run.rows - row)
        net.kernels.pack(rows, columns, run.outputs + row * columns * net.item, columns,
                         block_of(net, run.ws, run.ws.d[net.n_layers], row, 0), run.ws.stride)
        apply_slopes(net, run.ws, net.n_layers, row, rows)
        round_output_deltas(net, run.ws, row, rows)
        backward_rows(net, run.ws, row, rows)
        if run.by_inputs != NULL:
            pull_back_inputs(run, row, rows, run.scratch + thread * run.scratch_bytes)
    phase_end(run.team, &place)


cdef void pull_back_inputs(Pass *run, ptrdiff_t row, ptrdiff_t rows, char *room) noexcept nogil:
    """Derivatives by the inputs of a block of rows, D W^T of the first layer, a panel at a time."""
    cdef Network *net = run.net
    cdef Layer *layer = &net.layers[0]
    cdef ptrdiff_t j, columns
    cdef Left left = left_of(net, block_of(net, run.ws, run.ws.d[1], row, 0), run.ws.stride, layer.n_out)
    for j in range(layer.in_panels):
        columns = layer.n_in - j * net.panel
        multiply_panel(net, rows, &left, packed(net, run.weight_t, layer.n_out, 0, j), columns, room)
        if run.ws.numbers[0] != NULL:
            drop_block(net, run.ws, 0, row, rows, j, room, NULL)
        net.kernels.unpack(rows, min(net.panel, columns), room, 0,
                           run.by_inputs + (row * layer.n_in + j * net.panel) * net.item, layer.n_in)


cdef void gradient_tiles(void *context, int thread) noexcept nogil:
    cdef Pass *run = <Pass *> context
    cdef ptrdiff_t item
    cdef Place place
    place.thread, place.phase, place.target = thread, 0, 0
    phase_begin(run.team, &place, run.last - run.first)
    while True:
        item = phase_next(run.team, &place)
        if item < 0:
            break
        gradient_tile(run, run.first + item, run.scratch + thread * run.scratch_bytes)
    phase_end(run.team, &place)


cdef void gradient_tile(Pass *run, ptrdiff_t item, char *total) noexcept nogil:
    """Sum up one tile's gradient, microbatch by microbatch, and give it to who asked for it."""
    cdef Network *net = run.net
    cdef Tile t = tile_of(net, item)
    cdef char *room = total + scratch_bytes(net)
    cdef char *to = total
    cdef Operands operands
    cdef ptrdiff_t done = 0, rows
    cdef Ahead nothing
    nothing.n = 0
    while done < run.rows:
        rows = min(run.microbatch, run.rows - done)
        if t.vector != WEIGHTS:
            sum_vector(net, run.ws, done, rows, &t, False, to)
        else:
            operands_of(net, run.ws, &t, done, rows, &operands)
            gradient_block(net, t.rows, &operands, operands.k, t.columns, False, &nothing, to)
        if done > 0:
            net.kernels.add(summed_in(net, &t), to, total)
        to = room
        done += rows
    if t.vector != WEIGHTS:
        finish_vector(net, &t, total)
    take_tile(net, &t, total, run.transposed, room, run.gradients)


cdef size_t copy_normed(Network *net, Workspace *ws, char *base) noexcept nogil:
    """Give a workspace its own copy of what layers have normalised, which a backward pass multiplies by dE/dbeta in
    place; with base NULL only the room for it is counted."""
    cdef size_t used = 0, size
    cdef char **places = <char **> take(base, &used, (net.n_layers + 1) * sizeof(char *))
    cdef char *to
    cdef int l
    for l in range(net.n_layers + 1):
        to = NULL
        if ws.normed[l] != NULL:
            size = net.layers[l - 1].out_panels * ws.stride * net.item
            to = take(base, &used, size)
            if base != NULL:
                memcpy(to, ws.normed[l], size)
        if base != NULL:
            places[l] = to
    if base != NULL:
        ws.normed = places
    return used


cdef in_waves(Pass *run, team_body body, ptrdiff_t items, double seconds, int team_size):
    """Let a team do all items, a wave of them at a time; between two, with all workers at rest, signal handlers run."""
    cdef Watch watch = watch_for_signals()
    cdef ptrdiff_t wave = items
    if run.net.custom:
        team_size = 1
    if seconds > WAVE_SECONDS:
        wave = max(<ptrdiff_t> (items * (WAVE_SECONDS / seconds)), <ptrdiff_t> team_size)
    run.last = 0
    while run.last < items:
        run.first, run.last = run.last, min(items, run.last + wave)
        run.team = team_new(team_size)
        with nogil:
            team_run(run.team, body, run)
            team_free(run.team)
        raise_left(run.ws)
        if run.last < items and time_to_look(&watch):
            PyErr_CheckSignals()


cdef class Tape:
    """Inputs and outputs of all layers for some rows, until the derivatives by the last ones are known.

    A tape may be pulled back any number of times, by one thread at a time, until the parameters change.
    """

    def __init__(self, Parameters parameters, Gate gate, list pool):
        self.parameters, self.gate, self.pool = parameters, gate, pool

    def __del__(self):
        if self.buffers is not None and len(self.pool) < MOST_KEPT:
            self.pool.append(self.buffers)

    cdef take_buffers(self, bint training):
        """Buffers for exactly these rows: some that another tape has left, or new ones."""
        cdef Buffers found
        purpose = TRAIN if training else GRADIENT
        while self.pool:
            found = self.pool.pop()
            if found.ws.capacity == self.rows and found.purpose == purpose:
                self.buffers = found
                return
        self.buffers = Buffers(self.parameters, self.rows, purpose)

    cdef forward(self, X, out, int team_size, seed):
        """Outputs of all rows of X into `out`; with a seed, as a step of training computes them."""
        cdef Network *net = &self.parameters.net
        cdef Inputs inputs = Inputs(self.parameters, X, None, None, None)
        cdef Py_buffer view
        self.rows = inputs.rows
        if self.rows == 0 or inputs.entries is not None:
            raise ValueError("X has no rows, or they are sparse")
        self.check_matrix(out, "out", net.layers[net.n_layers - 1].n_out)
        PyObject_GetBuffer(out, &view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
        try:
            self.forward_rows_of(&inputs.examples, <char *> view.buf, team_size, seed)
        finally:
            PyBuffer_Release(&view)

    cdef forward_rows_of(self, Examples *examples, char *outputs, int team_size, seed):
        cdef Network *net = &self.parameters.net
        cdef Entry entry
        cdef Pass run
        self.rows = examples.rows
        cut_batch(&self.plan, net, self.rows, self.rows, net.loss == NULL, True, False)
        self.take_buffers(seed is not None and net.random)
        run.net, run.ws, run.examples, run.rows, run.outputs = net, &self.buffers.ws, examples, self.rows, outputs
        run.block = row_block(net, self.rows, team_size, True)
        run.random = self.buffers.purpose == TRAIN
        run.seed, run.step = seed or 0, self.parameters.n_steps
        entry = self.enter("forward")
        try:
            in_waves(&run, forward_blocks, (self.rows + run.block - 1) // run.block,
                     seconds_of_rows(net, self.rows, False) / team_size, team_size)
            self.changes = self.parameters.changes
        finally:
            self.gate.leave(entry)

    cdef Entry enter(self, str call) except *:
        cdef Entry entry = self.gate.enter(call)
        if entry == REFUSED:
            raise RuntimeError("the network is being trained")
        return entry

    cdef check_matrix(self, array, str name, ptrdiff_t columns):
        if array.shape != (self.rows, columns) or array.dtype != np.dtype(self.parameters.spec.dtype):
            raise ValueError(f"{name} is {array.dtype} {array.shape}; it must be {self.parameters.spec.dtype} "
                             f"({self.rows}, {columns})")

    cdef backward(self, by_outputs, gradient, by_inputs, int team_size, bint transposed):
        """From derivatives by the outputs to those by all parameters, into one vector, and by the inputs."""
        cdef Network *net = &self.parameters.net
        cdef Py_buffer views[3]
        cdef char *places[3]
        cdef char **tensors
        cdef Py_ssize_t taken = 0, i
        self.check_matrix(by_outputs, "by_outputs", net.layers[net.n_layers - 1].n_out)
        if gradient is not None and (gradient.shape != (count_parameters(net),)
                                     or gradient.dtype != np.dtype(self.parameters.spec.dtype)):
            raise ValueError(f"gradient is {gradient.dtype} {gradient.shape}; it must be {self.parameters.spec.dtype} "
                             f"({count_parameters(net)},)")
        if by_inputs is not None:
            self.check_matrix(by_inputs, "by_inputs", net.layers[0].n_in)
        places[0] = places[1] = places[2] = NULL
        tensors = <char **> calloc(count_tensors(net), sizeof(char *))
        try:
            if tensors == NULL:
                raise MemoryError("no memory for the tensors' places")
            for i, array in enumerate((by_outputs, gradient, by_inputs)):
                if array is None:
                    continue
                PyObject_GetBuffer(array, &views[taken], PyBUF_C_CONTIGUOUS | (PyBUF_WRITABLE if i else 0))
                places[i] = <char *> views[taken].buf
                taken += 1
            if gradient is not None:
                places_in_vector(net, places[1], tensors)
            self.backward_from(places[0], tensors if gradient is not None else NULL, places[2], team_size, transposed)
        finally:
            for i in range(taken):
                PyBuffer_Release(&views[i])
            free(tensors)

    cdef backward_from(self, char *by_outputs, char **gradients, char *by_inputs, int team_size, bint transposed):
        """Pull back into tensors that lie so in memory; what is NULL is not wanted."""
        cdef Network *net = &self.parameters.net
        cdef Entry entry
        cdef Pass run
        run.net, run.ws, run.rows, run.transposed = net, &self.buffers.ws, self.rows, transposed
        run.outputs, run.gradients, run.by_inputs, run.scratch = by_outputs, gradients, by_inputs, NULL
        run.block = row_block(net, self.rows, team_size, True)
        run.microbatch = self.plan.microbatch or self.rows
        entry = self.enter("backward")
        try:
            if self.changes != self.parameters.changes:
                raise RuntimeError("the parameters have changed since the forward pass")
            self.pull_back(&run, team_size)
        finally:
            fm_free(run.scratch)
            self.gate.leave(entry)

    cdef pull_back(self, Pass *run, int team_size):
        cdef Network *net = run.net
        cdef Layer *first = &net.layers[0]
        cdef double seconds = seconds_of_rows(net, self.rows, True) / team_size
        cdef size_t for_inputs = run.block * panel_row(net) if run.by_inputs != NULL else 0
        cdef size_t transpose = 0, scratch
        cdef Workspace ws = self.buffers.ws  # the tape's, but for what cannot be pulled back a second time
        if run.by_inputs != NULL and first.weight_t == NULL:
            transpose = first.in_panels * first.n_out * panel_row(net)
        run.scratch_bytes = (max(2 * scratch_bytes(net), for_inputs) + 127) // 128 * 128
        scratch = team_size * run.scratch_bytes
        run.scratch = <char *> fm_allocate(scratch + copy_normed(net, &ws, NULL) + transpose)
        if run.scratch == NULL:
            raise MemoryError("no memory for the threads' scratch tiles")
        scratch += copy_normed(net, &ws, run.scratch + scratch)
        run.ws, run.weight_t = &ws, first.weight_t
        if transpose > 0:
            run.weight_t = run.scratch + scratch
            self.parameters.transpose_layer(first, <char *> run.weight_t)
        in_waves(run, backward_blocks, (self.rows + run.block - 1) // run.block, seconds * 0.5, team_size)
        if run.gradients != NULL:
            in_waves(run, gradient_tiles, count_tiles(net), seconds * 0.5, team_size)
