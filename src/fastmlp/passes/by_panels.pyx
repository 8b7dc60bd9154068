"""Rows of a step split by column panels: a phase for each layer, each item a few of its panels for all rows.

A thread works on the weights that it has updated itself; what travels between the threads is outputs and deltas.
No mirror in reference/: NumPy shares out nothing.
"""
from fastmlp.passes.backward cimport backward_layer
from fastmlp.passes.forward cimport elementwise, finish_outputs, forward_layer
from fastmlp.passes.layers cimport Network
from fastmlp.passes.loss cimport loss_rows
from fastmlp.passes.plan cimport panels_at_once
from fastmlp.passes.steps cimport BACKWARD, FORWARD, LOSS, WAIT, goes_on_after_rest, lap
from fastmlp.passes.threads cimport fm_counter_store, fm_nanoseconds, phase_begin, phase_end, phase_next
from fastmlp.passes.workspace cimport Workspace
from libc.stdint cimport int64_t


cdef void panels_forward(Steps *run, Place *place, Part *part) noexcept nogil:
    """Outputs, losses and output deltas of a part's rows, which have been loaded. A last layer of fewer panels than
    threads goes with the loss, which is split by rows."""
    cdef Network *net = run.plan.net
    cdef ptrdiff_t item, at_once
    cdef int64_t since
    cdef int l, layers = net.n_layers - (1 if narrow_end(run) else 0)
    for l in range(layers):
        if not goes_on_after_rest(run, place, part):
            return
        since = 0 if run.out.times == NULL else fm_nanoseconds()
        at_once = panels_at_once(net.layers[l].out_panels, run.team.n)
        phase_begin(run.team, place, (net.layers[l].out_panels + at_once - 1) // at_once)
        while True:
            item = phase_next(run.team, place)
            if item < 0:
                break
            forward_layer(net, run.workspaces[0], l, elementwise(net, l, net.fused), 0, part.rows, item * at_once,
                          min(at_once, net.layers[l].out_panels - item * at_once), run.workspaces[0].a[l + 1])
        since = lap(run, place.thread, FORWARD, since)
        phase_end(run.team, place)
        since = lap(run, place.thread, WAIT, since)
    since = 0 if run.out.times == NULL else fm_nanoseconds()
    loss_phase(run, place, part)
    lap(run, place.thread, LOSS, since)


cdef void panels_backward(Steps *run, Place *place, Part *part) noexcept nogil:
    """Deltas of all layers but the last, or of those before the last where that went with the loss."""
    cdef Network *net = run.plan.net
    cdef ptrdiff_t item, at_once
    cdef int64_t since
    cdef int l, layers = net.n_layers - (1 if backward_with_loss(run) else 0)
    for l in range(layers - 1, 0, -1):
        if not goes_on_after_rest(run, place, part):
            return
        since = 0 if run.out.times == NULL else fm_nanoseconds()
        at_once = panels_at_once(net.layers[l].in_panels, run.team.n)
        phase_begin(run.team, place, (net.layers[l].in_panels + at_once - 1) // at_once)
        while True:
            item = phase_next(run.team, place)
            if item < 0:
                break
            backward_layer(net, run.workspaces[0], l, 0, part.rows, item * at_once,
                           min(at_once, net.layers[l].in_panels - item * at_once))
        since = lap(run, place.thread, BACKWARD, since)
        phase_end(run.team, place)
        since = lap(run, place.thread, WAIT, since)


cdef inline bint narrow_end(Steps *run) noexcept nogil:
    return run.plan.net.layers[run.plan.net.n_layers - 1].out_panels < run.team.n


cdef inline bint backward_with_loss(Steps *run) noexcept nogil:
    """Whether the last layer's backward pass goes with the loss, too: not where that is apart, or where what comes
    before it is normalised over all rows."""
    return narrow_end(run) and not (run.plan.loss_apart or run.plan.whole_batch)


cdef void loss_phase(Steps *run, Place *place, Part *part) noexcept nogil:
    """Outputs, losses and output deltas of a part, a block of rows at a time: they need whole rows."""
    cdef Network *net = run.plan.net
    cdef Workspace *ws = run.workspaces[0]
    cdef ptrdiff_t item, row, rows
    cdef bint with_layer = narrow_end(run)
    cdef int last = net.n_layers - 1
    phase_begin(run.team, place, (part.rows + run.plan.block - 1) // run.plan.block)
    while True:
        item = phase_next(run.team, place)
        if item < 0:
            break
        row = item * run.plan.block
        rows = min(run.plan.block, part.rows - row)
        if with_layer:
            forward_layer(net, ws, last, elementwise(net, last, net.fused), row, rows, 0, net.layers[last].out_panels,
                          ws.a[last + 1])
        finish_outputs(net, ws, net.fused, row, rows)
        if ws.raised != NULL or not loss_rows(net, ws, row, rows):
            fm_counter_store(run.team.failed, 1)
        elif backward_with_loss(run) and last > 0:
            backward_layer(net, ws, last, row, rows, 0, net.layers[last].in_panels)
    phase_end(run.team, place)
