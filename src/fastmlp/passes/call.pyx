"""Calls that make steps: a region after the other, between which, and where all threads are at rest, signals are seen.

No mirror in reference/: NumPy's steps are made by the calling thread (reference/step.py, reference/gate.py).
"""
import numpy as np

from cpython.exc cimport PyErr_CheckSignals
from fastmlp.passes.clip cimport square_item, squares_bytes
from fastmlp.passes.custom cimport raise_left
from fastmlp.passes.gate cimport REFUSED, Entry
from fastmlp.passes.kernels cimport FM_SHARED_COUNT
from fastmlp.passes.layers cimport Network
from fastmlp.passes.loss cimport put_rows, rows_of, users_loss
from fastmlp.passes.plan cimport MAX_SHARES, cut_batch, cut_shares, share_batch
from fastmlp.passes.rows cimport most_entries
from fastmlp.passes.step cimport run_steps
from fastmlp.passes.steps cimport N_STAGES
from fastmlp.passes.threads cimport (
    fm_allocate,
    fm_counter_load,
    fm_free,
    fm_nanoseconds,
    team_free,
    team_new,
    team_run,
    watch_for_signals,
)
from fastmlp.passes.tiles cimport count_tiles, scratch_bytes, tiles_by_panel
from fastmlp.passes.workspace cimport GRADIENT, TRAIN, Buffers, Workspace
from libc.stdint cimport int32_t

from fastmlp.spec import Outcome


cdef inline ptrdiff_t latest(ptrdiff_t *finished, int threads) noexcept:
    """Steps that the thread which came furthest has finished, if need be alone."""
    cdef ptrdiff_t most = 0
    cdef int thread
    for thread in range(threads):
        most = max(most, finished[thread])
    return most


cdef bint run_handlers(void *call, ptrdiff_t step) noexcept nogil:
    with gil:
        return (<Call> call).at_rest(step)


cdef bint run_at_loss(void *call, ptrdiff_t step, ptrdiff_t start, ptrdiff_t rows) noexcept nogil:
    with gil:
        return (<Call> call).hooked((<Call> call)._show_loss, step, start, rows)


cdef bint run_exchange(void *call, ptrdiff_t step, ptrdiff_t start, ptrdiff_t rows) noexcept nogil:
    with gil:
        return (<Call> call).hooked((<Call> call)._exchange, step, start, rows)


cdef bint run_at_gradient(void *call, ptrdiff_t step, ptrdiff_t start, ptrdiff_t rows) noexcept nogil:
    with gil:
        return (<Call> call).hooked((<Call> call)._show_gradient, step, start, rows)


cdef vector_of(Parameters gradient):
    """A gradient as one array, in the engine's own order and memory, and numbers that are nobody's behind it."""
    cdef ptrdiff_t size = gradient.updated_bytes + gradient.spare
    return np.asarray(<char[:size]> gradient.arena).view(gradient.spec.dtype)


