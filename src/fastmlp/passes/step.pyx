"""Training steps, as every thread of a team goes through them, phase by phase; engine.pyx opens the region around them.

Mirror: reference/step.py.
"""
# A step has two phases: rows (gather, forward, loss, backward, a block of rows at a time) and tiles (gradient and
# update, a tile of weights at a time). When rows are too few to share, the first is split by column panels instead, a
# phase for each layer; when they are too many for the caches, the batch goes through both phases in parts. The sums are
# the same in all three. Large batches of small networks are cut into microbatches, whose gradients are summed apart and
# then added.
#
# Signal handlers run where everybody is at rest and the parameters are those after a whole step. Short steps: the
# calling thread looks at the clock now and then, and has the region end after a step. Long ones: there are rests at
# the beginning of a step and between two waves of its rows, phases that only the calling thread can do. Where rests
# are, it may leave the region at no other place, or others would wait for it in vain.
from fastmlp.passes.backward cimport backward_rows
from fastmlp.passes.bound cimport bound_phase
from fastmlp.passes.by_panels cimport panels_backward, panels_forward
from fastmlp.passes.clip cimport clip_factor, square_item
from fastmlp.passes.dropout cimport draw_numbers
from fastmlp.passes.forward cimport forward_rows
from fastmlp.passes.gradient cimport gradient_finished, gradient_item, gradient_summed
from fastmlp.passes.lazy cimport column_items, sort_by_column, update_columns
from fastmlp.passes.loss cimport add_row_losses, loss_rows
from fastmlp.passes.norm cimport follow_statistics
from fastmlp.passes.orthogonal cimport directions_phase, iterate, iterations, update_along
from fastmlp.passes.parameters cimport penalty_of, squared_weights_of
from fastmlp.passes.rows cimport load_inputs, load_targets
from fastmlp.passes.sparse cimport has_entries, sort_entries
from fastmlp.passes.steps cimport (
    BACKWARD,
    FORWARD,
    GATHER,
    LOSS,
    UPDATE,
    WAIT,
    Part,
    Steps,
    by_calling_thread,
    first_of_step,
    goes_on,
    lap,
    rest,
    rows_of_step,
    stop_at,
)
from fastmlp.passes.threads cimport (
    Place,
    fm_counter_load,
    fm_counter_store,
    fm_nanoseconds,
    phase_begin,
    phase_end,
    phase_next,
    time_to_look,
)
from fastmlp.passes.tiles cimport count_tiles, weight_tiles
from fastmlp.passes.update cimport Rule, average_phase, update_item, update_stored, update_summed
from fastmlp.passes.workspace cimport Workspace, round_inputs
from libc.stdint cimport int64_t


cdef void run_steps(void *context, int thread) noexcept nogil:
    cdef Steps *run = <Steps *> context
    cdef Place place
    cdef ptrdiff_t step
    place.thread, place.phase, place.target = thread, 0, 0
    for step in range(run.first, run.last):
        run.out.finished[thread] = step
        if run.plan.wave > 0:
            rest(run, &place, step)
        if fm_counter_load(run.team.stop):
            if step >= run.stop_at:
                return
        elif run.plan.wave == 0 and thread == 0 and step % run.plan.watch_steps == 0 and time_to_look(&run.watch):
            # Not this one: others may have begun it, and would have to finish it alone. Said once: where each step
            # takes longer than it is between two looks, another look would put the end off for ever.
            stop_at(run, step + 1)
        if not whole_step(run, &place, step):
            return
    run.out.finished[thread] = run.last


cdef inline bint whole_step(Steps *run, Place *place, ptrdiff_t step) noexcept nogil:
    """False if it was given up."""
    cdef int64_t since
    cdef Part part
    part.step, part.share = step, 0
    while part.share < run.shares:
        if not whole_share(run, place, &part):
            return False
        part.share += 1
    if run.exchange != NULL:
        if not by_calling_thread(run, place, run.exchange, &part):
            return False
        finish_phase(run, place)
    if run.at_gradient != NULL and not by_calling_thread(run, place, run.at_gradient, &part):
        return False
    if run.directions != NULL and not orthogonalise(run, place, step):
        return False
    if run.at_gradient != NULL or run.squares != NULL or run.directions != NULL or run.exchange != NULL:
        update_phase(run, place, step)
    if (run.plan.net.bounded or run.plan.lazy) and run.table != NULL:
        since = 0 if run.out.times == NULL else fm_nanoseconds()
        if run.plan.net.bounded:
            bound_phase(run.plan.net, run.team, place)
        if run.average != 0:
            average_phase(run.plan.net, run.team, place, run.average)
        lap(run, place.thread, UPDATE, since)
    return True


