# What the threads of a run of training steps share: its plan, what one call does with it, and what comes out.
from fastmlp.passes.layers cimport Network
from fastmlp.passes.loss cimport PerRow
from fastmlp.passes.orthogonal cimport Direction
from fastmlp.passes.plan cimport MAX_MICROBATCHES, MAX_SHARES, Plan
from fastmlp.passes.rows cimport Examples
from fastmlp.passes.threads cimport MAX_THREADS, Place, Team, Watch, fm_counter_load, fm_nanoseconds
from fastmlp.passes.workspace cimport Workspace
from libc.stdint cimport int64_t, uint64_t

# Stages of a step, for a profile; STAGES in fastmlp/spec has their names.
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

# What the calling thread does at a seam, while all others wait: when rows [start, start + rows) of the order have come
# so far, or all of the step's. False: the step is to be given up, of which nothing has been applied yet.
ctypedef bint (*seam_hook)(void *call, ptrdiff_t step, ptrdiff_t start, ptrdiff_t rows) noexcept nogil

cdef struct Results:
    double *losses              # per step: weighted mean before the update
    double *squared_weights     # per step: sum of the squared weights before the update; NULL when not wanted
    PerRow per_row
    double *layer_norms         # that sum's parts, per layer
    double *penalties           # per layer: what its weights add to the loss of the step
    double sums_of_losses[MAX_MICROBATCHES]
    double *sums_of_shares      # per share of each step: sum w l; NULL where batches are whole
    ptrdiff_t *finished         # per thread: steps behind it
    int64_t *times              # per thread and stage: nanoseconds; NULL without a profile

cdef struct Steps:
    const Plan *plan
    Team *team
    # What is read.
    Examples *examples
    ptrdiff_t rows              # in the order
    ptrdiff_t epoch_rows        # of these, those of an epoch, whose last batch may be smaller
    ptrdiff_t epoch_steps
    const double *weight_sums   # per step
    const double *table         # a row of so many columns per step; NULL where the gradient is all that is wanted
    ptrdiff_t columns
    const ptrdiff_t *parts      # as in a Rule
    uint64_t seed               # of what is random in a step
    int64_t before              # updates before the step of number 0
    ptrdiff_t first             # steps [first, last) are to be done
    ptrdiff_t last
    # Where several processes make a step, each a part of it.
    ptrdiff_t shares            # of each step, whose gradients are summed up apart where they are exchanged; else 1
    const int64_t *starts       # where each begins in the order; their end. NULL: one batch follows the other
    const int64_t *places       # number of each one's first row in the whole batch
    # Where it is kept meanwhile.
    Workspace *workspaces[MAX_THREADS]      # for microbatches one of each thread's own, else the first is everybody's
    Network *sums[MAX_SHARES]   # gradients of the microbatches, or of the shares
    Network *gradient           # of a batch, or the sum of its parts so far; NULL for batches of one part
    char *scratch               # per thread
    ptrdiff_t scratch_stride
    double average              # share of the parameters in their moving average; 0: it stays
    # How the gradient is clipped.
    double clip_value           # the magnitude that its entries may have; 0: any
    double clip_norm            # its own norm, where there is room for
    char *squares               # the sums of its tiles, else NULL
    Direction *directions       # of layers, for an optimizer that takes matrices as wholes; else NULL
    # What happens where everybody is at rest.
    rest_hook at_rest
    seam_hook at_loss           # NULL, or where the plan has this seam open
    seam_hook at_gradient       # NULL, or where it has that one open and the gradient is for an update
    seam_hook exchange          # NULL, or adds up the gradients of all processes' shares, in the place of the first
    void *call                  # what all four are told
    Watch watch
    ptrdiff_t stop_at           # once the team's flag to stop is up: the step that is not begun
    Results out

# Rows of one step that go through both phases together: a part of its batch, or all of it where that is cut into
# microbatches.
cdef struct Part:
    ptrdiff_t step
    ptrdiff_t share
    ptrdiff_t start             # in the order
    ptrdiff_t place             # in the whole batch
    ptrdiff_t rows
    ptrdiff_t microbatch        # rows that a thread takes through both phases alone; 0: the batch is not cut so
    bint first
    bint last

cdef void stop_at(Steps *run, ptrdiff_t step) noexcept nogil
cdef void rest(Steps *run, Place *place, ptrdiff_t step) noexcept nogil
cdef bint goes_on_after_rest(Steps *run, Place *place, Part *part) noexcept nogil
cdef bint by_calling_thread(Steps *run, Place *place, seam_hook hook, Part *part) noexcept nogil

cdef inline bint goes_on(Steps *run) noexcept nogil:
    """Whether a step may be finished of which nothing has been applied. In a short one the flag to stop asks for no
    more than an end behind it."""
    return not (fm_counter_load(run.team.failed) or (run.plan.wave > 0 and fm_counter_load(run.team.stop)))

cdef inline int64_t lap(Steps *run, int thread, int stage, int64_t since) noexcept nogil:
    """Book the time since then under a stage, where a profile is wanted."""
    cdef int64_t now
    if run.out.times == NULL:
        return 0
    now = fm_nanoseconds()
    run.out.times[thread * N_STAGES + stage] += now - since
    return now

cdef inline ptrdiff_t rows_of_step(Steps *run, ptrdiff_t step) noexcept nogil:
    """How many rows the batch of a step has: the last one of an epoch may be smaller."""
    return min(run.plan.batch, run.epoch_rows - step_of_epoch(run, step) * run.plan.batch)

cdef inline ptrdiff_t step_of_epoch(Steps *run, ptrdiff_t step) noexcept nogil:
    """The number of a step in its epoch."""
    return step if step < run.epoch_steps else step % run.epoch_steps

cdef inline ptrdiff_t first_of_step(Steps *run, ptrdiff_t step) noexcept nogil:
    """The place in the order at which the batch of a step begins."""
    if step < run.epoch_steps:
        return step * run.plan.batch
    return step // run.epoch_steps * run.epoch_rows + step % run.epoch_steps * run.plan.batch
