"""The only place with OpenMP: one parallel region, and inside it phases whose items are claimed, helped with, awaited.

A phase ends when its items are done. Each thread takes its own contiguous share first and then helps the others; one that
the system put to sleep with nothing claimed delays nobody. No mirror in reference/: NumPy has no threads of ours.
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
    int fm_openmp() noexcept
    int fm_max_threads() noexcept
    int fm_is_forked_child
    void fm_watch_forks() noexcept

fm_watch_forks()

openmp = bool(fm_openmp())

cdef enum:
    # Looks at the counter before a waiting thread goes to sleep: some tens of microseconds.
    SPINS = 2000


def max_threads():
    return 1 if fm_is_forked_child else min(fm_max_threads(), <int> MAX_THREADS)


def is_forked_child():
    return bool(fm_is_forked_child)


cdef bint forked_child() noexcept nogil:
    return fm_is_forked_child


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
    if team.n == 1 or fm_is_forked_child:
        body(context, 0)
        return
    with parallel(num_threads=team.n):
        body(context, threadid())


cdef void phase_begin(Team *team, Place *place, ptrdiff_t items) noexcept nogil:
    place.phase += 1
    place.target += <uint32_t> items
    place.items = items
    place.finished = 0
    place.victim = place.thread if team.n > 1 else 0


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


cdef ptrdiff_t phase_next(Team *team, Place *place) noexcept nogil:
    """An item to work on, or -1 when every item of the phase has been claimed."""
    cdef ptrdiff_t item
    cdef int helped
    if team.n == 1:
        item = place.finished
        if item == place.items:
            return -1
        place.finished += 1
        return item
    for helped in range(team.n):
        item = claim(team, place, place.victim)
        if item >= 0:
            place.finished += 1
            return item
        place.victim += 1
        if place.victim == team.n:
            place.victim = 0
    return -1


cdef void phase_end(Team *team, Place *place) noexcept nogil:
    """Return when all items are done: spin for a bounded time, then sleep until the last one wakes the sleepers."""
    cdef uint32_t done
    cdef int spin
    if team.n == 1:
        return
    if place.finished:
        done = fm_counter_add(team.done, place.finished)
        if done == place.target:
            fm_fence()  # either this thread sees the sleeper, or the sleeper sees that all is done
            if fm_counter_load(team.sleepers) != 0:
                fm_wake_all(team.done)
            return
    for spin in range(SPINS):
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


# -- what a phase costs ------------------------------------------------------------------------------------------------

cdef struct Empty:
    Team *team
    int phases


cdef void empty_phases(void *context, int thread) noexcept nogil:
    cdef Empty *work = <Empty *> context
    cdef Place place
    cdef int i
    place.thread, place.phase, place.target = thread, 0, 0
    for i in range(work.phases):
        phase_begin(work.team, &place, work.team.n)
        while phase_next(work.team, &place) >= 0:
            pass
        phase_end(work.team, &place)


cdef double phase_seconds(int threads) except -1:
    """Seconds that one phase with an item for each of `threads` threads costs: the best of a few short runs, each long
    enough that the time until the last thread has woken does not count."""
    cdef Empty work
    cdef int run
    cdef int64_t start, nanoseconds, best = 1 << 62
    work.phases = 4000
    for run in range(3):
        work.team = team_new(threads)
        with nogil:
            start = fm_nanoseconds()
            team_run(work.team, empty_phases, &work)
            nanoseconds = fm_nanoseconds() - start
            team_free(work.team)
        best = min(best, nanoseconds)
    return best * 1e-9 / work.phases


def barrier_seconds(int threads):
    if not 1 <= threads <= MAX_THREADS:
        raise ValueError(f"threads is {threads}; it may be 1 to {MAX_THREADS}")
    return phase_seconds(threads)
