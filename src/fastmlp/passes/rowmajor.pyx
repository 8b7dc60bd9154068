"""Tiles of weights from and to matrices that others keep row by row, as (I, O) or, as PyTorch does, as (O, I).

No mirror in reference/: NumPy's parameters are such matrices.
"""
import numpy as np

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBuffer_Release, PyObject_GetBuffer
from fastmlp.passes.layers cimport WEIGHTS, Layer, weight_bytes
from fastmlp.passes.pairs cimport round_weights
from fastmlp.passes.threads cimport (
    MAX_THREADS,
    Place,
    Team,
    fm_allocate,
    fm_free,
    phase_begin,
    phase_end,
    phase_next,
    team_free,
    team_new,
    team_run,
)
from fastmlp.passes.tiles cimport count_tiles, scratch_bytes, tile_of, transpose_of, weights_of
from libc.stdlib cimport calloc, free

cdef enum:
    # Less is copied before another thread has begun.
    ALONE_BYTES = 256 * 1024


cdef ptrdiff_t count_parameters(Network *net) noexcept nogil:
    """Numbers that are trained, of all layers."""
    cdef ptrdiff_t count = 0
    cdef int l, v
    for l in range(net.n_layers):
        count += net.layers[l].n_in * net.layers[l].n_out
        for v in range(net.layers[l].n_vectors):
            count += net.layers[l].vectors[net.layers[l].which[v]].columns
    return count


cdef int count_tensors(Network *net) noexcept nogil:
    """Weights and vectors of all layers."""
    return first_tensor(net, net.n_layers)


cdef int first_tensor(Network *net, int l) noexcept nogil:
    """The place of a layer's weights among the tensors of all layers; its vectors follow them."""
    cdef int place = 0, before
    for before in range(l):
        place += 1 + net.layers[before].n_vectors
    return place


cdef void places_in_vector(Network *net, char *parameters, char **tensors) noexcept nogil:
    """Find where each tensor begins in a vector of all parameters: each layer's weights before its vectors."""
    cdef Layer *layer
    cdef int l, v, place = 0
    for l in range(net.n_layers):
        layer = &net.layers[l]
        tensors[place] = parameters
        parameters += layer.n_in * layer.n_out * net.item
        for v in range(layer.n_vectors):
            tensors[place + 1 + v] = parameters
            parameters += layer.vectors[layer.which[v]].columns * net.item
        place += 1 + layer.n_vectors


cdef void take_tile(Network *net, Tile *t, char *g, bint transposed, char *room, char **tensors) noexcept nogil:
    """Copy a tile of weights or a layer's vector, which lie at `g`, to their tensor, weights (I, O) or transposed, if
    it is wanted (not NULL); with room for another tile."""
    cdef Layer *layer = &net.layers[t.l]
    cdef ptrdiff_t columns = min(net.panel, t.columns)
    cdef char *to = tensors[first_tensor(net, t.l) + (0 if t.vector == WEIGHTS else 1 + t.place)]
    if to == NULL:
        return
    if t.vector != WEIGHTS:
        columns = layer.vectors[t.vector].columns
        net.kernels.unpack(1, columns, g, net.panel, to, columns)
    elif transposed == layer.narrow:
        to += (t.i * layer.columns + t.j) * net.panel * net.item
        net.kernels.unpack(t.rows, columns, g, 0, to, layer.columns)
    else:
        net.kernels.transpose(t.rows, columns, g, room)
        net.kernels.unpack(columns, t.rows, room, 0, to + (t.j * layer.rows + t.i) * net.panel * net.item, layer.rows)


# What the threads share that write parameters.
cdef struct Writing:
    Team *team
    Network *net
    const char **tensors         # weights (O, I) and vectors of each layer
    char *scratch                # per thread


