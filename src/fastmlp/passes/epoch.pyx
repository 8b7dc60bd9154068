"""The engine: runs of training steps, gradients and traces, each in one parallel region; see predict.pyx for the rest.

Mirror: reference/epoch.py.
"""
# A training step has two phases: rows (gather, forward, loss, backward, a block of rows at a time) and squares
# (gradient and update, a square of weights at a time). When rows are too few to share, the first is split by column
# panels instead, a phase for each layer; when they are too many for the caches, the batch goes through both phases in
# parts. The sums are the same in all three.
import numpy as np

from fastmlp.passes.backward cimport backward_layer, backward_rows, loss_rows
from fastmlp.passes.forward cimport (
    elementwise,
    finish_outputs,
    forward_layer,
    forward_rows,
    load_inputs,
    load_targets,
)
from fastmlp.passes.inputs cimport Inputs
from fastmlp.passes.kernels cimport FM_ACTIVATION_identity, optimizer_n_scalars
from fastmlp.passes.plan cimport (
    MAX_MICROBATCHES,
    NO_OPTIMIZER,
    TRAIN,
    Buffers,
    Examples,
    Layer,
    Network,
    Parameters,
    Tuner,
    Workspace,
    microbatch_rows,
    multiply_adds,
    panel_group,
    part_rows,
    row_block,
    share_by_panels,
    threads_for,
    ways_to_share,
)
from fastmlp.passes.predict cimport Predictor
from fastmlp.passes.threads cimport (
    MAX_THREADS,
    Place,
    Team,
    fm_allocate,
    fm_counter_load,
    fm_counter_store,
    fm_free,
    Watch,
    fm_nanoseconds,
    look_for_signals,
    phase_begin,
    phase_end,
    phase_next,
    team_free,
    team_new,
    team_run,
    watch_for_signals,
)
from fastmlp.passes.update cimport (
    gradient_item,
    gradient_summed,
    items_by_panel,
    scratch_bytes,
    update_item,
    update_items,
    update_summed,
)
from libc.stdint cimport int32_t, int64_t

from fastmlp.passes.kernels import permute_into
from fastmlp.passes.threads import max_threads
from fastmlp.spec import STAGES as _STAGES
from fastmlp.spec import Run

# Stages of a step, for a profile; STAGES in fastmlp/spec.py has their names.
cdef enum:
    GATHER
    FORWARD
    LOSS
    BACKWARD
    UPDATE
    WAIT
    N_STAGES

cdef enum:
    CHUNK_BYTES = 64 * 1024 * 1024    # buffers of a pass over any number of rows

# Multiply-adds between two looks for signals: well under a millisecond.
cdef double WATCH_MULTIPLY_ADDS = 5e6


def permutation(seed, epoch, n, into=None):
    order = np.empty(n, np.int64) if into is None else into
    permute_into(seed, epoch, order)
    return order


# Everything the threads of one run share.
cdef struct Steps:
    Team *team
    Network *net
    Workspace *ws
    Examples *examples
    ptrdiff_t rows              # in the order
    ptrdiff_t batch_size
    ptrdiff_t first             # steps [first, last) are to be done
    ptrdiff_t last
    ptrdiff_t microbatch        # rows whose gradient one thread sums up alone; 0 where batches are not cut so
    ptrdiff_t part              # rows of a batch or microbatch that go through both phases together
    ptrdiff_t block             # rows of an item of the rows phase
    bint by_panels
    const int32_t *items        # of the squares phase, in the order of their panels; NULL: as they are
    const double *weight_sums   # per step
    double *losses              # per step: weighted mean before the update
    double *penalties           # per step: sum of the squared weights before the update; NULL when not wanted
    double *layer_squares       # that sum's parts, per layer
    const double *scalars       # per step, n_scalars of them
    int n_scalars
    bint apply                  # the gradients, to the parameters
    Network *gradients          # where they are summed over the parts of a batch; NULL for batches of one part
    Workspace *workspaces[MAX_THREADS]      # for microbatches: one of each thread's own
    Network *sums[MAX_MICROBATCHES]         # their gradients,
    ptrdiff_t n_sums                        # of a whole batch
    double sums_of_losses[MAX_MICROBATCHES]
    char *scratch               # per thread
    ptrdiff_t scratch_stride
    ptrdiff_t *finished         # per thread: steps behind it
    int64_t *times              # per thread and stage: nanoseconds; NULL without a profile
    Watch watch
    ptrdiff_t watch_steps       # steps between two looks for signals
    bint watch_blocks           # a block of rows takes long enough for a look after each


