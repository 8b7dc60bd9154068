# A team of threads that shares out the items of one phase after another, and waits for work, not for threads.
from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from "sync.h" nogil:
    ctypedef struct fm_ticket:
        pass
    ctypedef struct fm_counter:
        pass
    void fm_counter_store(fm_counter *c, uint32_t value) noexcept
    uint32_t fm_counter_load(fm_counter *c) noexcept
    void *fm_allocate(size_t size) noexcept
    void *fm_allocate_raw(size_t size) noexcept
    void fm_free(void *p) noexcept
    int64_t fm_nanoseconds() noexcept

cdef enum:
    MAX_THREADS = 256

cdef struct Team:
    int n
    fm_ticket *share      # one per thread: phase number and next unclaimed item of that thread's share
    fm_counter *done      # items finished in all phases so far, modulo 2^32
    fm_counter *sleepers
    fm_counter *failed    # flags that any thread may raise: a loss is not finite,
    fm_counter *stop      # begin no further step: it is time to look for signals, or a handler has raised

# One thread's place in the sequence of phases, which is the same for every thread.
cdef struct Place:
    int thread
    uint32_t phase
    uint32_t target       # what `done` will be when this phase is over
    uint32_t finished     # items that this thread finished and has not yet reported
    ptrdiff_t items
    int victim            # whose share is being worked on

cdef enum:
    SIGNAL_NANOSECONDS = 40_000_000   # how often signals are looked for

# When the calling thread is to look for signals next.
cdef struct Watch:
    int64_t next_look     # nanoseconds

ctypedef void (*team_body)(void *context, int thread) noexcept nogil

cdef Team *team_new(int threads) except NULL
cdef void team_free(Team *team) noexcept nogil
cdef void team_run(Team *team, team_body body, void *context) noexcept nogil
cdef ptrdiff_t claim_next(Team *team, Place *place) noexcept nogil
cdef void wait_for_all(Team *team, Place *place) noexcept nogil

# A step of a small network takes a microsecond: on one thread a phase must be a plain loop, without a call.
cdef inline void phase_begin(Team *team, Place *place, ptrdiff_t items) noexcept nogil:
    place.phase += 1
    place.target += <uint32_t> items
    place.items = items
    place.finished = 0
    place.victim = place.thread if team.n > 1 else 0

cdef inline ptrdiff_t phase_next(Team *team, Place *place) noexcept nogil:
    """An item to work on, or -1 when every item of the phase has been claimed."""
    if team.n > 1:
        return claim_next(team, place)
    if place.finished == place.items:
        return -1
    place.finished += 1
    return place.finished - 1

cdef inline void phase_end(Team *team, Place *place) noexcept nogil:
    """Return when all items are done."""
    if team.n > 1:
        wait_for_all(team, place)

cdef Watch watch_for_signals() noexcept nogil
cdef bint time_to_look(Watch *watch) noexcept nogil
cdef double phase_seconds(int threads) except -1