cdef inline bint whole_share(Steps *run, Place *place, Part *part) noexcept nogil:
    """Rows of a step through both phases: its batch, or a share of that. False if the step was given up."""
    cdef ptrdiff_t begin, batch, before = 0, done = 0
    if run.starts == NULL:
        begin, batch = first_of_step(run, part.step), rows_of_step(run, part.step)
    else:
        begin = run.starts[part.step * run.shares + part.share]
        batch = run.starts[part.step * run.shares + part.share + 1] - begin
        before = run.places[part.step * run.shares + part.share]
    part.microbatch = run.plan.microbatch if batch == run.plan.batch else run.plan.last_microbatch
    while True:
        part.start, part.place = begin + done, before + done
        part.rows = batch if part.microbatch > 0 else min(run.plan.part, batch - done)
        part.first, part.last = done == 0, done + part.rows == batch
        if not rows_of_part(run, place, part):
            return False
        tiles_phase(run, place, part)
        done += part.rows
        if done >= batch:  # at once where a share has no rows
            return True
        if run.plan.wave > 0 and done // run.plan.wave != (done - part.rows) // run.plan.wave:
            rest(run, place, part.step)
            if not goes_on(run):
                return False


cdef inline bint rows_of_part(Steps *run, Place *place, Part *part) noexcept nogil:
    """From the inputs of a part to the deltas of all layers. False if the step was given up."""
    if run.plan.by_panels and part.microbatch == 0 and part.rows > 0:
        rows_phase(run, place, part, 0, part.rows)  # which loads them
        panels_forward(run, place, part)
        if goes_on(run) and not run.plan.loss_apart:
            panels_backward(run, place, part)
    else:
        rows_phases(run, place, part)
    if not goes_on(run):
        return False
    if run.plan.loss_apart and part.rows > 0:
        if run.at_loss != NULL and not by_calling_thread(run, place, run.at_loss, part):
            return False
        if run.plan.by_panels:
            panels_backward(run, place, part)
            if not goes_on(run):
                return False
        else:
            backward_phase(run, place, part)
    if part.microbatch == 0 and has_entries(run.workspaces[0], 0):
        sort_phase(run, place, part.rows)
    return True


cdef inline void rows_phases(Steps *run, Place *place, Part *part) noexcept nogil:
    """Gather, forward, loss, backward: one phase, or in a long step a wave of rows after the other."""
    cdef ptrdiff_t rows = part.microbatch if part.microbatch > 0 else part.rows, done = 0
    cdef ptrdiff_t wave = run.plan.microbatch_wave if part.microbatch > 0 else run.plan.wave
    if run.plan.wave == 0:
        rows_phase(run, place, part, 0, rows)
        return
    while True:
        rows_phase(run, place, part, done, min(done + wave, rows))
        done += wave
        if done >= rows or not goes_on(run):
            return
        rest(run, place, part.step)
        if not goes_on(run):
            return