# Rows of one step's batch.
cdef struct Part:
    ptrdiff_t step
    ptrdiff_t start             # in the order
    ptrdiff_t rows
    bint first
    bint last


cdef void run_steps(void *context, int thread) noexcept nogil:
    cdef Steps *run = <Steps *> context
    cdef Place place
    cdef Part part
    cdef ptrdiff_t step, batch, done
    place.thread, place.phase, place.target = thread, 0, 0
    for step in range(run.first, run.last):
        run.finished[thread] = step
        if thread == 0 and step % run.watch_steps == 0:
            look_for_signals(run.team, &run.watch)
        if fm_counter_load(run.team.stop):
            return
        batch = min(run.batch_size, run.rows - step * run.batch_size)
        if run.microbatch > 0:
            part.step, part.start, part.rows = step, step * run.batch_size, batch
            part.first = part.last = True
            microbatches_phase(run, &place, &part)
            if fm_counter_load(run.team.failed) or (run.watch_blocks and fm_counter_load(run.team.stop)):
                return
            sums_phase(run, &place, &part)
            continue
        done = 0
        while done < batch:
            part.step, part.start, part.rows = step, step * run.batch_size + done, min(run.part, batch - done)
            part.first, part.last = done == 0, done + part.rows == batch
            if run.by_panels:
                panels_phases(run, &place, &part)
            else:
                rows_phase(run, &place, &part)
            # Nothing of this batch has been applied yet. If another thread goes on, it finishes the step alone.
            if fm_counter_load(run.team.failed) or (run.watch_blocks and fm_counter_load(run.team.stop)):
                return
            squares_phase(run, &place, &part)
            done += part.rows
    run.finished[thread] = run.last


cdef inline int64_t lap(Steps *run, int thread, int stage, int64_t since) noexcept nogil:
    """Book the time since then under a stage, where a profile is wanted."""
    cdef int64_t now
    if run.times == NULL:
        return 0
    now = fm_nanoseconds()
    run.times[thread * N_STAGES + stage] += now - since
    return now


cdef void rows_phase(Steps *run, Place *place, Part *part) noexcept nogil:
    """Gather, forward, loss, backward: each item a block of rows that passes through all of them."""
    cdef ptrdiff_t item, row
    cdef int64_t since = 0 if run.times == NULL else fm_nanoseconds()
    cdef ptrdiff_t blocks = (part.rows + run.block - 1) // run.block
    phase_begin(run.team, place, blocks + penalty_items(run, part))
    while True:
        item = phase_next(run.team, place)
        if item < 0:
            break
        if item >= blocks:
            square_layer(run, <int> (item - blocks))
            continue
        row = item * run.block
        since = block_of_rows(run, run.ws, place.thread, part, row, min(run.block, part.rows - row), since)
    phase_end(run.team, place)
    lap(run, place.thread, WAIT, since)


cdef inline int64_t block_of_rows(Steps *run, Workspace *ws, int thread, Part *part, ptrdiff_t row, ptrdiff_t rows,
                                  int64_t since) noexcept nogil:
    cdef bint finite
    if run.watch_blocks and thread == 0:
        look_for_signals(run.team, &run.watch)
    load_inputs(run.net, ws, run.examples, part.start, row, rows)
    load_targets(run.net, ws, run.examples, part.start, row, rows, run.weight_sums[part.step])
    since = lap(run, thread, GATHER, since)
    forward_rows(run.net, ws, run.net.fused, row, rows)
    since = lap(run, thread, FORWARD, since)
    finite = loss_rows(run.net, ws, row, rows)
    since = lap(run, thread, LOSS, since)
    if finite:
        backward_rows(run.net, ws, row, rows)
    else:
        fm_counter_store(run.team.failed, 1)
    return lap(run, thread, BACKWARD, since)


cdef void microbatches_phase(Steps *run, Place *place, Part *batch) noexcept nogil:
    """Both phases of a batch that is cut: each item a microbatch, whose gradient is summed on its own. Outputs and
    deltas never leave the cache of the core that made them; what travels is the gradients."""
    cdef ptrdiff_t item, count = microbatches_of(run, batch)
    cdef int64_t since
    phase_begin(run.team, place, count + penalty_items(run, batch))
    while True:
        item = phase_next(run.team, place)
        if item < 0:
            break
        if item >= count:
            square_layer(run, <int> (item - count))
        elif not fm_counter_load(run.team.failed):
            microbatch(run, place.thread, batch, item)
    since = 0 if run.times == NULL else fm_nanoseconds()
    phase_end(run.team, place)
    lap(run, place.thread, WAIT, since)


