"""Plans: how a batch is cut, how it is shared out and which seams are open.

The figures that decide it were measured; see each. Mirror: reference/plan.py.
"""
from fastmlp.passes.layers cimport (
    WEIGHT_CACHE_BYTES,
    multiply_adds,
    multiply_adds_of_matrices,
    row_bytes,
    seconds_of_rows,
    seconds_per_fma,
    weight_bytes,
)
from fastmlp.passes.threads cimport MAX_THREADS

cdef enum:
    # A row block's outputs and deltas stay in the second-level cache of one core, beside a panel of weights.
    ROW_BLOCK_BYTES = 256 * 1024
    # But every block streams all weights once: where they do not stay in that cache, a block has rows enough to pay
    # for it (2048-2048-2048-2048, batch 1024: 8 rows reach 58 % of peak, 64 rows 77 %, 256 rows 85 %). A prediction,
    # which reads W only, is 2 % faster with half as many.
    STREAMING_ROWS = 256
    PANELS_AT_ONCE = 4
    # Outputs and deltas of a part of a large batch.
    PART_BYTES = 1536 * 1024
    # The same in a core's second-level cache, beside W, W^T and a gradient, where one thread does both phases.
    PART_ALONE_BYTES = 512 * 1024
    # A batch is cut into microbatches where weights and gradients stay in those caches, and where a microbatch has rows
    # enough: to store its gradient and to add it to the others costs as much as the products of about two rows.
    MICROBATCH_WEIGHT_BYTES = 256 * 1024
    MICROBATCH_ROWS = 128
    # Buffers of a pass over any number of rows.
    MEMORY_BYTES = 64 * 1024 * 1024

cdef double REST_SECONDS = 0.05          # of a step, by the model, after which signals are looked for inside it
# Multiply-adds between two looks at the clock: well under a millisecond.
cdef double WATCH_MULTIPLY_ADDS = 5e6


cdef void cut_batch(Plan *plan, Network *net, ptrdiff_t batch, ptrdiff_t rows, bint loss_apart,
                    bint gradient_stored, bint training, bint lazy=False) noexcept:
    """Begin a plan for `rows` rows in batches, with these seams open.

    Of sparse rows a batch has no inputs that would have to stay in a cache; where the update is lazy, it is never cut,
    since to add up the gradients of its parts would be to pass over all weights.
    """
    cdef ptrdiff_t last = rows % batch
    plan.net, plan.batch, plan.loss_apart, plan.gradient_stored = net, batch, loss_apart, gradient_stored
    plan.whole_batch, plan.lazy = training and net.batch_norm, lazy
    plan.microbatch = plan.last_microbatch = 0
    if not (loss_apart or plan.whole_batch or lazy):
        plan.microbatch = microbatch_rows(net, batch)
    if plan.microbatch > 0 and last > 0:
        plan.last_microbatch = microbatch_rows(net, last)
    plan.part = batch
    if not (plan.whole_batch or lazy):
        plan.part = part_rows(net, plan.microbatch or batch, plan.microbatch > 0)
    plan.n_sums = microbatches(net, batch) if plan.microbatch > 0 else plan.part < batch


cdef void cut_shares(Plan *plan, ptrdiff_t most, ptrdiff_t n_sums) noexcept:
    """Have batches cut into shares of `most` rows at most, of other lengths in every step; each goes through in parts.
    No microbatches: where a share is cut decides the order of the sums, so only its own rows may."""
    plan.microbatch = plan.last_microbatch = 0
    plan.part = max(part_rows(plan.net, most, False), <ptrdiff_t> 1)
    plan.n_sums = n_sums if n_sums > 0 else plan.part < most


