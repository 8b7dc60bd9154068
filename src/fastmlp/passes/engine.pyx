"""The engine: runs of training steps, gradients and traces, each in one parallel region; see predict.pyx for the rest.

Mirror: reference/engine.py.
"""
import numpy as np

from cpython.exc cimport PyErr_CheckSignals
from fastmlp.passes.backward cimport backward_rows
from fastmlp.passes.forward cimport forward_layer, forward_rows
from fastmlp.passes.gate cimport REFUSED, Entry, Gate
from fastmlp.passes.kernels cimport FM_ACTIVATION_identity, optimizer_n_columns
from fastmlp.passes.layers cimport NO_OPTIMIZER, Network, multiply_adds, seconds_alone, threads_for
from fastmlp.passes.loss cimport loss_rows
from fastmlp.passes.parameters cimport Copy, Parameters
from fastmlp.passes.plan cimport Plan, cut_batch, most_threads, share_batch, share_by_panels
from fastmlp.passes.predict cimport Predictor
from fastmlp.passes.rows cimport Inputs, check_order, load_inputs, load_targets, sums_of_weights
from fastmlp.passes.step cimport N_STAGES, Steps, run_steps
from fastmlp.passes.threads cimport (
    MAX_THREADS,
    fm_allocate,
    fm_counter_load,
    fm_free,
    fm_nanoseconds,
    team_free,
    team_new,
    team_run,
    watch_for_signals,
)
from fastmlp.passes.tiles cimport scratch_bytes, tiles_by_panel
from fastmlp.passes.tuner cimport Tuner, guess_threads, ways_to_share
from fastmlp.passes.workspace cimport TRAIN, Buffers, Workspace
from libc.stdint cimport int32_t, int64_t

from fastmlp.passes.kernels import permute_into
from fastmlp.passes.threads import max_threads
from fastmlp.spec import STAGES as _STAGES
from fastmlp.spec import Outcome

cdef enum:
    MEMORY_BYTES = 64 * 1024 * 1024    # buffers of a pass over any number of rows


def permutation(seed, epoch, n, into=None):
    order = np.empty(n, np.int64) if into is None else into
    permute_into(seed, epoch, order)
    return order


cdef inline ptrdiff_t latest(ptrdiff_t *finished, int threads) noexcept:
    """Steps that the thread which came furthest has finished, if need be alone."""
    cdef ptrdiff_t most = 0
    cdef int thread
    for thread in range(threads):
        most = max(most, finished[thread])
    return most


cdef class Call:
    """One call that makes steps: its plan, what it reads, where the engine is at rest, and what comes of it."""

    cdef Engine engine
    cdef Inputs inputs
    cdef object weight_sums          # per step
    cdef list buffers                # more are made where they are too few
    cdef list gradients              # Parameters that hold sums of parts and microbatches
    cdef Plan plan
    cdef Steps steps
    cdef bint counts                 # whether steps are updates of the engine's parameters
    cdef int64_t before              # the engine's count of updates, less the steps of the run
    cdef object exception            # what a signal's handler raised

    def __init__(self, Engine engine, Inputs inputs, ptrdiff_t batch_size, bint counts):
        self.engine, self.inputs, self.counts = engine, inputs, counts
        self.weight_sums = inputs.weight_sums(batch_size)
        self.steps.plan, self.steps.examples, self.steps.rows = &self.plan, &inputs.examples, inputs.rows
        cut_batch(&self.plan, &engine.parameters.net, min(batch_size, inputs.rows), inputs.rows)

    cdef keep_sums_in(self, list gradients):
        """Keep gradients of parts and microbatches in these, of which there have to be as many as the plan says."""
        cdef ptrdiff_t number
        self.gradients = gradients
        while len(gradients) < self.plan.n_sums:
            gradients.append(Parameters(self.engine.parameters.spec, self.engine.isa))
        for number in range(self.plan.n_sums):
            self.steps.sums[number] = &(<Parameters> gradients[number]).net
        self.steps.gradient = self.steps.sums[0] if self.plan.n_sums else NULL