cdef ptrdiff_t most_threads(Steps *run) noexcept:
    """That can have a part in a step."""
    return run.n_sums if run.microbatch else <ptrdiff_t> MAX_THREADS


cdef inline ptrdiff_t microbatches_of(Steps *run, Part *batch) noexcept nogil:
    return (batch.rows + run.microbatch - 1) // run.microbatch


cdef void microbatch(Steps *run, int thread, Part *batch, ptrdiff_t number) noexcept nogil:
    cdef Workspace *ws = run.workspaces[thread]
    cdef int64_t since = 0 if run.times == NULL else fm_nanoseconds()
    cdef ptrdiff_t done = number * run.microbatch, last = min(done + run.microbatch, batch.rows), row, item
    cdef Part part = batch[0]
    part.first = True
    run.sums_of_losses[number] = 0
    while done < last:
        part.start, part.rows = batch.start + done, min(run.part, last - done)
        row = 0
        while row < part.rows:
            since = block_of_rows(run, ws, thread, &part, row, min(run.block, part.rows - row), since)
            row += run.block
            if fm_counter_load(run.team.failed) or (run.watch_blocks and fm_counter_load(run.team.stop)):
                return
        for item in range(update_items(run.net)):
            gradient_item(run.net, ws, part.rows, item, not part.first, run.sums[number])
        run.sums_of_losses[number] = add_row_losses(run, ws, &part, run.sums_of_losses[number])
        since = lap(run, thread, UPDATE, since)
        part.first = False
        done += part.rows


cdef void sums_phase(Steps *run, Place *place, Part *batch) noexcept nogil:
    """The gradients of the microbatches are added up, a square at a time, and applied."""
    cdef ptrdiff_t item, number, count = microbatches_of(run, batch)
    cdef int64_t since = 0 if run.times == NULL else fm_nanoseconds()
    phase_begin(run.team, place, 1 + update_items(run.net))
    while True:
        item = phase_next(run.team, place)
        if item < 0:
            break
        if item == 0:
            run.losses[batch.step] = 0
            for number in range(count):
                run.losses[batch.step] += run.sums_of_losses[number]
            finish_loss(run, batch)
        elif run.apply:
            update_summed(run.net, run.sums, count, item - 1, run.scalars + batch.step * run.n_scalars, run.n_scalars,
                          run.scratch + place.thread * run.scratch_stride)
        else:
            gradient_summed(run.net, run.sums, count, item - 1, run.gradients)
    since = lap(run, place.thread, UPDATE, since)
    phase_end(run.team, place)
    lap(run, place.thread, WAIT, since)


cdef inline ptrdiff_t penalty_items(Steps *run, Part *part) noexcept nogil:
    return run.net.n_layers if run.penalties != NULL and part.first else 0


cdef void square_layer(Steps *run, int l) noexcept nogil:
    cdef Layer *layer = &run.net.layers[l]
    # Never the matrix that is updated: which one that is depends on the ISA.
    if layer.dots:
        run.layer_squares[l] = run.net.kernels.sum_squares(layer.n_out, layer.n_in, layer.weight_t,
                                                           layer.n_out * run.net.panel)
    else:
        run.layer_squares[l] = run.net.kernels.sum_squares(layer.n_in, layer.n_out, layer.weight,
                                                           layer.n_in * run.net.panel)


