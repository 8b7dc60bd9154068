"""The only place that opens regions on several threads; inside, phases whose items are claimed, helped with, awaited.

A phase ends when its items are done. Each thread takes its own contiguous share first and then helps the others; one
that the system put to sleep with nothing claimed delays nobody. No mirror in reference/: NumPy has no threads of ours.
"""
from cython.parallel cimport parallel, threadid
from libc.stdint cimport uint32_t, uint64_t

cdef extern from "sync.h" nogil:
    uint64_t fm_ticket_load(fm_ticket *t) noexcept
    int fm_ticket_replace(fm_ticket *t, uint64_t seen, uint64_t to) noexcept
    uint32_t fm_counter_add(fm_counter *c, uint32_t n) noexcept
    void fm_fence() noexcept
    void fm_pause() noexcept
    void fm_sleep_while(fm_counter *c, uint32_t seen) noexcept
    void fm_wake_all(fm_counter *c) noexcept

cdef extern from "pool.h" nogil:
    const bint FM_POOL
    void fm_pool_start() noexcept
    void fm_pool_run(team_body body, void *context, int threads) noexcept
    bint fm_forked() noexcept
    int fm_openmp() noexcept
    int fm_max_threads() noexcept
    int fm_allowed_processors() noexcept

fm_pool_start()

openmp = bool(fm_openmp())

# Whose threads a region has: the pool's, or OpenMP's where there are any.
cdef bint of_pool = FM_POOL

cdef enum:
    # Looks at the counter before a waiting thread goes to sleep: some tens of microseconds.
    SPINS = 2000


def max_threads():
    return min(fm_max_threads(), <int> MAX_THREADS)


def kinds_of_workers():
    """Whose threads this build can have, the default first."""
    return (("pool",) if FM_POOL else ()) + (("openmp",) if openmp else ()) or ("none",)


def use_workers(kind):
    global of_pool
    if kind not in kinds_of_workers():
        raise ValueError(f"workers must be one of {', '.join(map(repr, kinds_of_workers()))}, got {kind!r}")
    of_pool = kind == "pool"


def workers():
    """Whose threads regions have now: a forked child cannot use an OpenMP that its parent has used."""
    if FM_POOL and (of_pool or fm_forked()):
        return "pool"
    return "openmp" if openmp else "none"


def processors():
    """Count the processors that the calling thread and its workers may run on now; 0 where the system does not tell."""
    return fm_allowed_processors()


cdef Team *team_new(int threads) except NULL:
    cdef size_t header = 128  # keeps the counters behind it aligned to their cache lines
    cdef size_t size = header + threads * sizeof(fm_ticket) + 4 * sizeof(fm_counter)
    cdef char *memory = <char *> fm_allocate(size)
    if memory == NULL:
        raise MemoryError(f"no memory for a team of {threads} threads")
    cdef Team *team = <Team *> memory
    team.n = threads
    team.share = <fm_ticket *> (memory + header)
    team.done = <fm_counter *> (memory + header + threads * sizeof(fm_ticket))
    team.sleepers = team.done + 1
    team.failed = team.done + 2
    team.stop = team.done + 3
    return team


cdef void team_free(Team *team) noexcept nogil:
    fm_free(team)


cdef void team_run(Team *team, team_body body, void *context) noexcept nogil:
    """Run body on every thread of the team. Fewer threads than asked for are enough: they do the others' shares."""
    if team.n == 1:
        body(context, 0)
    elif FM_POOL and (of_pool or fm_forked()):
        fm_pool_run(body, context, team.n)
    else:
        with parallel(num_threads=team.n):
            body(context, threadid())


cdef inline ptrdiff_t share_start(ptrdiff_t items, int threads, int thread) noexcept nogil:
    return items * thread // threads


cdef inline ptrdiff_t claim(Team *team, Place *place, int owner) noexcept nogil:
    """The next item of a share, or -1. A ticket holds (phase, next item), so a thread that comes late to a phase finds
    its tickets spent and can take nothing twice."""
    cdef ptrdiff_t first = share_start(place.items, team.n, owner)
    cdef ptrdiff_t size = share_start(place.items, team.n, owner + 1) - first
    cdef uint64_t seen, next_item
    while True:
        seen = fm_ticket_load(&team.share[owner])
        if <uint32_t> (seen >> 32) == place.phase:
            next_item = seen & 0xFFFFFFFFu
        elif <uint32_t> (seen >> 32) > place.phase:
            return -1
        else:
            next_item = 0
        if <ptrdiff_t> next_item >= size:
            return -1
        if fm_ticket_replace(&team.share[owner], seen, (<uint64_t> place.phase << 32) + next_item + 1):
            return first + <ptrdiff_t> next_item