cdef void put_transposed(Network *net, Tile *t, const char **tensors, char *room) noexcept nogil:
    """Write a tile of weights, and its transpose, or a vector."""
    cdef Layer *layer = &net.layers[t.l]
    cdef const char *tensor
    cdef ptrdiff_t columns = min(net.panel, t.columns)
    cdef char *to
    tensors += first_tensor(net, t.l)
    if t.vector != WEIGHTS:
        columns = layer.vectors[t.vector].columns
        net.kernels.pack(1, columns, tensors[1 + t.place], columns, layer.vectors[t.vector].at, net.panel)
        return
    tensor = tensors[0]
    to = weights_of(net, t, layer.updated, 0)
    if layer.narrow:
        net.kernels.pack(t.rows, columns, tensor + (t.i * layer.columns + t.j) * net.panel * net.item, layer.columns,
                         to, 0)
        if layer.transposed != NULL:
            net.kernels.transpose(t.rows, columns, to, transpose_of(net, t))
        round_weights(net, layer, t.i, t.j)
        return
    if layer.transposed != NULL:
        room = transpose_of(net, t)
    net.kernels.pack(columns, t.rows, tensor + (t.j * layer.rows + t.i) * net.panel * net.item, layer.rows, room, 0)
    net.kernels.transpose(columns, t.rows, room, to)
    round_weights(net, layer, t.i, t.j)


cdef void write_tiles(void *context, int thread) noexcept nogil:
    cdef Writing *run = <Writing *> context
    cdef Place place
    cdef ptrdiff_t item
    cdef Tile t
    place.thread, place.phase, place.target = thread, 0, 0
    phase_begin(run.team, &place, count_tiles(run.net))
    while True:
        item = phase_next(run.team, &place)
        if item < 0:
            break
        t = tile_of(run.net, item)
        put_transposed(run.net, &t, run.tensors, run.scratch + thread * scratch_bytes(run.net))
    phase_end(run.team, &place)


cdef write_transposed(Parameters parameters, arrays, int team_size):
    """Replace all parameters by those of arrays, weights (O, I) and vectors of each layer in turn. It does not count as
    a change: who keeps the parameters elsewhere knows best which tapes these are of."""
    cdef Py_ssize_t count = len(arrays), taken = 0, i
    cdef Py_buffer *views
    cdef const char **tensors
    check_transposed(parameters, arrays)
    views = <Py_buffer *> calloc(count, sizeof(Py_buffer))
    tensors = <const char **> calloc(count, sizeof(char *))
    try:
        if views == NULL or tensors == NULL:
            raise MemoryError("no memory to write parameters")
        for i in range(count):
            PyObject_GetBuffer(arrays[i], &views[i], PyBUF_C_CONTIGUOUS)
            taken += 1
            tensors[i] = <const char *> views[i].buf
        put_tensors(parameters, tensors, team_size)
    finally:
        for i in range(taken):
            PyBuffer_Release(&views[i])
        free(tensors)
        free(views)


cdef put_tensors(Parameters parameters, const char **tensors, int team_size):
    """Replace all parameters by tensors that lie so in memory."""
    cdef Network *net = &parameters.net
    cdef Writing run
    if weight_bytes(net) < ALONE_BYTES:
        team_size = 1
    team_size = max(1, min(team_size, <int> MAX_THREADS))
    run.net, run.tensors = net, tensors
    run.scratch = <char *> fm_allocate(team_size * scratch_bytes(net))
    if run.scratch == NULL:
        raise MemoryError("no memory to write parameters")
    run.team = team_new(team_size)
    with nogil:
        team_run(run.team, write_tiles, &run)
        team_free(run.team)
        fm_free(run.scratch)


cdef check_transposed(Parameters parameters, arrays):
    shapes, dtype = parameters.spec.shapes, np.dtype(parameters.spec.dtype)
    if len(arrays) != len(shapes):
        raise ValueError(f"{len(arrays)} arrays; there are {len(shapes)} tensors")
    for (name, shape), array in zip(shapes.items(), arrays, strict=True):
        if array.shape != shape[::-1] or array.dtype != dtype:
            raise ValueError(f"{name} must be {dtype} of shape {shape[::-1]}, got {array.dtype} of shape "
                             f"{array.shape}")
