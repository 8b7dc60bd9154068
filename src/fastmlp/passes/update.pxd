# The update of tiles of weights and of vectors.
from fastmlp.passes.kernels cimport FM_MAX_STATES, fm_optimizer_kernel
from fastmlp.passes.layers cimport Network
from fastmlp.passes.pairs cimport round_weights
from fastmlp.passes.threads cimport Place, Team
from fastmlp.passes.tiles cimport Tile, transpose_of, weights_of
from fastmlp.passes.workspace cimport Workspace

# What a step does with the gradient.
cdef struct Rule:
    const double *step       # its row of the table
    const ptrdiff_t *parts   # where in it those begin that weights and vectors of each layer follow; NULL: at its start
    double factor            # that the gradient is multiplied by: less than 1 where its norm was too large
    double most              # that an entry's magnitude may be; 0: anything
    double share             # of the parameters in their moving average afterwards; 0: it stays

# The rows of a tile that are updated next, and what they are updated by.
cdef struct Aim:
    fm_optimizer_kernel optimizer
    const double *step
    char *weight
    char *gradient
    void *state[FM_MAX_STATES]
    bint plain                   # there is nothing but the gradient of the loss, and the optimizer

cdef void aim_at(Network *net, Tile *t, const Rule *rule, char *g, Aim *aim) noexcept nogil
cdef void update_next(Network *net, Aim *aim, ptrdiff_t rows, const Rule *rule) noexcept nogil
cdef void update_item(Network *net, Workspace *ws, ptrdiff_t rows, ptrdiff_t item, Network *before,
                      const Rule *rule, bint shared, char *scratch) noexcept nogil
cdef void update_summed(Network *net, Network **sums, ptrdiff_t n_sums, ptrdiff_t item, const Rule *rule,
                        char *scratch) noexcept nogil
cdef void update_stored(Network *net, Network *gradient, ptrdiff_t item, const Rule *rule) noexcept nogil
cdef void average_phase(Network *net, Team *team, Place *place, double share) noexcept nogil

cdef inline const double *step_of(const Rule *rule, ptrdiff_t tensor) noexcept nogil:
    """The part of a step's row that a tensor follows: number 2 l is weights of layer l, 2 l + 1 its vectors."""
    return rule.step if rule.parts == NULL else rule.step + rule.parts[tensor]

cdef inline void clip(Network *net, ptrdiff_t n, const Rule *rule, char *g) noexcept nogil:
    """Clip n entries of a gradient."""
    if rule.factor != 1:
        net.kernels.scale(n, rule.factor, g)
    if rule.most != 0:
        net.kernels.limit(n, rule.most, g)

cdef inline void average(Network *net, ptrdiff_t n, char *parameters, const Rule *rule) noexcept nogil:
    """Let the moving average of n parameters follow them."""
    if rule.share != 0:
        net.kernels.average(n, parameters, rule.share, parameters + net.average)

cdef inline void transpose_tile(Network *net, Tile *t) noexcept nogil:
    """The other copies of a tile that has been updated."""
    if net.layers[t.l].transposed != NULL:
        net.kernels.transpose(t.rows, min(net.panel, t.columns), weights_of(net, t, net.layers[t.l].updated, 0),
                              transpose_of(net, t))
    if net.pairs != NULL:
        round_weights(net, &net.layers[t.l], t.i, t.j)
