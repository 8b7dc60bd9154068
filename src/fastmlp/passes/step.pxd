# What the threads of a run of training steps share, and the run itself.
from fastmlp.passes.plan cimport MAX_MICROBATCHES, Examples, Network, Workspace
from fastmlp.passes.threads cimport MAX_THREADS, Team, Watch
from libc.stdint cimport int32_t, int64_t

# Stages of a step, for a profile; STAGES in fastmlp/spec/runs.py has their names.
cdef enum:
    GATHER
    FORWARD
    LOSS
    BACKWARD
    UPDATE
    WAIT
    N_STAGES

# What the calling thread does while all others wait: run signal handlers. Nothing of the given step has been applied
# yet, and all of those before it. False: the step is to be given up.
ctypedef bint (*rest_hook)(void *call, ptrdiff_t step) noexcept nogil

# Everything the threads of one run share.
cdef struct Steps:
    Team *team
    Network *net
    Workspace *ws
    Examples *examples
    ptrdiff_t rows              # in the order
    ptrdiff_t batch_size
    ptrdiff_t first             # steps [first, last) are to be done
    ptrdiff_t last
    ptrdiff_t microbatch        # of a whole batch: rows whose gradient one thread sums up alone; 0: it is not cut so
    ptrdiff_t part              # rows of a batch or microbatch that go through both phases together
    ptrdiff_t block             # rows of an item of the rows phase
    bint by_panels
    const int32_t *items        # of the squares phase, in the order of their panels; NULL: as they are
    const double *weight_sums   # per step
    double *losses              # per step: weighted mean before the update
    double *squared_weights     # per step: sum of the squared weights before the update; NULL when not wanted
    double *layer_squares       # that sum's parts, per layer
    const double *scalars       # per step, n_scalars of them
    int n_scalars
    bint apply                  # the gradients, to the parameters
    Network *gradients          # where they are summed over the parts of a batch; NULL for batches of one part
    Workspace *workspaces[MAX_THREADS]      # for microbatches: one of each thread's own
    Network *sums[MAX_MICROBATCHES]         # their gradients,
    ptrdiff_t n_sums                        # of a whole batch
    double sums_of_losses[MAX_MICROBATCHES]
    char *scratch               # per thread
    ptrdiff_t scratch_stride
    ptrdiff_t *finished         # per thread: steps behind it
    int64_t *times              # per thread and stage: nanoseconds; NULL without a profile
    Watch watch
    ptrdiff_t watch_steps       # steps between two looks at the clock, where steps are short
    ptrdiff_t stop_at           # once the team's flag to stop is up: the step that is not begun
    ptrdiff_t wave              # where they are long: rows of a step between two rests,
    ptrdiff_t microbatch_wave   # and of each of its microbatches
    rest_hook at_rest
    void *call                  # what at_rest is told

cdef void run_steps(void *context, int thread) noexcept nogil
