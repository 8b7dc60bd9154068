"""The places at which the threads of a step wait for the calling one: rests, for signal handlers, and seams.

No mirror in reference/: NumPy's steps are made by the calling thread (reference/gate.py).
"""
from fastmlp.passes.threads cimport fm_counter_store, phase_begin, phase_end, phase_next, time_to_look


cdef void stop_at(Steps *run, ptrdiff_t step) noexcept nogil:
    """Let the region end before this step. Only the calling thread says so, and once."""
    run.stop_at = step
    fm_counter_store(run.team.stop, 1)


cdef void rest(Steps *run, Place *place, ptrdiff_t step) noexcept nogil:
    """Everybody waits while the calling thread runs signal handlers, if it is time to look for them."""
    phase_begin(run.team, place, 1)
    if place.thread == 0:
        while phase_next(run.team, place) >= 0:
            if time_to_look(&run.watch) and not run.at_rest(run.call, step):
                stop_at(run, step)
    phase_end(run.team, place)


cdef bint goes_on_after_rest(Steps *run, Place *place, Part *part) noexcept nogil:
    """Wait as `rest` does, in the middle of a long step, where everybody comes to rest before."""
    if run.plan.wave == 0:
        return True
    rest(run, place, part.step)
    return goes_on(run)


cdef bint by_calling_thread(Steps *run, Place *place, seam_hook hook, Part *part) noexcept nogil:
    """Everybody waits while the calling thread, which may run Python code, runs a hook; False gives the step up."""
    phase_begin(run.team, place, 1)
    if place.thread == 0:
        while phase_next(run.team, place) >= 0:
            if not hook(run.call, part.step, part.start, part.rows):
                fm_counter_store(run.team.failed, 1)
    phase_end(run.team, place)
    return not fm_counter_load(run.team.failed)