cdef ptrdiff_t claim_next(Team *team, Place *place) noexcept nogil:
    """An item of this thread's own share, then of the others'; -1 when all have been claimed."""
    cdef ptrdiff_t item
    cdef int _tried
    for _tried in range(team.n):
        item = claim(team, place, place.victim)
        if item >= 0:
            place.finished += 1
            return item
        # Who comes last need not look at the others' tickets, which may be far away.
        if place.finished and report(team, place):
            return -1
        place.victim += 1
        if place.victim == team.n:
            place.victim = 0
    return -1


cdef inline bint report(Team *team, Place *place) noexcept nogil:
    """Count what this thread has finished; whether the phase is over with it."""
    cdef uint32_t done = fm_counter_add(team.done, place.finished)
    place.finished = 0
    if done != place.target:
        return False
    fm_fence()  # either this thread sees the sleeper, or the sleeper sees that all is done
    if fm_counter_load(team.sleepers) != 0:
        fm_wake_all(team.done)
    return True


cdef void wait_for_all(Team *team, Place *place) noexcept nogil:
    """Wait until the items are done: spin for a bounded time, then sleep until the last one wakes the sleepers."""
    cdef uint32_t done
    cdef int _spin
    for _spin in range(SPINS):
        # `done` may be beyond the target by now: others are free to go on without this thread.
        if <int> (fm_counter_load(team.done) - place.target) >= 0:
            return
        fm_pause()
    fm_counter_add(team.sleepers, 1)
    fm_fence()
    while True:
        done = fm_counter_load(team.done)
        if <int> (done - place.target) >= 0:
            break
        fm_sleep_while(team.done, done)
    fm_counter_add(team.sleepers, <uint32_t> -1)


# -- signals -----------------------------------------------------------------------------------------------------------

cdef Watch watch_for_signals() noexcept nogil:
    """Python looks for them between calls; the first look of a call is due when it has gone on for a while."""
    cdef Watch watch
    watch.next_look = fm_nanoseconds() + SIGNAL_NANOSECONDS
    return watch


cdef bint time_to_look(Watch *watch) noexcept nogil:
    """Return whether it is time to look for signals; asked often, by the calling thread."""
    cdef int64_t now = fm_nanoseconds()
    if now < watch.next_look:
        return False
    watch.next_look = now + SIGNAL_NANOSECONDS
    return True


# -- what a phase costs ------------------------------------------------------------------------------------------------

cdef enum:
    # Dependent multiply-adds of an item, some microseconds: an empty one would be done by the thread that comes first,
    # and no phase would have to wait for another thread.
    ITEM_OPERATIONS = 2000

cdef struct Probe:
    Team *team
    int phases
    double sink[MAX_THREADS]


cdef void probe_phases(void *context, int thread) noexcept nogil:
    cdef Probe *probe = <Probe *> context
    cdef Place place
    cdef int _phase, _i
    cdef double x = 1
    place.thread, place.phase, place.target = thread, 0, 0
    for _phase in range(probe.phases):
        phase_begin(probe.team, &place, probe.team.n)
        while phase_next(probe.team, &place) >= 0:
            for _i in range(ITEM_OPERATIONS):
                x = x * 0.999999 + 1e-5
        phase_end(probe.team, &place)
    probe.sink[thread] = x


cdef double probe_seconds(int threads, int phases, int runs) except -1:
    """The fastest of a few regions of so many phases."""
    cdef Probe probe
    cdef int _run
    cdef int64_t start, best = 1 << 62
    probe.phases = phases
    for _run in range(runs):
        probe.team = team_new(threads)
        with nogil:
            start = fm_nanoseconds()
            team_run(probe.team, probe_phases, &probe)
            best = min(best, fm_nanoseconds() - start)
            team_free(probe.team)
    return best * 1e-9


cdef double phase_seconds(int threads) except -1:
    """Seconds that a phase costs beyond its work: phases with an item for each thread, less the same items alone."""
    cdef int phases = 500
    return max(probe_seconds(threads, phases, 4) - probe_seconds(1, phases, 2), 0.0) / phases


def barrier_seconds(int threads):
    if not 1 <= threads <= MAX_THREADS:
        raise ValueError(f"threads is {threads}; it may be 1 to {MAX_THREADS}")
    return phase_seconds(threads)
