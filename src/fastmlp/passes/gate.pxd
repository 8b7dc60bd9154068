# Who may use an engine when.
cdef extern from "sync.h" nogil:
    ctypedef struct fm_gate:
        pass
    int fm_gate_enter(fm_gate *gate) noexcept
    void fm_gate_leave(fm_gate *gate) noexcept

cdef enum Entry:
    REFUSED
    ENTERED
    INSIDE         # this thread is in the middle of a call, so that nobody else can change anything

cdef class Gate:
    cdef fm_gate gate
    cdef dict calls        # by thread, what it is in the middle of: (call, 1 for a reader or 0)
    cdef bint unfinished   # parameters are being written without the GIL: a forked child would find them half done
    cdef Entry enter(self, str call) except *
    cdef leave(self, Entry entry)
    cdef bint enter_shortly(self) noexcept
    cdef void leave_shortly(self) noexcept
    cdef close(self, str call)
    cdef open(self)
    cdef let_readers_in(self)
    cdef wait_for_readers(self)
    cdef refuse_inside(self, str call)
