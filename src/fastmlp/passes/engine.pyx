"""The engine: runs of training steps, gradients and traces, each in one parallel region; see predict.pyx for the rest.

Mirror: reference/engine.py.
"""
import numpy as np

from fastmlp.passes.apply cimport apply_gradient
from fastmlp.passes.call cimport Call, vector_of
from fastmlp.passes.exchange cimport TensorPasses
from fastmlp.passes.layers cimport NO_OPTIMIZER, Network, multiply_adds, seconds_alone, threads_for
from fastmlp.passes.orthogonal cimport Directions
from fastmlp.passes.parameters cimport Copy, Parameters
from fastmlp.passes.plan cimport most_threads, rows_at_once, share_by_panels
from fastmlp.passes.predict cimport Predictor
from fastmlp.passes.rowmajor cimport write_transposed
from fastmlp.passes.rows cimport Inputs, check_order, most_entries, sums_of_weights
from fastmlp.passes.steps cimport N_STAGES
from fastmlp.passes.tape cimport Tape
from fastmlp.passes.threads cimport MAX_THREADS, fm_nanoseconds
from fastmlp.passes.trace cimport trace_rows
from fastmlp.passes.tuner cimport Tuner, guess_threads, ways_to_share
from fastmlp.passes.workspace cimport Buffers
from libc.stdint cimport int64_t

from fastmlp.passes.kernels import permute_into
from fastmlp.passes.threads import max_threads
from fastmlp.spec import STAGES as _STAGES
from fastmlp.spec import Outcome


def permutation(seed, epoch, n, into=None):
    order = np.empty(n, np.int64) if into is None else into
    permute_into(seed, epoch, order)
    return order


cdef ptrdiff_t steps_of(ptrdiff_t rows, ptrdiff_t batch_size, ptrdiff_t epoch_rows) except -2:
    """The number of steps that rows in batches make, an epoch of so many of them after the other (0: in one); -1 where
    there are no such batches."""
    if epoch_rows < 0 or (epoch_rows > 0 and rows % epoch_rows):
        raise ValueError(f"{rows} rows are not whole epochs of {epoch_rows}")
    if batch_size < 1:
        return -1
    if epoch_rows == 0:
        return (rows + batch_size - 1) // batch_size
    return rows // epoch_rows * ((epoch_rows + batch_size - 1) // batch_size)


cdef bint fits(Buffers buffers, ptrdiff_t rows, bint mixing, ptrdiff_t entries, bint lazy) except -1:
    """Whether buffers of a training serve another one."""
    cdef ptrdiff_t room = buffers.ws.entries.room
    return (buffers.ws.capacity == rows and buffers.mixing == mixing and room >= entries
            and (room > 0) == (entries > 0) and buffers.ws.entries.lazy >= lazy)


