"""Training steps, as every thread of a team goes through them, phase by phase; epoch.pyx opens the region around them.

Mirror: Engine.train in reference/epoch.py.
"""
# A step has two phases: rows (gather, forward, loss, backward, a block of rows at a time) and squares (gradient and
# update, a square of weights at a time). When rows are too few to share, the first is split by column panels instead, a
# phase for each layer; when they are too many for the caches, the batch goes through both phases in parts. The sums are
# the same in all three. Large batches of small networks are cut into microbatches, whose gradients are summed apart and
# then added.
from fastmlp.passes.backward cimport backward_layer, backward_rows, loss_rows
from fastmlp.passes.forward cimport (
    elementwise,
    finish_outputs,
    forward_layer,
    forward_rows,
    load_inputs,
    load_targets,
)
from fastmlp.passes.plan cimport Layer, panel_group
from fastmlp.passes.threads cimport (
    Place,
    fm_counter_load,
    fm_counter_store,
    fm_nanoseconds,
    look_for_signals,
    phase_begin,
    phase_end,
    phase_next,
)
from fastmlp.passes.update cimport gradient_item, gradient_summed, update_item, update_items, update_summed


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
    cdef ptrdiff_t step
    place.thread, place.phase, place.target = thread, 0, 0
    for step in range(run.first, run.last):
        run.finished[thread] = step
        if thread == 0 and step % run.watch_steps == 0:
            look_for_signals(run.team, &run.watch)
        if fm_counter_load(run.team.stop):
            return
        if not (step_by_microbatches(run, &place, step) if run.microbatch > 0 else step_by_parts(run, &place, step)):
            return
    run.finished[thread] = run.last


cdef inline bint goes_on(Steps *run) noexcept nogil:
    """Asked where nothing of a batch has been applied yet. If another thread goes on, it finishes the step alone."""
    return not (fm_counter_load(run.team.failed) or (run.watch_blocks and fm_counter_load(run.team.stop)))


cdef inline bint step_by_parts(Steps *run, Place *place, ptrdiff_t step) noexcept nogil:
    """False if it was given up."""
    cdef ptrdiff_t batch = min(run.batch_size, run.rows - step * run.batch_size), done = 0
    cdef Part part
    while done < batch:
        part.step, part.start, part.rows = step, step * run.batch_size + done, min(run.part, batch - done)
        part.first, part.last = done == 0, done + part.rows == batch
        if run.by_panels:
            panels_phases(run, place, &part)
        else:
            rows_phase(run, place, &part)
        if not goes_on(run):
            return False
        squares_phase(run, place, &part)
        done += part.rows
    return True


cdef bint step_by_microbatches(Steps *run, Place *place, ptrdiff_t step) noexcept nogil:
    """False if it was given up."""
    cdef Part batch
    batch.step, batch.start = step, step * run.batch_size
    batch.rows = min(run.batch_size, run.rows - batch.start)
    batch.first = batch.last = True
    microbatches_phase(run, place, &batch)
    if not goes_on(run):
        return False
    sums_phase(run, place, &batch)
    return True


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
            if not goes_on(run):
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
