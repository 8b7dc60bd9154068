"""A network's layers as sizes and pointers, and what a pass over them costs by the model.

Mirror: reference/plan.py.
"""
from fastmlp.passes.kernels cimport (
    FM_DOT_COLUMNS,
    FM_MAX_PARAMS,
    activation_is_of_rows,
    activation_keeps_slopes,
    fm_loop,
    index_of,
)
from fastmlp.passes.threads cimport MAX_THREADS, fm_nanoseconds
from libc.stdint cimport int64_t
from libc.string cimport memset

cdef enum:
    ITERATIONS = 5                       # of an optimizer that takes matrices as wholes, as they usually are

cdef double BYTES_PER_SECOND = 1e11      # that one thread reads from a third-level cache
cdef double GATHER_SECONDS = 2.5e-10     # of a byte of X that is brought from memory
cdef double WAKING_SECONDS = 20e-6       # work that a thread has to be given before it is worth waking


cdef describe(Layer *to, Network *net, layer, double drop):
    """Write down the sizes of one layer of a specification, how its matrices lie, and the dropout of its inputs."""
    to.n_in, to.n_out, to.units, to.pieces = layer.n_in, layer.n_signals, layer.n_out, layer.n_signals // layer.n_out
    to.in_panels = (to.n_in + net.panel - 1) // net.panel
    to.out_panels = (to.n_out + net.panel - 1) // net.panel
    to.dots = to.n_out <= FM_DOT_COLUMNS and to.n_out < to.n_in
    to.narrow = to.dots or (to.n_out <= net.lanes and to.n_out < to.n_in)
    to.rows, to.columns = (to.n_out, to.n_in) if to.narrow else (to.n_in, to.n_out)
    to.row_blocks, to.column_panels = ((to.out_panels, to.in_panels) if to.narrow
                                       else (to.in_panels, to.out_panels))
    to.custom = <void *> layer.activation if layer.activation.custom else NULL
    # Of a user's own one, what follows when Python has been asked is what follows for gelu: the slopes are there. Of
    # several pieces, too.
    listed = not layer.activation.custom and to.pieces == 1
    to.activation = index_of("activation", layer.activation.name if listed else "gelu")
    to.keeps_slopes = activation_keeps_slopes(to.activation)
    to.whole_rows = not listed or activation_is_of_rows(to.activation)
    net.custom |= layer.activation.custom
    net.by_rows |= to.whole_rows and to != &net.layers[net.n_layers - 1]
    fill_params(to.params, layer.activation.params)
    to.drop_below, to.drop_scale = round(drop * 65536), 1 / (1 - drop) if drop > 0 else 0
    net.random = net.random or drop > 0


cdef fill_params(double *to, params):
    """Write down an operation's parameters, and zeros up to the most that one has."""
    cdef int i
    for i in range(FM_MAX_PARAMS):
        to[i] = params[i] if i < len(params) else 0.0


cdef bint drops_outputs(Network *net, int l) noexcept nogil:
    """Whether a layer's outputs are dropped in training: the next one's inputs."""
    return l + 1 < net.n_layers and net.layers[l + 1].drop_scale > 0


cdef bint changes_outputs(Network *net, int l) noexcept nogil:
    """Whether a layer's outputs, in training, are not those of its activation."""
    return net.layers[l].residual or drops_outputs(net, l)


cdef bint is_plain(Network *net, int l) noexcept nogil:
    """Whether a layer's outputs, in training too, are f(z + b) for an elementwise f that learns nothing, and floats
    alone are made of them."""
    cdef Layer *layer = &net.layers[l]
    return not (layer.whole_rows or layer.norm or layer.vectors[SLOPE].columns or changes_outputs(net, l)
                or net.pairs != NULL)


