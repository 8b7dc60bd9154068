"""One update by a gradient that somebody else has computed: the end of a step, without its rows.

Mirror: Engine.apply in reference/engine.py.
"""
from fastmlp.passes.bound cimport bound_phase
from fastmlp.passes.call cimport parts_of
from fastmlp.passes.clip cimport clip_factor, square_item, squares_bytes
from fastmlp.passes.layers cimport NO_OPTIMIZER, Network
from fastmlp.passes.orthogonal cimport Direction, directions_phase, iterate, iterations, update_along
from fastmlp.passes.threads cimport (
    Place,
    Team,
    fm_allocate,
    fm_free,
    phase_begin,
    phase_end,
    phase_next,
    team_free,
    team_new,
    team_run,
)
from fastmlp.passes.tiles cimport count_tiles
from fastmlp.passes.update cimport Rule, update_stored


cdef struct Application:
    Team *team
    Network *net
    Network *gradient
    Direction *directions        # where the optimizer takes matrices as wholes, else NULL
    Rule rule
    double clip_norm             # 0: the norm is not clipped
    char *squares


cdef void run_application(void *context, int thread) noexcept nogil:
    cdef Application *run = <Application *> context
    cdef Rule rule = run.rule
    cdef Place place
    cdef ptrdiff_t item
    cdef int turn
    place.thread, place.phase, place.target = thread, 0, 0
    if run.clip_norm > 0:
        phase_begin(run.team, &place, count_tiles(run.net))
        while True:
            item = phase_next(run.team, &place)
            if item < 0:
                break
            square_item(run.gradient, item, run.squares)
        phase_end(run.team, &place)
        rule.factor = clip_factor(run.gradient, run.squares, run.clip_norm)
    if run.directions != NULL:
        directions_phase(run.net, run.gradient, run.directions, &rule, run.team, &place)
        for turn in range(iterations(&rule)):
            iterate(run.net, run.directions, &rule, run.team, &place, turn)
    phase_begin(run.team, &place, count_tiles(run.net))
    while True:
        item = phase_next(run.team, &place)
        if item < 0:
            break
        if run.directions == NULL:
            update_stored(run.net, run.gradient, item, &rule)
        else:
            update_along(run.net, run.gradient, run.directions, item, &rule)
    phase_end(run.team, &place)
    if run.net.bounded:
        bound_phase(run.net, run.team, &place)


cdef apply_gradient(Parameters parameters, Gate gate, Parameters gradient, Directions directions, table, tuple groups,
                    clip_norm, clip_value, int team_size):
    """Make one update, by a row of scalars as a step has them. The gradient is used up."""
    cdef Network *net = &parameters.net
    cdef const double[:, ::1] row = table
    cdef ptrdiff_t[::1] parts
    cdef Application run
    if row.shape[0] != 1 or net.optimizer == NO_OPTIMIZER:
        raise ValueError(f"the table has {row.shape[0]} rows, one is wanted; or there is no optimizer")
    parts = parts_of(net, row.shape[1], groups)
    run.net, run.gradient, run.clip_norm = net, &gradient.net, clip_norm or 0
    run.directions = NULL if directions is None else directions.of_layers
    run.rule.step, run.rule.parts = &row[0, 0], NULL if parts is None else &parts[0]
    run.rule.factor, run.rule.most, run.rule.share = 1, clip_value or 0, 0
    run.squares = <char *> fm_allocate(squares_bytes(net))
    if run.squares == NULL:
        raise MemoryError("no memory for the squares of a gradient")
    try:
        gate.close("apply_gradients")
        try:
            run.team = team_new(team_size)
            gate.unfinished = True
            with nogil:
                team_run(run.team, run_application, &run)
                team_free(run.team)
            gate.unfinished = False
            parameters.n_steps += 1
            parameters.changes += 1
        finally:
            gate.open()
    finally:
        fm_free(run.squares)
