# Which way of sharing out the steps is the fastest, found by trying.
from fastmlp.passes.layers cimport Network

cdef class Tuner:
    cdef readonly list candidates    # ways: (number of threads, whether layers are split by panels)
    cdef readonly tuple choice
    cdef readonly dict seconds       # per step, by way, of the last complete trials
    cdef object clock                # seconds, as a function
    cdef dict tried                  # of the trials going on
    cdef int looks                   # at the guess that is begun with, still to be taken
    cdef double alone                # seconds of a step on one thread, by the model
    cdef list trials                 # ways still to be tried
    cdef double spent                # seconds, on the trials going on
    cdef double belief               # how long they are to be believed, in multiples of what they took
    cdef double expires

cdef list ways_to_share(Network *net, ptrdiff_t batch, int most)
cdef int guess_threads(Network *net, ptrdiff_t rows, int most) except -1