cdef void panels_phases(Steps *run, Place *place, Part *part) noexcept nogil:
    """The same split by column panels: a phase for each layer, each item a few of its panels for all rows. A thread
    works on the weights that it has updated itself; what travels between the threads is outputs and deltas. A last
    layer of fewer panels than threads goes with the loss, which is split by rows."""
    cdef Network *net = run.net
    cdef ptrdiff_t item, group
    cdef int64_t since = 0 if run.times == NULL else fm_nanoseconds()
    cdef int l, layers = net.n_layers - (1 if narrow_end(run) else 0)
    load_phase(run, place, part)
    since = lap(run, place.thread, GATHER, since)
    for l in range(layers):
        group = panel_group(net.layers[l].out_panels, run.team.n)
        phase_begin(run.team, place, (net.layers[l].out_panels + group - 1) // group)
        while True:
            item = phase_next(run.team, place)
            if item < 0:
                break
            if run.watch_blocks and place.thread == 0:
                look_for_signals(run.team, &run.watch)
            forward_layer(net, run.ws, l, elementwise(net, l, net.fused), 0, part.rows, item * group,
                          min(group, net.layers[l].out_panels - item * group), run.ws.a[l + 1])
        since = lap(run, place.thread, FORWARD, since)
        phase_end(run.team, place)
        since = lap(run, place.thread, WAIT, since)
    loss_phase(run, place, part)
    since = lap(run, place.thread, LOSS, since)
    if fm_counter_load(run.team.failed):
        return
    for l in range(layers - 1, 0, -1):
        group = panel_group(net.layers[l].in_panels, run.team.n)
        phase_begin(run.team, place, (net.layers[l].in_panels + group - 1) // group)
        while True:
            item = phase_next(run.team, place)
            if item < 0:
                break
            backward_layer(net, run.ws, l, 0, part.rows, item * group,
                           min(group, net.layers[l].in_panels - item * group))
        since = lap(run, place.thread, BACKWARD, since)
        phase_end(run.team, place)
        since = lap(run, place.thread, WAIT, since)


cdef inline bint narrow_end(Steps *run) noexcept nogil:
    return run.net.layers[run.net.n_layers - 1].out_panels < run.team.n


cdef void load_phase(Steps *run, Place *place, Part *part) noexcept nogil:
    """Inputs and targets of a part, a block of rows at a time, and the penalty."""
    cdef ptrdiff_t item, row, rows
    cdef ptrdiff_t blocks = (part.rows + run.block - 1) // run.block
    phase_begin(run.team, place, blocks + penalty_items(run, part))
    while True:
        item = phase_next(run.team, place)
        if item < 0:
            break
        if item >= blocks:
            square_layer(run, <int> (item - blocks))
            continue
        row = item * run.block
        rows = min(run.block, part.rows - row)
        load_inputs(run.net, run.ws, run.examples, part.start, row, rows)
        load_targets(run.net, run.ws, run.examples, part.start, row, rows, run.weight_sums[part.step])
    phase_end(run.team, place)


cdef void loss_phase(Steps *run, Place *place, Part *part) noexcept nogil:
    """Outputs, losses and output deltas of a part, a block of rows at a time: they need whole rows."""
    cdef ptrdiff_t item, row, rows
    cdef bint with_layer = narrow_end(run)
    cdef int last = run.net.n_layers - 1
    phase_begin(run.team, place, (part.rows + run.block - 1) // run.block)
    while True:
        item = phase_next(run.team, place)
        if item < 0:
            break
        row = item * run.block
        rows = min(run.block, part.rows - row)
        if with_layer:
            forward_layer(run.net, run.ws, last, elementwise(run.net, last, run.net.fused), row, rows, 0,
                          run.net.layers[last].out_panels, run.ws.a[last + 1])
        finish_outputs(run.net, run.ws, run.net.fused, row, rows)
        if not loss_rows(run.net, run.ws, row, rows):
            fm_counter_store(run.team.failed, 1)
        elif with_layer and last > 0:
            backward_layer(run.net, run.ws, last, row, rows, 0, run.net.layers[last].in_panels)
    phase_end(run.team, place)


cdef void squares_phase(Steps *run, Place *place, Part *part) noexcept nogil:
    """Item 0 sums the part's loss, while its rows' losses are still there; the others are squares of weights."""
    cdef Network *before = NULL if part.first else run.gradients
    cdef ptrdiff_t item, square
    cdef int64_t since = 0 if run.times == NULL else fm_nanoseconds()
    phase_begin(run.team, place, 1 + update_items(run.net))
    while True:
        item = phase_next(run.team, place)
        if item < 0:
            break
        square = item - 1 if item == 0 or run.items == NULL else run.items[item - 1]
        if item == 0:
            add_loss(run, part)
        elif part.last and run.apply:
            update_item(run.net, run.ws, part.rows, square, before, run.scalars + part.step * run.n_scalars,
                        run.n_scalars, run.team.n > 1, run.scratch + place.thread * run.scratch_stride)
        else:
            gradient_item(run.net, run.ws, part.rows, square, not part.first, run.gradients)
    since = lap(run, place.thread, UPDATE, since)
    phase_end(run.team, place)
    lap(run, place.thread, WAIT, since)


cdef void add_loss(Steps *run, Part *part) noexcept nogil:
    """sum w l / sum w of a step's batch, added up in row order; the penalty, in layer order."""
    run.losses[part.step] = add_row_losses(run, run.ws, part, 0 if part.first else run.losses[part.step])
    finish_loss(run, part)


cdef double add_row_losses(Steps *run, Workspace *ws, Part *part, double total) noexcept nogil:
    """total + sum w l."""
    cdef Examples *examples = run.examples
    cdef ptrdiff_t r, number
    for r in range(part.rows):
        if examples.weight == NULL:
            total += ws.row_loss[r]
        else:
            number = part.start + r
            if examples.order != NULL:
                number = <ptrdiff_t> examples.order[number]
            total += examples.weight[number] * ws.row_loss[r]
    return total


cdef void finish_loss(Steps *run, Part *part) noexcept nogil:
    cdef double penalty = 0, weights = run.weight_sums[part.step]
    cdef int l
    if part.last:
        run.losses[part.step] = run.losses[part.step] / weights if weights != 0 else 0.0
    if run.penalties != NULL and part.first:
        for l in range(run.net.n_layers):
            penalty += run.layer_squares[l]
        run.penalties[part.step] = penalty


cdef class Engine:
    """One network's parameters and the passes over them. Arrays are validated by the caller (see spec.py, data.py);
    what could read out of bounds is checked here once more. Predictions may run side by side; of all else one call at a
    time, for which the caller locks."""

    cdef Parameters parameters
    cdef list training               # Buffers of the last batch size, more than one for microbatches
    cdef list gradients              # Parameters that hold gradients, for batches in parts and microbatches
    cdef Predictor predictor
    cdef dict tuners                 # by batch size and largest number of threads
    cdef int32_t[::1] items          # of the squares phase, in the order of their panels
    cdef object profile              # what start_profile began: nanoseconds by stage, by the clock, of all threads

    def __init__(self, spec, isa=None):
        self.parameters = Parameters(spec, isa)
        self.predictor = Predictor(self.parameters)
        self.tuners = {}
        self.training = []
        self.gradients = []

    @property
    def isa(self):
        return self.parameters.isa

    def get_parameters(self):
        return self.parameters.read()

    def set_parameters(self, weights, biases):
        self.predictor.close()
        try:
            self.parameters.write(weights, biases)
        finally:
            self.predictor.open()

    def clip_losses(self, clip):
        self.parameters.clip_losses(clip)

    def use_optimizer(self, name):
        self.parameters.use_optimizer(name)

    def get_state(self):
        return [self.parameters.read(slot) for slot in range(self.parameters.n_states)]

    def set_state(self, state):
        if len(state) != self.parameters.n_states:
            raise ValueError(f"state has {len(state)} slots; this optimizer has {self.parameters.n_states}")
        for slot, (weights, biases) in enumerate(state):
            self.parameters.write(weights, biases, slot)

    def copy(self, into=None, int threads=1):
        return self.parameters.copy(into, threads)

    def restore(self, copy):
        self.predictor.close()
        try:
            self.parameters.restore(copy)
        finally:
            self.predictor.open()

    def is_finite(self, int threads=1):
        return self.parameters.is_finite(threads)

    def start_profile(self):
        self.profile = np.zeros(N_STAGES + 2, np.int64)

    def stop_profile(self):
        profile, self.profile = self.profile, None
        seconds = (profile * 1e-9).tolist()
        return dict(zip(_STAGES, seconds[:N_STAGES], strict=True)), seconds[N_STAGES], seconds[N_STAGES + 1]

    def train(self, X, y, const int64_t[::1] order not None, Py_ssize_t batch_size,
              const double[:, ::1] scalars not None, sample_weight, double[::1] losses not None, int threads=0,
              double[::1] penalties=None):
        cdef Network *net = &self.parameters.net
        cdef Inputs inputs = Inputs(self.parameters, X, y, sample_weight, order)
        cdef Steps run
        cdef ptrdiff_t steps = (order.shape[0] + batch_size - 1) // batch_size if batch_size > 0 else -1
        if penalties is not None and penalties.shape[0] != steps:
            raise ValueError(f"penalties has {penalties.shape[0]} places; there are {steps} steps")
        if not steps == scalars.shape[0] == losses.shape[0] or net.optimizer == NO_OPTIMIZER:
            raise ValueError(f"{order.shape[0]} rows in batches of {batch_size} do not make {scalars.shape[0]} steps, "
                             "or there is no optimizer")
        if scalars.shape[1] != optimizer_n_scalars(net.optimizer):
            raise ValueError(f"scalars has {scalars.shape[1]} columns; this optimizer has "
                             f"{optimizer_n_scalars(net.optimizer)}")
        if steps == 0:
            return Run(0, "done", None)
        batch = min(batch_size, order.shape[0])
        run.net, run.apply = net, True
        self.cut(&run, batch)
        if self.training and (<Buffers> self.training[0]).ws.capacity != run.part:
            self.training = []
        run.rows, run.batch_size = order.shape[0], batch_size
        run.scalars, run.n_scalars = &scalars[0, 0], <int> scalars.shape[1]
        run.losses = &losses[0]
        run.penalties = NULL if penalties is None else &penalties[0]
        weight_sums = inputs.weight_sums(batch_size)
        most = min(-threads or max_threads(), most_threads(&run))
        if threads > 0 or most == 1 or steps == 1:
            team_size = self.team_size(batch if run.microbatch else run.part, True, threads)
            team_size = min(team_size, most_threads(&run))
            by_panels = share_by_panels(net, run.part, team_size)
            return self.run(&run, inputs, weight_sums, 0, steps, team_size, by_panels, self.training)
        return self.run_tuned(&run, inputs, weight_sums, steps, most)

    cdef cut(self, Steps *run, ptrdiff_t batch):
        """How a batch goes through the network, and where the sums of its gradients are kept meanwhile."""
        cdef ptrdiff_t number
        run.microbatch = microbatch_rows(run.net, batch)
        run.part = part_rows(run.net, run.microbatch or batch, run.microbatch > 0)
        run.n_sums = (batch + run.microbatch - 1) // run.microbatch if run.microbatch else run.part < batch
        while len(self.gradients) < run.n_sums:
            self.gradients.append(Parameters(self.parameters.spec, self.isa))
        for number in range(run.n_sums):
            run.sums[number] = &(<Parameters> self.gradients[number]).net
        run.gradients = run.sums[0] if run.n_sums else NULL

    cdef run_tuned(self, Steps *run, Inputs inputs, double[::1] weight_sums, ptrdiff_t steps, int most):
        """A run in pieces, so that the number of threads is found, and found again, by trying."""
        cdef ptrdiff_t done = 0, count
        tuner = self.tuners.get((run.batch_size, most))
        if tuner is None:
            tuner = Tuner(ways_to_share(run.net, run.batch_size if run.microbatch else run.part, most))
            self.tuners[run.batch_size, most] = tuner
        while True:
            way, seconds = tuner.next()
            per_step = tuner.step_seconds(way) or 2e-9 + multiply_adds(run.net, run.batch_size, True) * 2e-11
            count = <ptrdiff_t> min(1 + seconds / per_step, <double> (steps - done))
            start = fm_nanoseconds()
            outcome = self.run(run, inputs, weight_sums, done, done + count, way[0], way[1], self.training)
            tuner.report(way, count, (fm_nanoseconds() - start) * 1e-9)
            done += count
            if outcome.status != "done" or done == steps:
                return outcome

    def explain_threads(self):
        """What was found out about the number of threads, a line for each batch size."""
        return [f"batches of {batch}: {tuner.explain()}" for (batch, _), tuner in self.tuners.items()]

    cdef run(self, Steps *run, Inputs inputs, double[::1] weight_sums, ptrdiff_t first, ptrdiff_t last, int team_size,
             bint by_panels, list buffers):
        """Fill in the rest of a run, do steps [first, last), and say how many of all have been done. More buffers are
        made where they are too few."""
        cdef Network *net = &self.parameters.net
        cdef ptrdiff_t[::1] finished = np.zeros(team_size, np.intp)
        cdef double[::1] layer_squares = np.zeros(net.n_layers)
        cdef int64_t[:, ::1] times
        cdef int64_t began
        cdef list caught = []
        run.times = NULL
        if self.profile is not None and run.apply:
            times = np.zeros((team_size, N_STAGES), np.int64)
            run.times = &times[0, 0]
        run.first, run.last = first, last
        while len(buffers) < (team_size if run.microbatch else 1):
            buffers.append(Buffers(self.parameters, run.part, TRAIN))
        for thread, space in enumerate(buffers):
            run.workspaces[thread] = &(<Buffers> space).ws
            run.workspaces[thread].has_labels = inputs.examples.labels
        run.ws = run.workspaces[0]
        run.examples, run.weight_sums = &inputs.examples, &weight_sums[0]
        run.block = row_block(net, run.part, 1 if run.microbatch else team_size, True)
        run.by_panels = by_panels and team_size > 1
        if run.by_panels and self.items is None:
            self.items = items_by_panel(net)
        run.items = &self.items[0] if run.by_panels else NULL
        run.scratch_stride = (scratch_bytes(net) + 127) // 128 * 128
        run.finished = &finished[0]
        run.layer_squares = &layer_squares[0]
        run.watch = watch_for_signals(caught)
        run.watch_steps = 1 + <ptrdiff_t> (WATCH_MULTIPLY_ADDS / multiply_adds(net, run.part, True))
        run.watch_blocks = multiply_adds(net, run.block, True) > WATCH_MULTIPLY_ADDS
        run.scratch = <char *> fm_allocate(team_size * run.scratch_stride)
        if run.scratch == NULL:
            raise MemoryError("no memory for the threads' scratch squares")
        self.predictor.close()
        try:
            run.team = team_new(team_size)
            began = fm_nanoseconds()
            with nogil:
                team_run(run.team, run_steps, run)
            if run.times != NULL:
                began = fm_nanoseconds() - began
                self.profile[:N_STAGES] += np.asarray(times).sum(axis=0)
                self.profile[N_STAGES:] += began, team_size * began
            failed = fm_counter_load(run.team.failed)
            team_free(run.team)
        finally:
            self.predictor.open()
            fm_free(run.scratch)
        steps = max(finished)
        exception = caught[0] if caught else None
        if failed:
            return Run(steps, "non_finite", exception)
        return Run(steps, "done" if exception is None else "interrupted", exception)

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

    def loss_and_grad(self, X, y, sample_weight, int threads=0):
        cdef Network *net = &self.parameters.net
        cdef Inputs inputs = Inputs(self.parameters, X, y, sample_weight, None)
        cdef Parameters gradients = Parameters(self.parameters.spec, self.isa)
        cdef ptrdiff_t rows = inputs.examples.x.rows
        cdef double[::1] losses = np.zeros(1)
        cdef Steps run
        if rows == 0:
            raise ValueError("X has no rows; a mean loss needs at least one")
        run.net, run.apply = net, False
        self.cut(&run, rows)
        run.part, run.gradients = min(run.part, self.chunk_rows()), &gradients.net
        run.rows, run.batch_size = rows, rows
        run.scalars, run.n_scalars, run.losses, run.penalties = NULL, 0, &losses[0], NULL
        team_size = min(self.team_size(rows, True, threads), most_threads(&run))
        by_panels = share_by_panels(net, run.part, team_size)
        outcome = self.run(&run, inputs, inputs.weight_sums(rows), 0, 1, team_size, by_panels, [])
        if outcome.exception is not None:
            raise outcome.exception
        weights, biases = gradients.read()
        return losses[0] if outcome.status == "done" else float("nan"), weights, biases

    cdef ptrdiff_t chunk_rows(self):
        widths = sum(layer.n_in + 2 * layer.n_out for layer in self.parameters.spec.layers)
        return max(<ptrdiff_t> 64, <ptrdiff_t> (CHUNK_BYTES // (widths * self.parameters.net.item)))

    def trace(self, X, y, int threads=0):
        cdef Network *net = &self.parameters.net
        cdef Inputs inputs = Inputs(self.parameters, X, y, None, None)
        cdef ptrdiff_t total = inputs.examples.x.rows
        cdef ptrdiff_t chunk = max(<ptrdiff_t> 1, min(total, self.chunk_rows())), start, rows
        cdef Buffers buffers = Buffers(self.parameters, chunk, TRAIN)
        cdef Workspace *ws = &buffers.ws
        cdef int l, last = net.n_layers - 1
        signals, outputs, sensitivities = self.empty_layers(total), self.empty_layers(total), self.empty_layers(total)
        ws.has_labels = inputs.examples.labels
        for start in range(0, total, chunk):
            rows = min(chunk, total - start)
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
