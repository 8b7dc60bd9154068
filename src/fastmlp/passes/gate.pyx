"""The gate of an engine: any number of readers, or one call that changes it, and signal handlers in between.

Mirror: reference/gate.py.
"""
# A handler runs in the middle of the call that it interrupts, where its workers are at rest: between two steps of a
# training, two waves of rows of a long step, two waves of a prediction. What it may do follows from who it is: it may
# read, since the call it is in keeps everybody else from changing anything; it may not change what that call goes on
# with, and need not wait for anybody. So nothing waits for itself.
from cpython.exc cimport PyErr_CheckSignals
from cpython.pythread cimport PyThread_get_thread_ident
from fastmlp.passes.threads cimport SIGNAL_NANOSECONDS, fm_nanoseconds
from libc.stdint cimport int64_t

cdef extern from "sync.h" nogil:
    void fm_gate_close(fm_gate *gate) noexcept
    int fm_gate_empty(fm_gate *gate) noexcept
    void fm_gate_open(fm_gate *gate) noexcept
    void fm_gate_reset(fm_gate *gate, int readers, int closed) noexcept
    void fm_nap() noexcept


cdef class Gate:

    def __cinit__(self):
        self.calls = {}

    cdef Entry enter(self, str call) except *:
        """Whether the caller may read; the answer has to be given back to `leave`."""
        cdef object thread = PyThread_get_thread_ident()
        if thread in self.calls:
            return INSIDE
        if not fm_gate_enter(&self.gate):
            return REFUSED
        self.calls[thread] = (call, 1)
        return ENTERED

    cdef leave(self, Entry entry):
        if entry == ENTERED:
            del self.calls[PyThread_get_thread_ident()]
            fm_gate_leave(&self.gate)

    cdef bint enter_shortly(self) noexcept:
        """Enter as a caller that lets no Python code run until `leave_shortly`."""
        return fm_gate_enter(&self.gate)

    cdef void leave_shortly(self) noexcept:
        fm_gate_leave(&self.gate)

    cdef close(self, str call):
        """Turn away whoever wants to read, and wait for those who do; what a handler raises meanwhile is raised."""
        self.refuse_inside(call)
        self.calls[PyThread_get_thread_ident()] = (call, 0)
        try:
            self.wait_for_readers()
        except BaseException:
            self.open()
            raise

    cdef open(self):
        fm_gate_open(&self.gate)
        del self.calls[PyThread_get_thread_ident()]

    cdef let_readers_in(self):
        """Let readers in for a moment; what a handler raises meanwhile is raised, and the gate closed all the same."""
        fm_gate_open(&self.gate)
        self.wait_for_readers()

    cdef wait_for_readers(self):
        cdef int64_t looked = fm_nanoseconds()
        fm_gate_close(&self.gate)
        while not fm_gate_empty(&self.gate):
            with nogil:
                fm_nap()
            if fm_nanoseconds() - looked > SIGNAL_NANOSECONDS:
                PyErr_CheckSignals()
                looked = fm_nanoseconds()

    cdef refuse_inside(self, str call):
        """Refuse a call inside another; asked before anything is changed, also where no reader has to be waited for."""
        cdef object running = self.running()
        if running is not None:
            raise RuntimeError(f"{call} would change the network in the middle of its {running}, which a signal's "
                               "handler interrupts: there it may be read, not changed")

    def running(self):
        """The call that this thread is in the middle of, so that it is a handler that asks; or None."""
        cdef tuple call = self.calls.get(PyThread_get_thread_ident())
        return None if call is None else call[0]

    def forked(self):
        """Forget, in a forked child, the threads that it does not have. False if one of them was in the middle of a
        change: then nobody may read any more, and the gate stays closed."""
        cdef object thread = PyThread_get_thread_ident()
        cdef tuple mine = self.calls.get(thread)
        self.calls = {} if mine is None else {thread: mine}
        fm_gate_reset(&self.gate, 0 if mine is None else mine[1],
                      self.unfinished or (mine is not None and mine[1] == 0))
        return not self.unfinished