cdef parts_of(Network *net, ptrdiff_t width, tuple groups):
    """Find where in a row of the table those begin that each tensor follows: an array; None where all follow one."""
    columns = net.n_columns + FM_SHARED_COUNT
    n_groups = max(1, width // columns)
    if width != (n_groups if groups else 1) * columns:
        raise ValueError(f"table has {width} columns; this optimizer has {columns}")
    n_tensors = 2 * net.n_layers
    if groups and (len(groups) != n_tensors or not 0 <= min(groups) <= max(groups) < n_groups):
        raise ValueError(f"groups must be {n_tensors} numbers from 0 to {n_groups - 1}, got {groups}")
    return np.array(groups, np.intp) * columns if groups else None


cdef class Call:
    """One call that makes steps: its plan, what it reads, where the engine is at rest, and what comes of it."""

    def __init__(self, Parameters parameters, Gate gate, Inputs inputs, ptrdiff_t batch_size, bint counts,
                 at_loss=None, at_gradient=None, clip_norm=None, clip_value=None, double average=0, cut=None,
                 bint lazy=False, ptrdiff_t epoch_rows=0):
        self.parameters, self.gate, self.inputs, self.counts = parameters, gate, inputs, counts
        self.at_loss, self.at_gradient = at_loss, at_gradient
        self.steps.clip_norm, self.steps.clip_value = clip_norm or 0, clip_value or 0
        self.steps.average = average
        epoch_rows = epoch_rows or inputs.rows
        self.weight_sums = inputs.weight_sums(batch_size, epoch_rows) if cut is None else cut.weight_sums
        self.steps.plan, self.steps.examples, self.steps.rows = &self.plan, &inputs.examples, inputs.rows
        self.steps.epoch_rows = epoch_rows
        self.steps.epoch_steps = max((epoch_rows + batch_size - 1) // batch_size, <ptrdiff_t> 1)
        loss_apart = at_loss is not None or parameters.net.loss == NULL
        if loss_apart:
            self.steps.at_loss = run_at_loss
        if at_gradient is not None:
            self.steps.at_gradient = run_at_gradient
        exchanged = cut is not None and cut.exchange is not None
        stored = (not counts or at_gradient is not None or clip_norm is not None or exchanged
                  or parameters.net.whole_matrices)
        cut_batch(&self.plan, &parameters.net, max(min(batch_size, epoch_rows), <ptrdiff_t> 1), epoch_rows,
                  loss_apart, stored, counts, lazy)
        self.steps.shares = 1
        if cut is not None:
            self.take_shares(cut)

    cdef take_shares(self, cut):
        """Have the rows of each step cut as somebody says who makes it together with others."""
        cdef const int64_t[::1] starts = cut.starts, places = cut.places
        cdef const double[::1] sums = cut.weight_sums
        cdef double[::1] losses = cut.losses
        cdef ptrdiff_t n, number, most = 1, rows = 1, steps = sums.shape[0]
        n = steps * cut.shares
        if not 0 < cut.shares <= MAX_SHARES or not starts.shape[0] - 1 == places.shape[0] == losses.shape[0] == n:
            raise ValueError(f"{steps} steps of {cut.shares} shares (at most {MAX_SHARES}) need as many starts and one "
                             f"more, places and losses, got {starts.shape[0]}, {places.shape[0]}, {losses.shape[0]}")
        if starts[0] != 0 or starts[n] > self.inputs.rows:
            raise ValueError(f"shares go from {starts[0]} to {starts[n]}; they must from 0 to {self.inputs.rows}")
        for number in range(n):
            if starts[number] > starts[number + 1]:
                raise ValueError(f"share {number} goes from {starts[number]} to {starts[number + 1]}")
            most = max(most, <ptrdiff_t> (starts[number + 1] - starts[number]))
        for number in range(0, n, cut.shares):
            rows = max(rows, <ptrdiff_t> (starts[number + cut.shares] - starts[number]))
        if self.plan.whole_batch:
            raise ValueError("a batch norm takes its statistics of whole batches, not of shares")
        self.cut, self.plan.batch, self.steps.shares = cut, rows, cut.shares
        cut_shares(&self.plan, most, 0 if cut.exchange is None else cut.shares)
        self.steps.starts, self.steps.places = &starts[0], &places[0]
        self.steps.out.sums_of_shares = &losses[0]
        if cut.exchange is not None:
            self.steps.exchange = run_exchange

    cdef exchange_in(self, list gradients):
        """Keep the gradients of shares in these, the first of which is the whole batch's behind the exchange."""
        self.keep_sums_in(gradients)
        self.store_gradient_in(gradients[0])
        self.vectors = [vector_of(each) for each in gradients[:self.plan.n_sums]]

    cdef follow(self, table, tuple groups):
        """Take the steps' scalars from a table, each tensor from the part of a row that its group is."""
        cdef const double[:, ::1] rows = table
        cdef ptrdiff_t[::1] parts
        self.parts = parts = parts_of(&self.parameters.net, rows.shape[1], groups)
        self.steps.table, self.steps.columns = &rows[0, 0], rows.shape[1]
        if parts is not None:
            self.steps.parts = &parts[0]

    cdef keep_sums_in(self, list gradients):
        """Keep gradients of parts and microbatches in these, of which there have to be as many as the plan says."""
        cdef ptrdiff_t number
        self.gradients = gradients
        while len(gradients) < self.plan.n_sums:
            gradients.append(Parameters(self.parameters.spec, self.parameters.isa, False))
        for number in range(self.plan.n_sums):
            self.steps.sums[number] = &(<Parameters> gradients[number]).net
        self.steps.gradient = self.steps.sums[0] if self.plan.n_sums else NULL

    cdef store_gradient_in(self, Parameters gradient):
        """Store whole gradients of batches here, as the plan asks for."""
        self.gradient = gradient
        self.steps.gradient = &gradient.net

    cdef keep_directions_in(self, Directions directions):
        """Keep there what the optimizer makes of whole gradients, which it takes as matrices."""
        self.directions, self.steps.directions = directions, directions.of_layers

    cdef run(self, ptrdiff_t first, ptrdiff_t last, int team_size, bint by_panels):
        """Complete the plan, do steps [first, last), and say how many of all have been done."""
        cdef Steps *steps = &self.steps
        cdef Network *net = &self.parameters.net
        cdef ptrdiff_t[::1] finished = np.zeros(team_size, np.intp)
        cdef double[:, ::1] sums = np.zeros((2, net.n_layers))
        cdef double[::1] weight_sums = self.weight_sums
        cdef size_t squares = squares_bytes(net) if steps.clip_norm > 0 else 0
        cdef int64_t[:, ::1] times
        cdef int32_t[::1] tiles
        cdef bint mixing = self.inputs.examples.mixing != NULL
        steps.first, steps.last, steps.weight_sums = first, last, &weight_sums[0]
        steps.out.finished, steps.out.times = &finished[0], NULL
        steps.out.layer_norms, steps.out.penalties = &sums[0, 0], &sums[1, 0]
        if self.profile is not None:
            times = np.zeros((team_size, N_STAGES), np.int64)
            steps.out.times = &times[0, 0]
        if by_panels and self.tiles is None:
            self.tiles = tiles_by_panel(net)
        tiles = self.tiles
        share_batch(&self.plan, team_size, by_panels, &tiles[0] if by_panels and not self.plan.lazy else NULL)
        while len(self.buffers) < (team_size if self.plan.microbatch else 1):
            self.buffers.append(Buffers(self.parameters, self.plan.part, TRAIN if self.counts else GRADIENT, mixing,
                                        most_entries(&self.inputs.examples, self.plan.part), self.plan.lazy))
        for thread, space in enumerate(self.buffers):
            steps.workspaces[thread] = &(<Buffers> space).ws
            steps.workspaces[thread].has_labels = self.inputs.examples.labels and not mixing
        steps.scratch_stride = (scratch_bytes(net) + 127) // 128 * 128
        steps.scratch = <char *> fm_allocate(team_size * steps.scratch_stride + squares)
        if steps.scratch == NULL:
            raise MemoryError("no memory for the threads' scratch tiles")
        steps.squares = steps.scratch + team_size * steps.scratch_stride if squares > 0 else NULL
        try:
            outcome = self.regions(team_size)
        finally:
            fm_free(steps.scratch)
        if steps.out.times != NULL:
            self.profile[:N_STAGES] += np.asarray(times).sum(axis=0)
        return outcome

    cdef regions(self, int team_size):
        """One region after the other, until all steps are done or one is given up; between two of them, signals."""
        cdef Steps *steps = &self.steps
        cdef ptrdiff_t last = steps.last
        cdef Entry entry = REFUSED
        self.before = steps.before = self.parameters.n_steps - steps.first
        steps.at_rest, steps.call = run_handlers, <void *> self
        if self.counts:
            self.gate.close("training")
            self.parameters.changes += 1
        else:
            entry = self.gate.enter("gradient")
            if entry == REFUSED:
                raise RuntimeError("the network is being trained")
        try:
            while True:
                if self.parameters.net.custom:  # whose handlers of signals see every count
                    steps.last = steps.first + 1
                failed = self.region(team_size)
                done = latest(steps.out.finished, team_size)
                if self.counts:
                    self.parameters.n_steps = self.before + done
                if failed and not self.hook_raised:
                    return Outcome(done, "non_finite", self.exception, self.weight_sums)
                if done == last or self.exception is not None or not self.at_rest(done):
                    status = "done" if self.exception is None else "interrupted"
                    return Outcome(done, status, self.exception, self.weight_sums)
                steps.first = done
        finally:
            if self.counts:
                self.gate.open()
            else:
                self.gate.leave(entry)

    cdef bint region(self, int team_size) except -1:
        """Let a team make the steps that are left; True if a loss was not finite."""
        cdef Steps *steps = &self.steps
        cdef int64_t began
        cdef bint failed
        steps.watch = watch_for_signals()
        steps.team = team_new(team_size)
        began = fm_nanoseconds()
        self.gate.unfinished = self.counts
        with nogil:
            team_run(steps.team, run_steps, steps)
        if self.counts:
            self.gate.unfinished = False
        failed = fm_counter_load(steps.team.failed)
        team_free(steps.team)
        try:
            raise_left(steps.workspaces[0])
        except BaseException as exception:
            self.exception, self.hook_raised = exception, True
        if steps.out.times != NULL:
            began = fm_nanoseconds() - began
            self.profile[N_STAGES:] += began, team_size * began
        return failed

    cdef bint at_rest(self, ptrdiff_t step) noexcept:
        """Let signal handlers run; False if one raised."""
        cdef bint unfinished = self.gate.unfinished
        if self.counts:
            self.parameters.n_steps = self.before + step
            self.gate.unfinished = False
        try:
            PyErr_CheckSignals()
            if self.counts and not unfinished:  # no region is open: who waits to predict may do so
                self.gate.let_readers_in()
        except BaseException as exception:
            self.exception = exception
        if self.counts:
            self.gate.unfinished = unfinished
        return self.exception is None

    cdef bint hooked(self, method, ptrdiff_t step, ptrdiff_t start, ptrdiff_t rows) noexcept:
        """Run a hook, with the engine as at a rest; False if it raised, or left a loss that is not finite."""
        cdef bint unfinished = self.gate.unfinished, good = False
        self.parameters.n_steps, self.gate.unfinished = self.before + step, False
        try:
            good = method(step, start, rows)
        except BaseException as exception:
            self.exception, self.hook_raised = exception, True
        self.gate.unfinished = unfinished
        return good

    def _exchange(self, step, start, rows):
        return self.cut.exchange(step, self.vectors)

    def _show_gradient(self, step, start, rows):
        cdef ptrdiff_t item
        self.at_gradient(step, self.gradient)
        for item in range(count_tiles(&self.gradient.net) if self.steps.squares != NULL else 0):
            square_item(&self.gradient.net, item, self.steps.squares)  # once more: they may be others
        return True

    def _show_loss(self, step, ptrdiff_t start, ptrdiff_t rows):
        """A user's own loss of these rows, and what a hook makes of it: False if one of the losses is not finite."""
        cdef Network *net = &self.parameters.net
        cdef Workspace *ws = self.steps.workspaces[0]
        cdef ptrdiff_t r
        cdef double[::1] losses
        if net.loss == NULL:
            users_loss(self.parameters, ws, rows)
        row_loss = np.empty(rows)
        losses = row_loss
        for r in range(rows):
            losses[r] = ws.row_loss[r]
        if self.at_loss is not None:
            outputs = rows_of(self.parameters, ws, ws.a[net.n_layers], rows)
            deltas = rows_of(self.parameters, ws, ws.d[net.n_layers], rows)
            self.at_loss(step, slice(start, start + rows), outputs, row_loss, deltas)
            put_rows(self.parameters, ws, ws.d[net.n_layers], deltas)
            for r in range(rows):
                ws.row_loss[r] = losses[r]
        return bool(np.isfinite(row_loss).all())
