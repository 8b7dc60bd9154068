# How a batch goes through the network: cut into what, shared out how, with which seams open.
#
# Words for cuts, each for one thing in all passes, the larger before the smaller:
#   rows       batch       of one step
#              microbatch  one thread sums up its gradient alone; those sums are then added in their order
#              part        goes through rows phase and tiles phase before the next one, so that it stays in the caches
#              block       one thread carries it through all layers: an item of the rows phase, or of a prediction
#   weights    layer
#              panel       P columns of a matrix, P being two vectors; all of its rows lie one after the other
#              tile        P x P weights: an item of the tiles phase
#   threads    phase       something that all threads of a team have done before any of them goes on
#              item        what one of them claims of it
#   time       wave        rows of a long step, or of a prediction, between two rests, where signal handlers may run
#
# Two seams divide a step: loading and forward | A: the loss | backward || gradient | B | update. A closed one is passed
# while the rows, or the tile, are in one thread's cache.
from fastmlp.passes.layers cimport Network
from libc.stdint cimport int32_t

cdef enum:
    MAX_MICROBATCHES = 16
    MAX_SHARES = 64              # that a process has of a step which several make together

# Made once for a batch and a way to share it out, then read only.
cdef struct Plan:
    Network *net
    # The seams. With A open, a batch is not cut into microbatches, which a thread takes over it alone.
    bint loss_apart              # A is open: backward is a phase of its own, and before it a hook sees the loss
    bint gradient_stored         # B is open: the whole batch's gradient is stored; who asked for it comes next
    bint lazy                    # of sparse rows: the first layer's update touches the weights of their columns alone
    bint whole_batch             # statistics are of all of its rows, which go through each layer together, by panels
    # How the batch is cut. It decides the order of the sums, so it depends on the network and the batch alone.
    ptrdiff_t batch
    ptrdiff_t microbatch         # 0: the batch is not cut so
    ptrdiff_t last_microbatch    # the same of a last batch that is smaller: cut as if it came alone, in its own run
    ptrdiff_t part               # of a batch or microbatch
    ptrdiff_t n_sums             # gradients that are kept meanwhile: of the microbatches, or of the parts together
    # How it is shared out. No bit depends on it.
    int team_size
    bint by_panels               # a layer by its panels, not the rows by blocks
    ptrdiff_t block
    const int32_t *tiles         # in the order of their panels; NULL: as they are
    # Signals.
    ptrdiff_t watch_steps        # steps between two looks at the clock, where steps are short
    ptrdiff_t wave               # of a batch, where they are long, else 0
    ptrdiff_t microbatch_wave    # of each of its microbatches

cdef void cut_batch(Plan *plan, Network *net, ptrdiff_t batch, ptrdiff_t rows, bint loss_apart,
                    bint gradient_stored, bint training, bint lazy=*) noexcept
cdef void cut_shares(Plan *plan, ptrdiff_t most, ptrdiff_t n_sums) noexcept
cdef int share_batch(Plan *plan, int team_size, bint by_panels, const int32_t *tiles) except -1
cdef int most_threads(const Plan *plan) noexcept
cdef bint share_by_panels(Network *net, ptrdiff_t batch, int threads) noexcept
cdef ptrdiff_t row_block(Network *net, ptrdiff_t batch, int threads, bint train) noexcept
cdef ptrdiff_t rows_at_once(Network *net) noexcept
cdef ptrdiff_t panels_at_once(ptrdiff_t panels, int threads) noexcept nogil