cdef bint run_handlers(void *call, ptrdiff_t step) noexcept nogil:
    with gil:
        return (<Call> call).engine.at_rest(<Call> call, step)


cdef class Engine:
    """One network's parameters and the passes over them. Arrays are validated by the caller (see spec/, data/);
    what could read out of bounds is checked here once more. Predictions may run side by side; of all else one call at a
    time, for which the caller locks. Handlers of signals may use the engine where it is at rest (gate.pyx)."""

    cdef int64_t steps_made          # updates that the optimizer's present state has made
    cdef Gate gate
    cdef Parameters parameters
    cdef Parameters gradients_left   # by the last call of `gradient`
    cdef list training               # Buffers of the last batch size, more than one for microbatches
    cdef list gradients              # Parameters that hold gradients, for batches in parts and microbatches
    cdef Predictor predictor
    cdef dict tuners                 # by batch size and largest number of threads
    cdef int32_t[::1] tiles          # in the order of their panels
    cdef object profile              # what start_profile began: nanoseconds by stage, by the clock, of all threads

    def __init__(self, spec, isa=None):
        self.parameters = Parameters(spec, isa)
        self.predictor = Predictor(self.parameters)
        self.gate = self.predictor.gate
        self.tuners = {}
        self.training = []
        self.gradients = []

    @property
    def isa(self):
        return self.parameters.isa

    @property
    def n_steps(self):
        return self.steps_made

    @n_steps.setter
    def n_steps(self, n_steps):
        self.gate.refuse_inside("n_steps =")
        self.steps_made = n_steps

    @property
    def kinds(self):
        return self.kinds_to_write() + (() if self.gradients_left is None else ("gradient",))

    cdef tuple kinds_to_write(self):
        return "parameters", *(f"state.{slot}" for slot in range(self.parameters.n_states))

    def read(self, kind="parameters"):
        cdef Parameters gradients = self.gradients_left
        if kind == "gradient" and gradients is not None:
            return gradients.read()
        return self.parameters.read(self.slot(kind, self.kinds))

    def write(self, tensors, kind="parameters"):
        self.gate.close("write")
        try:
            self.parameters.write(tensors, self.slot(kind, self.kinds_to_write()))
        finally:
            self.gate.open()

    cdef int slot(self, kind, tuple kinds) except -2:
        """-1 for the parameters, s for "state.s"."""
        if kind not in kinds:
            raise ValueError(f"kind must be one of {', '.join(map(repr, kinds))}, got {kind!r}")
        return kinds.index(kind) - 1

    def use_optimizer(self, name):
        self.gate.refuse_inside("use_optimizer")
        self.parameters.use_optimizer(name)
        self.steps_made = 0

    def copy(self, into=None, int threads=1):
        cdef Copy copy = self.parameters.copy(into, threads)
        copy.n_steps = self.steps_made
        return copy

    def restore(self, Copy copy not None):
        self.gate.close("restore")
        self.gate.unfinished = True
        try:
            self.parameters.restore(copy)
            self.steps_made = copy.n_steps
        finally:
            self.gate.unfinished = False
            self.gate.open()

    def running(self):
        return self.gate.running()

    def forked(self):
        return self.gate.forked()

    def is_finite(self, int threads=1):
        return self.parameters.is_finite(threads)

    def start_profile(self):
        self.profile = np.zeros(N_STAGES + 2, np.int64)

    def stop_profile(self):
        profile, self.profile = self.profile, None
        seconds = (profile * 1e-9).tolist()
        return dict(zip(_STAGES, seconds[:N_STAGES], strict=True)), seconds[N_STAGES], seconds[N_STAGES + 1]

    def weight_sums(self, const double[::1] weight, const int64_t[::1] order not None, Py_ssize_t batch_size):
        if weight is not None:
            check_order(order, weight.shape[0])
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        return sums_of_weights(weight, order, order.shape[0], batch_size)

    def train(self, run, int threads=0):
        cdef Network *net = &self.parameters.net
        cdef const int64_t[::1] order = run.order
        cdef const double[:, ::1] table = run.table
        cdef double[::1] losses = run.losses, squared_weights = run.squared_weights
        cdef Py_ssize_t batch_size = run.batch_size
        cdef Call call
        for name, array in (("order", order), ("table", table), ("losses", losses)):
            if array is None:
                raise TypeError(f"{name} must be an array, got None")
        cdef Inputs inputs = Inputs(self.parameters, run.X, run.y, run.weight, order)
        cdef ptrdiff_t steps = (order.shape[0] + batch_size - 1) // batch_size if batch_size > 0 else -1
        if squared_weights is not None and squared_weights.shape[0] != steps:
            raise ValueError(f"squared_weights has {squared_weights.shape[0]} places; there are {steps} steps")
        if not steps == table.shape[0] == losses.shape[0] or net.optimizer == NO_OPTIMIZER:
            raise ValueError(f"{order.shape[0]} rows in batches of {batch_size} do not make {table.shape[0]} steps, "
                             "or there is no optimizer")
        if table.shape[1] != optimizer_n_columns(net.optimizer):
            raise ValueError(f"table has {table.shape[1]} columns; this optimizer has "
                             f"{optimizer_n_columns(net.optimizer)}")
        if steps == 0:
            return Outcome(0, "done", None)
        call = Call(self, inputs, batch_size, True)
        call.keep_sums_in(self.gradients)
        if self.training and (<Buffers> self.training[0]).ws.capacity != call.plan.part:
            self.training = []
        call.buffers = self.training
        call.steps.scalars, call.steps.n_scalars = &table[0, 0], <int> table.shape[1]
        call.steps.out.losses = &losses[0]
        call.steps.out.squared_weights = NULL if squared_weights is None else &squared_weights[0]
        most = min(-threads or max_threads(), most_threads(&call.plan))
        if threads > 0 or most == 1 or steps == 1:
            team_size = self.team_size(call.plan.batch if call.plan.microbatch else call.plan.part, True, threads)
            team_size = min(team_size, most_threads(&call.plan))
            return self.run(call, 0, steps, team_size, share_by_panels(net, call.plan.part, team_size))
        return self.run_tuned(call, steps, most)

    cdef run_tuned(self, Call call, ptrdiff_t steps, int most):
        """A run a few steps at a time, so that the number of threads is found, and found again, by trying."""
        cdef Network *net = &self.parameters.net
        cdef ptrdiff_t done = 0, count, batch = call.plan.batch
        tuner = self.tuners.get((batch, most))
        if tuner is None:
            rows = batch if call.plan.microbatch else call.plan.part
            tuner = Tuner(ways_to_share(net, rows, most), guess_threads(net, rows, most), seconds_alone(net, batch))
            self.tuners[batch, most] = tuner
        while True:
            way, seconds = tuner.next()
            per_step = tuner.step_seconds(way) or 2e-9 + multiply_adds(net, batch, True) * 2e-11
            count = <ptrdiff_t> min(1 + seconds / per_step, <double> (steps - done))
            start = fm_nanoseconds()
            outcome = self.run(call, done, done + count, way[0], way[1])
            tuner.report(way, count, (fm_nanoseconds() - start) * 1e-9)
            done += count
            if outcome.status != "done" or done == steps:
                return outcome

    def explain_threads(self):
        """Lines that say what was found out about the number of threads, one for each batch size."""
        return [f"batches of {batch}: {tuner.explain()}" for (batch, _), tuner in self.tuners.items()]

    cdef run(self, Call call, ptrdiff_t first, ptrdiff_t last, int team_size, bint by_panels):
        """Complete the plan, do steps [first, last), and say how many of all have been done."""
        cdef Steps *steps = &call.steps
        cdef Network *net = &self.parameters.net
        cdef ptrdiff_t[::1] finished = np.zeros(team_size, np.intp)
        cdef double[::1] layer_norms = np.zeros(net.n_layers), weight_sums = call.weight_sums
        cdef int64_t[:, ::1] times
        steps.first, steps.last, steps.weight_sums = first, last, &weight_sums[0]
        steps.out.finished, steps.out.layer_norms, steps.out.times = &finished[0], &layer_norms[0], NULL
        if self.profile is not None and call.counts:
            times = np.zeros((team_size, N_STAGES), np.int64)
            steps.out.times = &times[0, 0]
        if by_panels and self.tiles is None:
            self.tiles = tiles_by_panel(net)
        share_batch(&call.plan, team_size, by_panels, &self.tiles[0] if by_panels else NULL)
        while len(call.buffers) < (team_size if call.plan.microbatch else 1):
            call.buffers.append(Buffers(self.parameters, call.plan.part, TRAIN))
        for thread, space in enumerate(call.buffers):
            steps.workspaces[thread] = &(<Buffers> space).ws
            steps.workspaces[thread].has_labels = call.inputs.examples.labels
        steps.scratch_stride = (scratch_bytes(net) + 127) // 128 * 128
        steps.scratch = <char *> fm_allocate(team_size * steps.scratch_stride)
        if steps.scratch == NULL:
            raise MemoryError("no memory for the threads' scratch tiles")
        try:
            outcome = self.regions(call, team_size)
        finally:
            fm_free(steps.scratch)
        if steps.out.times != NULL:
            self.profile[:N_STAGES] += np.asarray(times).sum(axis=0)
        return outcome

    cdef regions(self, Call call, int team_size):
        """One region after the other, until all steps are done or one is given up; between two of them, signals."""
        cdef Steps *steps = &call.steps
        cdef Entry entry = REFUSED
        call.before = self.steps_made - steps.first
        steps.at_rest, steps.call = run_handlers, <void *> call
        if call.counts:
            self.gate.close("training")
        else:
            entry = self.gate.enter("gradient")
            if entry == REFUSED:
                raise RuntimeError("the network is being trained")
        try:
            while True:
                failed = self.region(call, team_size)
                done = latest(steps.out.finished, team_size)
                if call.counts:
                    self.steps_made = call.before + done
                if failed:
                    return Outcome(done, "non_finite", call.exception, call.weight_sums)
                if done == steps.last or call.exception is not None or not self.at_rest(call, done):
                    status = "done" if call.exception is None else "interrupted"
                    return Outcome(done, status, call.exception, call.weight_sums)
                steps.first = done
        finally:
            if call.counts:
                self.gate.open()
            else:
                self.gate.leave(entry)

    cdef bint region(self, Call call, int team_size) except -1:
        """Whether a loss was not finite."""
        cdef Steps *steps = &call.steps
        cdef int64_t began
        cdef bint failed
        steps.watch = watch_for_signals()
        steps.team = team_new(team_size)
        began = fm_nanoseconds()
        self.gate.unfinished = call.counts
        with nogil:
            team_run(steps.team, run_steps, steps)
        if call.counts:
            self.gate.unfinished = False
        failed = fm_counter_load(steps.team.failed)
        team_free(steps.team)
        if steps.out.times != NULL:
            began = fm_nanoseconds() - began
            self.profile[N_STAGES:] += began, team_size * began
        return failed

    cdef bint at_rest(self, Call call, ptrdiff_t step) noexcept:
        """Let signal handlers run; False if one raised."""
        cdef bint unfinished = self.gate.unfinished
        if call.counts:
            self.steps_made = call.before + step
            self.gate.unfinished = False
        try:
            PyErr_CheckSignals()
            if call.counts and not unfinished:  # no region is open: who waits to predict may do so
                self.gate.let_readers_in()
        except BaseException as exception:
            call.exception = exception
        if call.counts:
            self.gate.unfinished = unfinished
        return call.exception is None

    cdef int team_size(self, ptrdiff_t batch, bint train, int threads) except -1:
        """n for n > 0, chosen for 0, chosen from 1 to n for -n."""
        if threads > 0:
            return min(threads, <int> MAX_THREADS)
        return threads_for(&self.parameters.net, batch, train, -threads or max_threads())

    def predict(self, X, out, int threads=0, bint check=False):
        return self.predictor.over(Inputs(self.parameters, X, None, None, None), out, None, threads, check)

    def predict_small(self, X):
        return self.predictor.small(X)

    def evaluate(self, X, y, out, double[::1] row_loss not None, int threads=0):
        if not self.predictor.over(Inputs(self.parameters, X, y, None, None), out, row_loss, threads, False):
            raise RuntimeError("the network is being trained")

    def gradient(self, X, y, weight, int threads=0, out=None):
        cdef Inputs inputs = Inputs(self.parameters, X, y, weight, None)
        cdef Parameters gradients = Parameters(self.parameters.spec, self.isa)
        cdef double[::1] losses = np.zeros(1)
        cdef Call call
        if inputs.rows == 0:
            raise ValueError("X has no rows; a mean loss needs at least one")
        call = Call(self, inputs, inputs.rows, False)
        call.keep_sums_in([])    # not in self.gradients, with which a training may be at work that a handler interrupts
        call.buffers = []
        call.plan.part, call.plan.gradient_stored = min(call.plan.part, self.rows_at_once()), True
        call.steps.gradient, call.steps.out.losses = &gradients.net, &losses[0]
        team_size = min(self.team_size(inputs.rows, True, threads), most_threads(&call.plan))
        by_panels = share_by_panels(&self.parameters.net, call.plan.part, team_size)
        outcome = self.run(call, 0, 1, team_size, by_panels)
        if outcome.exception is not None:
            raise outcome.exception
        self.gradients_left = gradients
        if out is not None:
            out.update(gradients.read())
        return losses[0] if outcome.status == "done" else float("nan")

    cdef ptrdiff_t rows_at_once(self):
        widths = sum(layer.n_in + 2 * layer.n_out for layer in self.parameters.spec.layers)
        return max(<ptrdiff_t> 64, <ptrdiff_t> (MEMORY_BYTES // (widths * self.parameters.net.item)))

    def trace(self, X, y, int threads=0):
        cdef Network *net = &self.parameters.net
        cdef Inputs inputs = Inputs(self.parameters, X, y, None, None)
        cdef ptrdiff_t total = inputs.examples.x.rows
        cdef ptrdiff_t most = max(<ptrdiff_t> 1, min(total, self.rows_at_once())), start, rows
        cdef Buffers buffers = Buffers(self.parameters, most, TRAIN)
        cdef Workspace *ws = &buffers.ws
        cdef int l, last = net.n_layers - 1
        signals, outputs, sensitivities = self.empty_layers(total), self.empty_layers(total), self.empty_layers(total)
        ws.has_labels = inputs.examples.labels
        for start in range(0, total, most):
            rows = min(most, total - start)
            load_inputs(net, ws, &inputs.examples, start, 0, rows)
            forward_rows(net, ws, False, 0, rows)
            for l in range(net.n_layers):
                self.copy_out(ws, ws.a[l + 1], l, outputs, start, rows)
                # The deltas' buffers are free until the backward pass, and hold the signals for so long.
                forward_layer(net, ws, l, FM_ACTIVATION_identity, 0, rows, 0, net.layers[l].out_panels, ws.d[l + 1])
                self.copy_out(ws, ws.d[l + 1], l, signals, start, rows)
            if not inputs.has_targets:
                continue
            load_targets(net, ws, &inputs.examples, start, 0, rows, 1.0)
            if net.fused:
                forward_layer(net, ws, last, FM_ACTIVATION_identity, 0, rows, 0, net.layers[last].out_panels,
                              ws.a[last + 1])
            loss_rows(net, ws, 0, rows)
            backward_rows(net, ws, 0, rows)
            for l in range(net.n_layers):
                self.copy_out(ws, ws.d[l + 1], l, sensitivities, start, rows)
        return signals, outputs, sensitivities if inputs.has_targets else None

    cdef empty_layers(self, ptrdiff_t rows):
        return [np.empty((rows, layer.n_out), self.parameters.spec.dtype) for layer in self.parameters.spec.layers]

    cdef copy_out(self, Workspace *ws, char *matrix, int l, arrays, ptrdiff_t start, ptrdiff_t rows):
        cdef char[:, ::1] to = arrays[l][start:start + rows].view(np.int8)
        cdef ptrdiff_t columns = self.parameters.net.layers[l].n_out
        self.parameters.net.kernels.unpack(rows, columns, matrix, ws.stride, &to[0, 0], columns)