cdef class Engine:
    """One network's parameters and the passes over them. Arrays are validated by the caller (see spec/, data/);
    what could read out of bounds is checked here once more. Predictions may run side by side; of all else one call at a
    time, for which the caller locks. Handlers of signals may use the engine where it is at rest (gate.pyx)."""

    def __init__(self, spec, isa=None):
        self.parameters = Parameters(spec, isa)
        self.predictor = Predictor(self.parameters)
        self.gate = self.predictor.gate
        self.tuners = {}
        self.training = []
        self.gradients = []
        self.tape_buffers = []

    @property
    def isa(self):
        return self.parameters.isa

    @property
    def n_steps(self):
        return self.parameters.n_steps

    @n_steps.setter
    def n_steps(self, n_steps):
        self.gate.refuse_inside("n_steps =")
        self.parameters.n_steps = n_steps

    @property
    def kinds(self):
        return self.kinds_to_write() + (() if self.gradients_left is None else ("gradient",))

    cdef tuple kinds_to_write(self):
        average = ("average",) if self.parameters.net.average else ()
        return "parameters", *(f"state.{slot}" for slot in range(self.parameters.n_states)), *average

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

    def write_transposed(self, arrays, int threads=0):
        self.gate.close("write_transposed")
        try:
            write_transposed(self.parameters, arrays, threads or max_threads())
        finally:
            self.gate.open()

    cdef int slot(self, kind, tuple kinds) except -2:
        """-1 for the parameters, s for "state.s"; the number of states for the average."""
        if kind not in kinds:
            raise ValueError(f"kind must be one of {', '.join(map(repr, kinds))}, got {kind!r}")
        return kinds.index(kind) - 1

    def use_optimizer(self, name):
        self.gate.refuse_inside("use_optimizer")
        self.parameters.use_optimizer(name)
        self.directions = None

    cdef Directions directions_kept(self):
        """Memory for what the optimizer makes of matrices, of one update after the other."""
        if self.directions is None:
            self.directions = Directions(self.parameters)
        return self.directions

    def keep_average(self, bint keep=True):
        self.gate.refuse_inside("keep_average")
        self.parameters.keep_average(keep)

    def scale(self, inputs, targets):
        self.gate.close("scale")
        try:
            self.parameters.scale(inputs, targets)
        finally:
            self.gate.open()

    @property
    def takes_sparse(self):
        return self.parameters.net.inputs.shift == NULL and self.parameters.net.pairs == NULL

    def copy(self, into=None, int threads=1):
        return self.parameters.copy(into, threads)

    def restore(self, Copy copy not None):
        self.gate.close("restore")
        self.gate.unfinished = True
        try:
            self.parameters.restore(copy)
        finally:
            self.gate.unfinished = False
            self.gate.open()

    def running(self):
        return self.gate.running()

    def forked(self):
        return self.gate.forked()

    def is_finite(self, int threads=1):
        return self.parameters.is_finite(threads)

    def penalty(self):
        return self.parameters.penalty()

    def start_profile(self):
        self.profile = np.zeros(N_STAGES + 2, np.int64)

    def stop_profile(self):
        profile, self.profile = self.profile, None
        seconds = (profile * 1e-9).tolist()
        return dict(zip(_STAGES, seconds[:N_STAGES], strict=True)), seconds[N_STAGES], seconds[N_STAGES + 1]

    def weight_sums(self, const double[::1] weight, const int64_t[::1] order not None, Py_ssize_t batch_size,
                    Py_ssize_t epoch_rows=0):
        if weight is not None:
            check_order(order, weight.shape[0])
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        steps_of(order.shape[0], batch_size, epoch_rows)
        return sums_of_weights(weight, order, order.shape[0], batch_size, epoch_rows or order.shape[0])

    def train(self, run, int threads=0):
        cdef Network *net = &self.parameters.net
        cdef const int64_t[::1] order = run.order
        cdef const double[:, ::1] table = run.table
        cdef double[::1] losses = run.losses, squared_weights = run.squared_weights
        cdef double[::1] row_losses = run.row_losses, row_norms = run.row_norms
        cdef Py_ssize_t batch_size = run.batch_size
        cdef Call call
        for name, array in (("order", order), ("table", table), ("losses", losses)):
            if array is None:
                raise TypeError(f"{name} must be an array, got None")
        cdef Inputs inputs = Inputs(self.parameters, run.X, run.y, run.weight, order)
        cdef ptrdiff_t steps = steps_of(order.shape[0], batch_size, run.epoch_rows)
        if run.epoch_rows and (run.cut is not None or run.mixing is not None):
            raise ValueError("rows of several epochs are neither cut into shares nor mixed")
        if run.cut is not None:
            steps = len(run.cut.weight_sums)
            if run.mixing is not None:
                raise ValueError("rows of shares are not mixed: their partners may be elsewhere")
        if squared_weights is not None and squared_weights.shape[0] != steps:
            raise ValueError(f"squared_weights has {squared_weights.shape[0]} places; there are {steps} steps")
        for name, array in (("row_losses", row_losses), ("row_norms", row_norms)):
            if (row_losses is None) != (row_norms is None) or (array is not None and len(array) != len(run.X)):
                raise ValueError(f"{name} must have a place for each of {len(run.X)} rows, and the other one, too")
        if not steps == table.shape[0] == losses.shape[0] or net.optimizer == NO_OPTIMIZER:
            raise ValueError(f"{order.shape[0]} rows in batches of {batch_size} do not make {table.shape[0]} steps, "
                             "or there is no optimizer")
        if run.average != 0 and net.average == 0:
            raise ValueError("a run with an average needs keep_average first")
        if inputs.entries is not None and (run.mixing is not None or row_losses is not None or net.noise > 0
                                           or net.layers[0].drop_scale > 0):
            raise ValueError("sparse rows are neither mixed nor noted, and nothing is dropped of them or added to them")
        if run.lazy and (inputs.entries is None or run.at_gradient is not None or run.clip_norm is not None
                         or run.cut is not None or net.whole_matrices):
            raise ValueError("lazy is for sparse rows, with none of at_gradient, clip_norm and cut, nor for Muon")
        if run.mixing is not None and row_losses is not None:
            raise ValueError("rows that are mixed have no losses of their own")
        if steps == 0:
            return Outcome(0, "done", None)
        if run.mixing is not None:
            inputs.mix(self.parameters.spec.loss, run.mixing, batch_size)
        call = Call(self.parameters, self.gate, inputs, batch_size, True, run.at_loss, run.at_gradient, run.clip_norm,
                    run.clip_value, run.average, run.cut, run.lazy, run.epoch_rows)
        call.keep_sums_in(self.gradients)
        if call.steps.exchange != NULL:
            call.exchange_in(self.gradients)
        elif call.plan.gradient_stored:
            if self.whole_gradient is None:
                self.whole_gradient = Parameters(self.parameters.spec, self.isa, False)
            call.store_gradient_in(self.whole_gradient)
        if net.whole_matrices:
            call.keep_directions_in(self.directions_kept())
        entries = most_entries(&inputs.examples, call.plan.part)
        self.training = [each for each in self.training
                         if fits(each, call.plan.part, run.mixing is not None, entries, run.lazy)]
        call.buffers, call.profile = self.training, self.profile
        call.follow(table, run.groups)
        call.steps.seed = run.seed
        call.steps.out.losses = &losses[0]
        call.steps.out.squared_weights = NULL if squared_weights is None else &squared_weights[0]
        if row_losses is not None:
            call.steps.out.per_row.losses, call.steps.out.per_row.norms = &row_losses[0], &row_norms[0]
        if self.parameters.interpolation < 0:
            return self.run_with(call, run, steps, threads)
        self.gate.close("training")
        self.gate.unfinished = True
        if not self.parameters.departed:
            self.parameters.depart(table[0, self.parameters.interpolation])
        self.gate.unfinished = False
        self.gate.open()
        try:
            return self.run_with(call, run, steps, threads)
        finally:
            self.come_back()

    cdef come_back(self):
        """Have the mean of the weights in their place again; what a handler raises meanwhile is raised afterwards."""
        raised = None
        while self.parameters.departed:
            try:
                self.gate.close("training")
            except BaseException as exception:
                raised = exception
                continue
            self.gate.unfinished = True
            self.parameters.arrive()
            self.gate.unfinished = False
            self.gate.open()
        if raised is not None:
            raise raised

    cdef run_with(self, Call call, run, ptrdiff_t steps, int threads):
        """A run with so many threads, or as many as prove to be good."""
        cdef Network *net = &self.parameters.net
        cdef int most = 1 if net.custom else min(-threads or max_threads(), most_threads(&call.plan)), team_size
        cdef bint hooked = run.at_loss is not None or run.at_gradient is not None or call.steps.exchange != NULL
        if threads > 0 or most == 1 or steps == 1 or hooked:
            team_size = self.team_size(call.plan.batch if call.plan.microbatch else call.plan.part, True, threads)
            team_size = min(team_size, most_threads(&call.plan))
            return self.run(call, 0, steps, team_size, share_by_panels(net, call.plan.part, team_size))
        return self.run_tuned(call, steps, most)

    cdef run_tuned(self, Call call, ptrdiff_t steps, int most):
        """A run a few steps at a time, so that the number of threads is found, and found again, by trying."""
        cdef Network *net = &self.parameters.net
        cdef ptrdiff_t done = 0, count, batch = call.plan.batch
        key = batch, most, call.plan.gradient_stored, call.plan.lazy
        tuner = self.tuners.get(key)
        if tuner is None:
            rows = batch if call.plan.microbatch else call.plan.part
            tuner = Tuner(ways_to_share(net, rows, most), guess_threads(net, rows, most), seconds_alone(net, batch))
            self.tuners[key] = tuner
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

    @property
    def gradient_size(self):
        return len(vector_of(self.gradients[0]))

    def explain_threads(self):
        """Lines that say what was found out about the number of threads, one for each batch size."""
        return [f"batches of {batch}: {tuner.explain()}" for (batch, *_), tuner in self.tuners.items()]

    cdef run(self, Call call, ptrdiff_t first, ptrdiff_t last, int team_size, bint by_panels):
        call.tiles = self.tiles
        outcome = call.run(first, last, team_size, by_panels)
        self.tiles = call.tiles
        return outcome

    cdef int team_size(self, ptrdiff_t batch, bint train, int threads) except -1:
        """n for n > 0, chosen for 0, chosen from 1 to n for -n."""
        if self.parameters.net.custom:
            return 1
        if threads > 0:
            return min(threads, <int> MAX_THREADS)
        return threads_for(&self.parameters.net, batch, train, -threads or max_threads())

    def predict(self, X, out, int threads=0, bint check=False):
        return self.predictor.over(Inputs(self.parameters, X, None, None, None), out, None, threads, check)

    def predict_small(self, X):
        return self.predictor.small(X)

    def evaluate(self, X, y, out, double[::1] row_loss not None, int threads=0):
        cdef bint custom = self.parameters.net.loss == NULL
        if not self.predictor.over(Inputs(self.parameters, X, y, None, None), out, row_loss, threads, False):
            raise RuntimeError("the network is being trained")
        if custom and len(out):
            losses, _ = self.parameters.spec.loss.of(out.copy(), np.array(y, out.dtype))
            np.asarray(row_loss)[:] = losses

    def gradient(self, X, y, weight, int threads=0, out=None):
        cdef Inputs inputs = Inputs(self.parameters, X, y, weight, None)
        cdef Parameters gradients = Parameters(self.parameters.spec, self.isa, False)
        cdef double[::1] losses = np.zeros(1)
        cdef Call call
        if inputs.rows == 0:
            raise ValueError("X has no rows; a mean loss needs at least one")
        call = Call(self.parameters, self.gate, inputs, inputs.rows, False)
        call.keep_sums_in([])    # not in self.gradients, with which a training may be at work that a handler interrupts
        call.buffers = []
        call.store_gradient_in(gradients)
        call.plan.part = min(call.plan.part, rows_at_once(&self.parameters.net))
        call.steps.out.losses = &losses[0]
        team_size = min(self.team_size(inputs.rows, True, threads), most_threads(&call.plan))
        by_panels = share_by_panels(&self.parameters.net, call.plan.part, team_size)
        outcome = self.run(call, 0, 1, team_size, by_panels)
        if outcome.exception is not None:
            raise outcome.exception
        self.gradients_left = gradients
        if out is not None:
            out.update(gradients.read())
        return losses[0] if outcome.status == "done" else float("nan")

    def trace(self, X, y, int threads=0, by_outputs=None):
        if by_outputs is not None:
            shape = (len(X), self.parameters.net.layers[self.parameters.net.n_layers - 1].n_out)
            if by_outputs.shape != shape or by_outputs.dtype != self.parameters.spec.dtype:
                raise ValueError(f"by_outputs is {by_outputs.dtype} {by_outputs.shape}; it must be of the network's "
                                 f"dtype and of shape {shape}")
            by_outputs = np.ascontiguousarray(by_outputs)
        return trace_rows(self.parameters, Inputs(self.parameters, X, y, None, None), by_outputs)

    def forward(self, X, out, int threads=0, seed=None):
        cdef Tape tape = Tape(self.parameters, self.gate, self.tape_buffers)
        tape.forward(X, out, self.team_size(len(X), False, threads), seed)
        return tape

    def backward(self, Tape tape not None, by_outputs, gradient=None, by_inputs=None, int threads=0,
                 bint transposed=False):
        if tape.parameters is not self.parameters:
            raise ValueError("the tape is of another engine")
        tape.backward(by_outputs, gradient, by_inputs, self.team_size(tape.rows, True, threads), transposed)

    def apply(self, tensors, table, groups=(), clip_norm=None, clip_value=None, int threads=0):
        if self.whole_gradient is None:
            self.whole_gradient = Parameters(self.parameters.spec, self.isa, False)
        self.gate.refuse_inside("apply_gradients")
        self.whole_gradient.write(tensors)
        directions = self.directions_kept() if self.parameters.net.whole_matrices else None
        apply_gradient(self.parameters, self.gate, self.whole_gradient, directions, table, groups, clip_norm,
                       clip_value, self.team_size(1, True, threads))

    def over_tensors(self, table):
        return TensorPasses(self.parameters, self.predictor, self.tape_buffers, table)