cdef void rows_phase(Steps *run, Place *place, Part *part, ptrdiff_t first, ptrdiff_t last) noexcept nogil:
    """Rows [first, last) of a part: each item is a block of them that passes through all layers and back. Or the same
    of each microbatch: an item is a microbatch."""
    cdef ptrdiff_t item, row
    cdef int64_t since = 0 if run.out.times == NULL else fm_nanoseconds()
    cdef ptrdiff_t items = ((part.rows + part.microbatch - 1) // part.microbatch if part.microbatch > 0
                            else (last - first + run.plan.block - 1) // run.plan.block)
    phase_begin(run.team, place, items + (norm_items(run, part) if first == 0 else 0))
    while True:
        item = phase_next(run.team, place)
        if item < 0:
            break
        if item >= items:
            sums_of_layer(run, <int> (item - items))
        elif part.microbatch > 0:
            row = item * part.microbatch
            since = microbatch(run, place.thread, part, item, row + first, min(row + last, part.rows), first == 0,
                               since)
        else:
            row = first + item * run.plan.block
            since = block_of_rows(run, run.workspaces[0], place.thread, part, row, min(run.plan.block, last - row),
                                  since)
    phase_end(run.team, place)
    lap(run, place.thread, WAIT, since)


cdef inline int64_t block_of_rows(Steps *run, Workspace *ws, int thread, Part *part, ptrdiff_t row, ptrdiff_t rows,
                                  int64_t since) noexcept nogil:
    """All that can be done with it: where layers are split by panels, it is only loaded."""
    cdef bint finite
    load_inputs(run.plan.net, ws, run.examples, part.start, row, rows)
    load_targets(run.plan.net, ws, run.examples, part.start, row, rows, run.weight_sums[part.step])
    if run.plan.net.random:
        draw_numbers(run.plan.net, ws, run.seed, run.before + part.step, part.place, row, rows)
    since = lap(run, thread, GATHER, since)
    if run.plan.by_panels and part.microbatch == 0:
        round_inputs(run.plan.net, ws, row, rows)
        return since
    forward_rows(run.plan.net, ws, run.plan.net.fused, row, rows)
    since = lap(run, thread, FORWARD, since)
    finite = ws.raised == NULL and loss_rows(run.plan.net, ws, row, rows)
    since = lap(run, thread, LOSS, since)
    if not finite:
        fm_counter_store(run.team.failed, 1)
    elif not run.plan.loss_apart:
        backward_rows(run.plan.net, ws, row, rows)
    return lap(run, thread, BACKWARD, since)


cdef void backward_phase(Steps *run, Place *place, Part *part) noexcept nogil:
    """The backward pass of a part's rows, where the loss is apart: a block of them at a time."""
    cdef ptrdiff_t item, row
    cdef int64_t since = 0 if run.out.times == NULL else fm_nanoseconds()
    phase_begin(run.team, place, (part.rows + run.plan.block - 1) // run.plan.block)
    while True:
        item = phase_next(run.team, place)
        if item < 0:
            break
        row = item * run.plan.block
        backward_rows(run.plan.net, run.workspaces[0], row, min(run.plan.block, part.rows - row))
    since = lap(run, place.thread, BACKWARD, since)
    phase_end(run.team, place)
    lap(run, place.thread, WAIT, since)


cdef int64_t microbatch(Steps *run, int thread, Part *whole, ptrdiff_t number, ptrdiff_t done, ptrdiff_t end,
                        bint first, int64_t since) noexcept nogil:
    """Rows [done, end) of a batch through both phases, their gradient summed on its own, beginning with the `first`.
    Outputs and deltas never leave the cache of the core that made them; what travels is the gradients."""
    cdef Workspace *ws = run.workspaces[thread]
    cdef ptrdiff_t row, item
    cdef Part part = whole[0]
    part.first = first
    if first:
        run.out.sums_of_losses[number] = 0
    while done < end:
        part.start, part.rows = whole.start + done, min(run.plan.part, end - done)
        part.place = whole.place + done
        row = 0
        while row < part.rows:
            if fm_counter_load(run.team.failed):
                return since
            since = block_of_rows(run, ws, thread, &part, row, min(run.plan.block, part.rows - row), since)
            row += run.plan.block
        if has_entries(ws, 0):
            sort_entries(run.plan.net, ws, part.rows)
        for item in range(count_tiles(run.plan.net)):
            gradient_item(run.plan.net, ws, part.rows, item, not part.first, run.sums[number])
        run.out.sums_of_losses[number] = add_row_losses(run.plan.net, run.examples, ws, part.start, part.rows,
                                                        &run.out.per_row, run.out.sums_of_losses[number])
        since = lap(run, thread, UPDATE, since)
        part.first = False
        done += part.rows
    return since


cdef inline ptrdiff_t norm_items(Steps *run, Part *part) noexcept nogil:
    cdef bint wanted = run.out.squared_weights != NULL or run.plan.net.penalised
    return run.plan.net.n_layers if wanted and part.first and part.share == 0 else 0


cdef inline void sums_of_layer(Steps *run, int layer) noexcept nogil:
    """What is reported of a layer's weights before the update."""
    run.out.penalties[layer] = penalty_of(run.plan.net, layer)
    if run.out.squared_weights != NULL:
        run.out.layer_norms[layer] = squared_weights_of(run.plan.net, layer)


cdef void sort_phase(Steps *run, Place *place, ptrdiff_t rows) noexcept nogil:
    """Sort a part's entries, which takes one thread a share of what their products take."""
    phase_begin(run.team, place, 1)
    while phase_next(run.team, place) >= 0:
        (sort_by_column if run.plan.lazy else sort_entries)(run.plan.net, run.workspaces[0], rows)
    phase_end(run.team, place)


cdef void tiles_phase(Steps *run, Place *place, Part *part) noexcept nogil:
    """Item 0 sums the part's loss, while its rows' losses are still there; the others are tiles of weights, or in the
    place of the first layer's, where its update is lazy, columns that the batch has."""
    cdef ptrdiff_t item, columns = 0, left_out = 0
    cdef int64_t since = 0 if run.out.times == NULL else fm_nanoseconds()
    cdef Rule rule = rule_of(run, part.step, 1)
    if run.plan.lazy:
        columns = column_items(run.plan.net, run.examples, part.start, part.rows)
        left_out = weight_tiles(run.plan.net, 0)
    phase_begin(run.team, place, 1 + columns + count_tiles(run.plan.net) - left_out)
    while True:
        item = phase_next(run.team, place)
        if item < 0:
            break
        if item == 0:
            add_loss(run, part)
            if run.plan.whole_batch and not run.plan.gradient_stored:
                follow_statistics(run.plan.net, run.workspaces[0], part.rows, run.average)
        elif item <= columns:
            update_columns(run.plan.net, run.workspaces[0], item - 1, &rule,
                           run.scratch + place.thread * run.scratch_stride)
        else:
            item += left_out - columns - 1
            tile_item(run, place.thread, part, &rule, item if run.plan.tiles == NULL else run.plan.tiles[item])
    since = lap(run, place.thread, UPDATE, since)
    phase_end(run.team, place)
    lap(run, place.thread, WAIT, since)


cdef inline void tile_item(Steps *run, int thread, Part *part, const Rule *rule, ptrdiff_t item) noexcept nogil:
    """A tile's gradient, or the sum of those of the microbatches, is applied, or kept for the next part or caller."""
    cdef char *scratch = run.scratch + thread * run.scratch_stride
    if run.exchange != NULL:
        gradient_item(run.plan.net, run.workspaces[0], part.rows, item, not part.first, run.sums[part.share])
        return
    if part.microbatch > 0 and run.plan.gradient_stored:
        gradient_summed(run.plan.net, run.sums, microbatches_of(part), item, run.gradient)
    elif part.microbatch > 0:
        update_summed(run.plan.net, run.sums, microbatches_of(part), item, rule, scratch)
    elif part.last and not run.plan.gradient_stored:
        update_item(run.plan.net, run.workspaces[0], part.rows, item, NULL if part.first else run.gradient,
                    rule, run.team.n > 1, scratch)
    else:
        gradient_item(run.plan.net, run.workspaces[0], part.rows, item, not part.first, run.gradient)
    if run.plan.gradient_stored and part.last:
        gradient_finished(run.plan.net, item, run.gradient)
        if run.squares != NULL:
            square_item(run.gradient, item, run.squares)


cdef inline Rule rule_of(Steps *run, ptrdiff_t step, double factor) noexcept nogil:
    cdef Rule rule
    rule.step, rule.parts = run.table + step * run.columns, run.parts
    rule.factor, rule.most = factor, run.clip_value
    rule.share = 0 if run.plan.net.bounded or run.plan.lazy else run.average
    return rule


cdef void finish_phase(Steps *run, Place *place) noexcept nogil:
    """Make what all processes have added up the gradient of the loss with its penalties, a tile at a time."""
    cdef ptrdiff_t item
    cdef int64_t since = 0 if run.out.times == NULL else fm_nanoseconds()
    phase_begin(run.team, place, count_tiles(run.plan.net))
    while True:
        item = phase_next(run.team, place)
        if item < 0:
            break
        gradient_finished(run.plan.net, item, run.gradient)
        if run.squares != NULL:
            square_item(run.gradient, item, run.squares)
    since = lap(run, place.thread, UPDATE, since)
    phase_end(run.team, place)
    lap(run, place.thread, WAIT, since)


cdef inline Rule rule_of_stored(Steps *run, ptrdiff_t step) noexcept nogil:
    return rule_of(run, step, 1 if run.squares == NULL else clip_factor(run.gradient, run.squares, run.clip_norm))


cdef bint orthogonalise(Steps *run, Place *place, ptrdiff_t step) noexcept nogil:
    """Make the directions of an update along those; False if the step is given up."""
    cdef int64_t since = 0 if run.out.times == NULL else fm_nanoseconds()
    cdef Rule rule = rule_of_stored(run, step)
    cdef int turn
    directions_phase(run.plan.net, run.gradient, run.directions, &rule, run.team, place)
    for turn in range(iterations(&rule)):
        iterate(run.plan.net, run.directions, &rule, run.team, place, turn)
        if run.plan.wave > 0:
            rest(run, place, step)
            if not goes_on(run):
                return False
    lap(run, place.thread, UPDATE, since)
    return True


cdef void update_phase(Steps *run, Place *place, ptrdiff_t step) noexcept nogil:
    """The update by a gradient that is stored: a tile of weights at a time; and of what follows the batch."""
    cdef ptrdiff_t item, tiles = count_tiles(run.plan.net)
    cdef int64_t since = 0 if run.out.times == NULL else fm_nanoseconds()
    cdef Rule rule = rule_of_stored(run, step)
    phase_begin(run.team, place, tiles + run.plan.whole_batch)
    while True:
        item = phase_next(run.team, place)
        if item < 0:
            break
        if item == tiles:
            follow_statistics(run.plan.net, run.workspaces[0], rows_of_step(run, step), run.average)
            continue
        item = item if run.plan.tiles == NULL else run.plan.tiles[item]
        if run.directions == NULL:
            update_stored(run.plan.net, run.gradient, item, &rule)
        else:
            update_along(run.plan.net, run.gradient, run.directions, item, &rule)
    since = lap(run, place.thread, UPDATE, since)
    phase_end(run.team, place)
    lap(run, place.thread, WAIT, since)


cdef inline ptrdiff_t microbatches_of(Part *whole) noexcept nogil:
    return (whole.rows + whole.microbatch - 1) // whole.microbatch


cdef void add_loss(Steps *run, Part *part) noexcept nogil:
    """sum w l / sum w of a step's batch, added up in row order, or that of the microbatches, and the penalties; the
    squared weights, in layer order."""
    cdef double *share = NULL
    cdef double total = 0 if part.first else run.out.losses[part.step]
    cdef double squared = 0, penalty = 0, weights = run.weight_sums[part.step]
    cdef ptrdiff_t number
    cdef int l
    if run.out.sums_of_shares != NULL:  # which the processes add up; the penalties are everybody's
        share = run.out.sums_of_shares + part.step * run.shares + part.share
        share[0] = add_row_losses(run.plan.net, run.examples, run.workspaces[0], part.start, part.rows,
                                  &run.out.per_row, 0 if part.first else share[0])
        total = 0
    elif part.microbatch > 0:
        for number in range(microbatches_of(part)):
            total += run.out.sums_of_losses[number]
    else:
        total = add_row_losses(run.plan.net, run.examples, run.workspaces[0], part.start, part.rows, &run.out.per_row,
                               total)
    if part.last and share == NULL:
        total = total / weights if weights != 0 else 0.0
    if part.last and run.plan.net.penalised:
        for l in range(run.plan.net.n_layers):
            penalty += run.out.penalties[l]
        total += penalty
    run.out.losses[part.step] = total
    if run.out.squared_weights != NULL and part.first:
        for l in range(run.plan.net.n_layers):
            squared += run.out.layer_norms[l]
        run.out.squared_weights[part.step] = squared