cdef ptrdiff_t row_bytes(Network *net) noexcept:
    """Bytes of one row's inputs, outputs, deltas and what is kept beside them, in all layers."""
    cdef ptrdiff_t width = net.layers[0].n_in
    cdef int l
    for l in range(net.n_layers):
        width += (3 if net.layers[l].keeps_slopes or changes_outputs(net, l) else 2) * net.layers[l].n_out
        width += net.layers[l].n_out if net.layers[l].residual else 0
        width += net.layers[l].n_out if net.layers[l].vectors[SLOPE].columns else 0
        width += 2 * net.layers[l].n_out if net.layers[l].norm else 0
    return width * net.item


cdef double weight_bytes(Network *net) noexcept nogil:
    """Bytes of one copy of all weights."""
    cdef double total = 0
    cdef int l
    for l in range(net.n_layers):
        total += <double> net.layers[l].n_in * net.layers[l].n_out
    return total * net.item


cdef double multiply_adds(Network *net, ptrdiff_t rows, bint train) noexcept nogil:
    """Multiply-adds of one pass over so many rows: forward, and with `train` the input deltas, the gradient, and what
    an optimizer does with whole matrices."""
    cdef double total = 0
    cdef int l
    for l in range(net.n_layers):
        total += <double> net.layers[l].n_in * net.layers[l].n_out * (1 if not train else 2 if l == 0 else 3)
    return total * rows + (multiply_adds_of_matrices(net) if train else 0)


cdef double multiply_adds_of_matrices(Network *net) noexcept nogil:
    """Multiply-adds between gradient and update (orthogonal.pyx), with as many iterations as are usual."""
    cdef double total = 0, rows, columns
    cdef int l
    if not net.whole_matrices:
        return 0
    for l in range(net.n_layers):
        rows, columns = max(net.layers[l].n_in, net.layers[l].n_out), min(net.layers[l].n_in, net.layers[l].n_out)
        total += ITERATIONS * columns * columns * (1.5 * rows + 0.5 * columns)
    return total


# Measured once per process and kept: seconds per multiply-add by table.
_SECONDS_PER_FMA = {}


cdef double seconds_per_fma(Network *net) except -1:
    """Seconds per multiply-add, from the fastest of a few short runs of the multiply-add loop, doubled: what whole
    layers reach of it."""
    cdef char sink[256]
    cdef fm_loop loop = net.kernels.fma_loop if net.pairs == NULL else net.pairs.dot_loop
    cdef double flops = 0
    cdef int64_t start, nanoseconds, best = 1 << 62
    cdef bint pairs = net.pairs != NULL
    key = (net.kernels.isa, net.kernels.dtype, pairs)
    if key not in _SECONDS_PER_FMA:
        memset(sink, 0, sizeof(sink))
        for _run in range(5):
            start = fm_nanoseconds()
            flops = loop(200, sink)
            nanoseconds = fm_nanoseconds() - start
            best = min(best, max(nanoseconds, <int64_t> 1))
        _SECONDS_PER_FMA[key] = 2 * best * 1e-9 / (flops / 2)
    return _SECONDS_PER_FMA[key]


cdef double seconds_of_rows(Network *net, ptrdiff_t rows, bint train) except -1:
    """About how long one thread needs for a pass over so many rows, gathered from memory."""
    return (multiply_adds(net, rows, train) * seconds_per_fma(net)
            + <double> rows * net.layers[0].n_in * net.item * GATHER_SECONDS)


cdef double seconds_alone(Network *net, ptrdiff_t rows) except -1:
    """Seconds of a step on one thread, by the model, which is on the cautious side."""
    return multiply_adds(net, rows, True) * seconds_per_fma(net)


cdef int threads_for(Network *net, ptrdiff_t rows, bint train, int most) except -1:
    """Threads for a single pass, which is over before anything can be tried: as many as get a share of the work that is
    worth waking them for."""
    cdef double seconds
    most = min(most, <int> MAX_THREADS)
    if most == 1:
        return 1
    seconds = multiply_adds(net, rows, train) * seconds_per_fma(net)
    if weight_bytes(net) > WEIGHT_CACHE_BYTES:
        seconds = max(seconds, weight_bytes(net) / BYTES_PER_SECOND)
    return max(1, min(most, <int> min(seconds / WAKING_SECONDS, 1e6)))
