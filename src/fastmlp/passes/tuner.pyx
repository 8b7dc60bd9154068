"""Sharing out the steps of a run: ways that may be the fastest, and the choice among them by trying.

No mirror in reference/: NumPy has no threads of ours.
"""
import time

from fastmlp.passes.layers cimport row_bytes, seconds_alone, threads_for, weight_bytes
from fastmlp.passes.plan cimport share_by_panels

cdef double GUESS_SECONDS = 5e-3      # that the model's guess is followed before anything else is tried,
cdef double LOOK_SECONDS = 0.1e-3     # if two looks of so long say that several threads are faster than one should be
cdef double TRIAL_SECONDS = 0.25e-3   # of steps in one way, before it is tried again, or another
cdef double CHOICE_SECONDS = 0.5      # until all are tried again, at most, but that
cdef double CHOICE_TRIALS = 50        # trials may take one part in so many of the time,
cdef double FIRST_TRIALS = 10         # and at first one in so many,
cdef double GROWTH = 2                # which is so much less with each time that they confirm the choice
cdef double PAIR_SECONDS = 4e-6       # a step of so much work is faster on two threads that are near each other
cdef double LARGE_SECONDS = 5e-3      # a step of that much work is not worth a trial on one thread
cdef double PREFERENCE = 0.95         # more threads have to be faster by that,
cdef double PREFERENCE_ALIKE = 0.985  # another way for as many threads by that


cdef list ways_to_share(Network *net, ptrdiff_t batch, int most):
    """Ways to train that may be the fastest: (threads, whether layers are split by panels), the simplest first.

    By panels, a thread works on weights that it has updated itself, and what travels between caches is outputs and
    deltas; by rows it is the other way round. So panels are worth a trial where weights are the larger part.
    """
    cdef int threads
    cdef double alone = seconds_alone(net, batch)
    ways = [(1, False)]
    for threads in sorted({min(1 << power, most) for power in range(1, 9)}):
        if threads > 1 and share_by_panels(net, batch, threads):
            ways.append((threads, True))
        elif threads > 1:
            ways.append((threads, False))
            if weight_bytes(net) > <double> batch * row_bytes(net):
                ways.append((threads, True))
    return ways if alone < LARGE_SECONDS else [way for way in ways if way[0] == most]


cdef int guess_threads(Network *net, ptrdiff_t rows, int most) except -1:
    """Threads that a run of steps begins with: as many as are worth waking for one of them alone, but two also where
    they need not be woken each time."""
    cdef int guess = threads_for(net, rows, True, most)
    if guess == 1 and most > 1 and seconds_alone(net, rows) > PAIR_SECONDS:
        return 2
    return guess


cdef class Tuner:
    """Finds out by trying how to share the work in runs of equal steps: the bits do not depend on it, so the steps that
    are timed train as well.

    A model of work and barriers alone is not enough. 50-64-32-5 with batch 8 takes 2.1 us on one thread, a phase costs
    0.1 us, and yet two threads are slower: what one wrote has to travel to the other's cache. Trying again now and then
    also answers to what else the machine is doing.

    Each way is tried twice in a row, because the first time may have to wake threads and to fill caches, and the faster
    counts. A process that is young, or a moment when somebody else wanted the processors, says little of what is to
    come. So a new number of threads is believed for ten times as long as its trials took, then for longer and longer.

    The first steps follow the model's guess: many trainings are over before trials pay. Two threads far from each other
    can be slower than one by half, so that a guess of several has to show at once that it beats what the model says of
    one.
    """

    def __init__(self, ways, guess=1, alone=float("inf"), clock=time.perf_counter):
        """Ways, the simplest first; of these, that with `guess` threads is begun with. `alone`: seconds of a step on
        one thread, by the model."""
        self.candidates = ways
        self.choice = min(ways, key=lambda way: abs(way[0] - guess))
        self.clock = clock
        self.seconds = {}
        self.belief = FIRST_TRIALS
        self.trials, self.tried, self.spent = [], {}, 0
        self.looks, self.alone = 2 if self.choice[0] > 1 else 0, alone
        self.expires = clock() + GUESS_SECONDS

    def _begin_trials(self):
        """The present choice comes first: what has only a few steps to do should do them so."""
        ways = [self.choice, *(way for way in self.candidates if way != self.choice)]
        self.trials = [way for way in ways for _twice in range(2)]
        self.tried = {}
        self.spent = 0

    def next(self):
        """(way, seconds): what to use next, and for how long."""
        if self.looks:
            return self.choice, LOOK_SECONDS
        if not self.trials:
            left = self.expires - self.clock()
            if left > 0:
                return self.choice, max(left, TRIAL_SECONDS)
            self._begin_trials()
        return self.trials[0], TRIAL_SECONDS

    def report(self, way, steps, seconds):
        """Hear how long some steps took. Of the trials of one way, the faster counts."""
        if self.looks:
            self.looks = self.looks - 1 if seconds / steps > PREFERENCE * self.alone else 0
            if not self.looks and seconds / steps > PREFERENCE * self.alone:
                self._begin_trials()
            return
        if not self.trials or way != self.trials[0]:
            return
        self.trials.pop(0)
        self.spent += seconds
        self.tried[way] = min(seconds / steps, self.tried.get(way, seconds / steps))
        if not self.trials:
            self._choose()

    def _choose(self):
        first, before = not self.seconds, self.choice
        self.seconds = self.tried
        self.choice = self.candidates[0]
        for way in self.candidates:
            alike = way[0] == self.choice[0]
            if self.seconds[way] < (PREFERENCE_ALIKE if alike else PREFERENCE) * self.seconds[self.choice]:
                self.choice = way
        longest = max(CHOICE_SECONDS, CHOICE_TRIALS * self.spent)
        if first or self.choice[0] != before[0]:
            self.belief = FIRST_TRIALS
        elif self.belief * self.spent < longest:
            self.belief *= GROWTH
        self.expires = self.clock() + min(self.belief * self.spent, longest)

    def step_seconds(self, way):
        """The latest figure for a way, or None."""
        return self.tried.get(way, self.seconds.get(way))

    def explain(self):
        """One line for people."""
        if not self.seconds:
            return "not yet tried"
        figures = [f"{name_of(way)}: {seconds * 1e6:.3g} us per step" for way, seconds in self.seconds.items()]
        return f"{', '.join(figures)}; chosen: {name_of(self.choice)}"


cdef str name_of(tuple way):
    threads, by_panels = way
    return f"{threads} thread{'s' if threads > 1 else ''}{' by panels' if by_panels else ''}"