cdef int share_batch(Plan *plan, int team_size, bint by_panels, const int32_t *tiles) except -1:
    """Complete a plan for so many threads."""
    cdef ptrdiff_t share
    plan.team_size, plan.by_panels = team_size, by_panels and team_size > 1
    plan.by_panels = plan.whole_batch or (plan.by_panels and not (plan.loss_apart or plan.net.by_rows))
    plan.tiles = tiles if plan.by_panels else NULL
    plan.block = row_block(plan.net, plan.part, 1 if plan.microbatch else team_size, True)
    plan.watch_steps = 1 + <ptrdiff_t> (WATCH_MULTIPLY_ADDS / multiply_adds(plan.net, plan.batch, True))
    plan.wave = rows_between_rests(plan.net, plan.batch, team_size)
    plan.microbatch_wave = 0
    share = plan.block * team_size
    if plan.microbatch > 0:
        plan.microbatch_wave = max(plan.wave * plan.microbatch // plan.batch // plan.part, <ptrdiff_t> 1) * plan.part
    elif plan.wave > 0:
        plan.wave = (plan.wave + share - 1) // share * share
    return 0


cdef int most_threads(const Plan *plan) noexcept:
    """Threads that can take part in a step."""
    return <int> plan.n_sums if plan.microbatch else MAX_THREADS


cdef ptrdiff_t microbatches(Network *net, ptrdiff_t batch) noexcept nogil:
    """Microbatches that a batch is cut into at most, or 0: a power of two, which most numbers of threads share
    evenly."""
    cdef ptrdiff_t count = 1
    while 2 * count <= min(<ptrdiff_t> MAX_MICROBATCHES, batch // MICROBATCH_ROWS):
        count *= 2
    return 0 if count < 2 or weight_bytes(net) > MICROBATCH_WEIGHT_BYTES else count


cdef ptrdiff_t microbatch_rows(Network *net, ptrdiff_t batch) noexcept nogil:
    """Rows of a batch whose gradient one thread sums up alone; 0 where the batch is not cut so.

    This decides the order of the sums, so it may depend on the network and the batch only, not on those beside it.
    """
    cdef ptrdiff_t count = microbatches(net, batch)
    if count == 0:
        return 0
    return ((batch + count - 1) // count + 15) // 16 * 16


cdef ptrdiff_t part_rows(Network *net, ptrdiff_t batch, bint alone) noexcept:
    """Rows of a batch that go through both phases together, their gradient being added to that of the parts before.

    Outputs and deltas of one part should stay in the caches until their gradient is taken; but each part reads and
    writes the whole gradient once, which has to be little beside them.
    """
    cdef double wanted = max(<double> (PART_ALONE_BYTES if alone else PART_BYTES), 4 * weight_bytes(net))
    cdef ptrdiff_t rows = <ptrdiff_t> min(wanted / row_bytes(net), <double> batch)
    rows = max(rows, <ptrdiff_t> 128) // 64 * 64
    return rows if 2 * rows <= batch else batch


cdef ptrdiff_t row_block(Network *net, ptrdiff_t batch, int threads, bint train) noexcept:
    """Rows that are carried through all layers together: few enough for the cache, equal shares for the threads."""
    cdef ptrdiff_t tile = net.kernels.tile_rows
    cdef ptrdiff_t fits = max(ROW_BLOCK_BYTES // row_bytes(net), tile)
    if 2 * weight_bytes(net) > WEIGHT_CACHE_BYTES:  # W and W^T
        fits = max(fits, <ptrdiff_t> (STREAMING_ROWS if train else STREAMING_ROWS // 2))
    cdef ptrdiff_t share = (batch + threads - 1) // threads
    cdef ptrdiff_t blocks = (share + fits - 1) // fits
    cdef ptrdiff_t rows = (share + blocks - 1) // max(blocks, <ptrdiff_t> 1)
    if rows > tile:
        rows = (rows + tile - 1) // tile * tile
    elif net.pairs != NULL:  # which are of two rows
        rows += rows % 2
    return max(rows, <ptrdiff_t> 1)


cdef ptrdiff_t rows_at_once(Network *net) noexcept:
    """Rows that are kept together in a pass over any number of them."""
    cdef ptrdiff_t width = 0
    cdef int l
    for l in range(net.n_layers):
        width += net.layers[l].n_in + 2 * net.layers[l].n_out
    return max(<ptrdiff_t> 64, MEMORY_BYTES // (width * net.item) // 2 * 2)


cdef bint share_by_panels(Network *net, ptrdiff_t batch, int threads) noexcept:
    """Whether a layer is better split by its column panels than by rows: a thread would get less than half a tile."""
    return threads > 1 and 2 * batch < threads * net.kernels.tile_rows and not net.by_rows


cdef ptrdiff_t panels_at_once(ptrdiff_t panels, int threads) noexcept nogil:
    """Panels of one item of a layer that is split by them: a share for every thread, no more than the row kernel takes
    at once."""
    return max(<ptrdiff_t> 1, min(<ptrdiff_t> PANELS_AT_ONCE, panels // threads))


cdef ptrdiff_t rows_between_rests(Network *net, ptrdiff_t batch, int threads) except -1:
    """Rows of a batch after which a long step comes to rest, so that signals are noticed; 0 where it is over soon."""
    cdef double seconds = seconds_of_rows(net, batch, True) / threads
    if seconds <= REST_SECONDS:
        return 0
    seconds -= multiply_adds_of_matrices(net) * seconds_per_fma(net) / threads
    return batch if seconds <= REST_SECONDS else max(<ptrdiff_t> (batch * (REST_SECONDS / seconds)), <ptrdiff_t> 1)
