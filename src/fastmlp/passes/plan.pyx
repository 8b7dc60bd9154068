"""Plans: one arena for the parameters, one for a batch's buffers, sizes, kernel table and number of threads.

Everything that can be wrong is checked here, before a pass runs. Mirror: reference/plan.py.
"""
import numpy as np

from fastmlp.passes.kernels cimport (
    FM_DOT_COLUMNS,
    FM_SOURCE_float32,
    FM_SOURCE_float64,
    Matrix,
    fm_kernels,
    index_of,
    kernel_table,
    loss_output,
    optimizer_states,
)
from fastmlp.passes.sweep cimport all_finite, copy_bytes
from fastmlp.passes.threads cimport MAX_THREADS, fm_allocate, fm_allocate_raw, fm_free, fm_nanoseconds
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

cdef enum:
    ALIGNMENT = 128
    # Right-hand panel bytes that stay in the first-level cache while all rows of a block pass over them.
    PANEL_BLOCK_BYTES = 24 * 1024
    # A row block's outputs and deltas stay in the second-level cache of one core, beside a panel of weights.
    ROW_BLOCK_BYTES = 256 * 1024
    # But every block streams all weights once: where they do not stay in that cache, a block has rows enough to pay
    # for it (2048-2048-2048-2048, batch 1024: 8 rows reach 58 % of peak, 64 rows 77 %, 256 rows 85 %). A prediction,
    # which reads W only, is 2 % faster with half as many.
    WEIGHT_CACHE_BYTES = 1024 * 1024
    STREAMING_ROWS = 256
    # Weights and state of more than this are fetched ahead of a square's update, which takes 5 to 25 % off a step
    # (1024-1024-1024-1024, batch 256 and 32). Less comes from the caches in time: fetching it would only cost (2 % of
    # 784-256-128-10).
    FAR_BYTES = 4 * 1024 * 1024
    PANELS_AT_ONCE = 4
    # Outputs and deltas of a part of a large batch.
    PART_BYTES = 1536 * 1024
    # The same in a core's second-level cache, beside W, W^T and a gradient, where one thread does both phases.
    PART_ALONE_BYTES = 512 * 1024
    # A batch is cut into microbatches where weights and gradients stay in those caches, and where a microbatch has rows
    # enough: to store its gradient and to add it to the others costs as much as the products of about two rows.
    MICROBATCH_WEIGHT_BYTES = 256 * 1024
    MICROBATCH_ROWS = 128

_MOST_BYTES = 1 << 46

cdef double BYTES_PER_SECOND = 1e11      # that one thread reads from a third-level cache
cdef double GATHER_SECONDS = 2.5e-10     # of a byte of X that is brought from memory
cdef double WAKING_SECONDS = 20e-6    # work that a thread has to be given before it is worth waking
cdef double REST_SECONDS = 0.05       # of a step, by the model, after which signals are looked for inside it


cdef inline size_t aligned(size_t size) noexcept nogil:
    return (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


cdef inline char *take(char *base, size_t *used, size_t size) noexcept nogil:
    """The next piece of an arena; with base NULL only its size is counted."""
    cdef char *piece = base + used[0] if base != NULL else NULL
    used[0] += aligned(size)
    return piece


cdef class Parameters:
    """Weights, biases and optimizer state of one network, in panels."""

    def __cinit__(self, spec, isa=None):
        cdef const fm_kernels *table = kernel_table(isa, spec.dtype)
        cdef int l
        self.spec = spec
        self.net.kernels = table
        self.net.item, self.net.panel, self.net.lanes = table.itemsize, table.panel, table.lanes
        # A multiple of the panel's width, so that the left operand's panels are never cut.
        self.net.block_rows = max(PANEL_BLOCK_BYTES // (table.panel * table.itemsize) // table.panel, 1) * table.panel
        self.clip_losses(False)
        self.net.fused = loss_output(index_of("loss", spec.loss.name)) != ""
        self.net.optimizer = NO_OPTIMIZER
        layers = spec.layers
        refuse_too_large(sum(2 * (n.n_in + table.panel) * (n.n_out + table.panel) for n in layers) * table.itemsize)
        self.net.n_layers = len(layers)
        self.net.layers = <Layer *> calloc(self.net.n_layers, sizeof(Layer))
        if self.net.layers == NULL:
            raise MemoryError("no memory for the layers")
        for l in range(self.net.n_layers):
            self.describe(l, layers[l])
        self.arena = allocate(self.lay_out(NULL))
        self.lay_out(self.arena)

    def __dealloc__(self):
        fm_free(self.arena)
        fm_free(self.state_arena)
        free(self.net.layers)

    def clip_losses(self, bint clip):
        cdef int loss = index_of("loss", self.spec.loss.name)
        self.net.loss = self.net.kernels.clipped_loss[loss] if clip else self.net.kernels.loss[loss]

    def describe(self, int l, layer):
        cdef Layer *to = &self.net.layers[l]
        to.n_in, to.n_out = layer.n_in, layer.n_out
        to.in_panels = (to.n_in + self.net.panel - 1) // self.net.panel
        to.out_panels = (to.n_out + self.net.panel - 1) // self.net.panel
        to.dots = to.n_out <= FM_DOT_COLUMNS and to.n_out < to.n_in
        to.narrow = to.dots or (to.n_out <= self.net.lanes and to.n_out < to.n_in)
        to.rows, to.columns = (to.n_out, to.n_in) if to.narrow else (to.n_in, to.n_out)
        to.row_blocks, to.column_panels = ((to.out_panels, to.in_panels) if to.narrow
                                           else (to.in_panels, to.out_panels))
        to.param = layer.activation.params[0] if layer.activation.params else 0
        if layer.activation.name == "softmax":
            to.activation = SOFTMAX
        else:
            to.activation = index_of("activation", layer.activation.name)

    cdef size_t lay_out(self, char *base):
        """What is updated first, then the transposes, which can be made of it."""
        cdef size_t used = 0
        cdef Layer *layer
        cdef size_t width = self.net.panel * self.net.item
        for l in range(self.net.n_layers):
            layer = &self.net.layers[l]
            layer.updated = take(base, &used, layer.column_panels * layer.rows * width)
            layer.bias = take(base, &used, layer.out_panels * width)
        self.updated_bytes = used
        for l in range(self.net.n_layers):
            layer = &self.net.layers[l]
            layer.transposed = NULL
            if (layer.narrow and not layer.dots) or (l > 0 and not layer.narrow):
                layer.transposed = take(base, &used, layer.row_blocks * layer.columns * width)
            layer.weight = layer.transposed if layer.narrow else layer.updated
            layer.weight_t = layer.updated if layer.narrow else layer.transposed
        return used

    cdef size_t lay_out_state(self, char *base):
        cdef size_t used = 0
        cdef Layer *layer
        cdef size_t width = self.net.panel * self.net.item
        for l in range(self.net.n_layers):
            layer = &self.net.layers[l]
            for s in range(MAX_STATES):
                layer.weight_state[s] = layer.bias_state[s] = NULL
            for s in range(self.net.n_states):
                layer.weight_state[s] = take(base, &used, layer.column_panels * layer.rows * width)
                layer.bias_state[s] = take(base, &used, layer.out_panels * width)
        return used

    def use_optimizer(self, name):
        cdef int optimizer = NO_OPTIMIZER if name is None else index_of("optimizer", name)
        cdef int before = self.net.n_states
        cdef char *arena
        self.net.n_states = 0 if name is None else optimizer_states(optimizer)
        try:
            size = self.lay_out_state(NULL)
            arena = allocate(size) if size else NULL
        except MemoryError:
            self.net.n_states = before
            self.lay_out_state(self.state_arena)
            raise
        fm_free(self.state_arena)
        self.state_arena, self.state_bytes = arena, size
        self.net.optimizer = optimizer
        self.net.far = (1 + self.net.n_states) * weight_bytes(&self.net) > FAR_BYTES
        self.lay_out_state(arena)

    cdef void refresh_transposes(self) noexcept nogil:
        """The other copy of every matrix from the one that is updated, block by block."""
        cdef Layer *layer
        cdef ptrdiff_t i, j, panel = self.net.panel, item = self.net.item
        for l in range(self.net.n_layers):
            layer = &self.net.layers[l]
            if layer.transposed == NULL:
                continue
            for i in range(layer.row_blocks):
                for j in range(layer.column_panels):
                    self.net.kernels.transpose(
                        min(panel, layer.rows - i * panel), min(panel, layer.columns - j * panel),
                        layer.updated + (j * layer.rows + i * panel) * panel * item,
                        layer.transposed + (i * layer.columns + j * panel) * panel * item)

    def read(self, int state=-1):
        """Copies of the parameters by name, or of one slot of the optimizer's state."""
        tensors = {}
        cdef Layer *layer
        cdef char *from_weight
        cdef char *from_bias
        cdef char[:, ::1] weight_bytes
        cdef char[::1] bias_bytes
        for l in range(self.net.n_layers):
            layer = &self.net.layers[l]
            from_weight = layer.updated if state < 0 else layer.weight_state[state]
            from_bias = layer.bias if state < 0 else layer.bias_state[state]
            weight = np.empty((layer.rows, layer.columns), self.spec.dtype)
            bias = np.empty(layer.n_out, self.spec.dtype)
            weight_bytes, bias_bytes = weight.view(np.int8), bias.view(np.int8)
            self.net.kernels.unpack(layer.rows, layer.columns, from_weight, layer.rows * self.net.panel,
                                    &weight_bytes[0, 0], layer.columns)
            self.net.kernels.unpack(1, layer.n_out, from_bias, self.net.panel, &bias_bytes[0], layer.n_out)
            tensors[f"layers.{l}.weight"] = np.ascontiguousarray(weight.T) if layer.narrow else weight
            tensors[f"layers.{l}.bias"] = bias
        return tensors

    def write(self, tensors, int state=-1):
        """The inverse of read: all of its names, with arrays of the network's dtype and shapes."""
        cdef Layer *layer
        cdef char *to_weight
        cdef char *to_bias
        cdef const char[:, ::1] weight_bytes
        cdef const char[::1] bias_bytes
        arrays = self.checked(tensors)
        for l in range(self.net.n_layers):
            layer = &self.net.layers[l]
            weight, bias = arrays[f"layers.{l}.weight"], arrays[f"layers.{l}.bias"]
            if layer.narrow:
                weight = np.ascontiguousarray(weight.T)
            weight_bytes, bias_bytes = weight.view(np.int8), bias.view(np.int8)
            to_weight = layer.updated if state < 0 else layer.weight_state[state]
            to_bias = layer.bias if state < 0 else layer.bias_state[state]
            self.net.kernels.pack(layer.rows, layer.columns, &weight_bytes[0, 0], layer.columns, to_weight,
                                  layer.rows * self.net.panel)
            self.net.kernels.pack(1, layer.n_out, &bias_bytes[0], layer.n_out, to_bias, self.net.panel)
        if state < 0:
            self.refresh_transposes()

    cdef dict checked(self, tensors):
        """These tensors as C-contiguous arrays, if they are all that there are and what they have to be."""
        cdef Layer *layer
        shapes = {}
        for l in range(self.net.n_layers):
            layer = &self.net.layers[l]
            shapes[f"layers.{l}.weight"], shapes[f"layers.{l}.bias"] = (layer.n_in, layer.n_out), (layer.n_out,)
        if tensors.keys() != shapes.keys():
            raise ValueError(f"tensors are {', '.join(tensors)}; they must be {', '.join(shapes)}")
        arrays = {name: np.ascontiguousarray(tensors[name]) for name in shapes}
        for name, array in arrays.items():
            if array.shape != shapes[name] or array.dtype != np.dtype(self.spec.dtype):
                raise ValueError(f"{name} must be {self.spec.dtype} of shape {shapes[name]}, got {array.dtype} of "
                                 f"shape {array.shape}")
        return arrays

    def copy(self, Copy into=None, int threads=1):
        """Parameters and the optimizer's state as they lie, for `restore`; into the memory of a copy that is no longer
        needed, if there is one: new pages cost more than what is written to them."""
        cdef Copy copy = into
        if into is None or (into.parameters_bytes, into.state_bytes) != (self.updated_bytes, self.state_bytes):
            copy = Copy(self.updated_bytes, self.state_bytes)
        copy_bytes(copy.memory, self.arena, self.updated_bytes, threads)
        copy_bytes(copy.memory + self.updated_bytes, self.state_arena, self.state_bytes, threads)
        return copy

    def restore(self, Copy copy not None):
        if (copy.parameters_bytes, copy.state_bytes) != (self.updated_bytes, self.state_bytes):
            raise ValueError("the copy is of another network or optimizer")
        with nogil:
            memcpy(self.arena, copy.memory, self.updated_bytes)
            if self.state_bytes:
                memcpy(self.state_arena, copy.memory + self.updated_bytes, self.state_bytes)
            self.refresh_transposes()

    def is_finite(self, int threads=1):
        """Whether all parameters are; padding is."""
        cdef Matrix matrix
        matrix.data, matrix.rows, matrix.columns = self.arena, <ptrdiff_t> self.updated_bytes // self.net.item, 1
        matrix.row_stride = matrix.column_stride = self.net.item
        matrix.source = FM_SOURCE_float32 if self.net.item == 4 else FM_SOURCE_float64
        return bool(all_finite(&matrix, self.net.kernels, threads))

    @property
    def isa(self):
        return self.net.kernels.isa.decode()

    @property
    def n_states(self):
        return self.net.n_states


cdef class Copy:
    """The bytes of a network's parameters and of its optimizer's state."""

    def __cinit__(self, size_t parameters_bytes, size_t state_bytes):
        self.parameters_bytes, self.state_bytes = parameters_bytes, state_bytes
        self.memory = <char *> fm_allocate_raw(parameters_bytes + state_bytes)
        if self.memory == NULL:
            raise MemoryError(f"no memory for a copy of {(parameters_bytes + state_bytes) / 2**20:.0f} MiB")

    def __dealloc__(self):
        fm_free(self.memory)


cdef class Buffers:
    """The workspace for up to `capacity` rows at once."""

    def __cinit__(self, Parameters parameters, ptrdiff_t capacity, Purpose purpose):
        cdef Network *net = &parameters.net
        cdef ptrdiff_t rows = (capacity + net.kernels.tile_rows - 1) // net.kernels.tile_rows * net.kernels.tile_rows
        # Panels a multiple of 4096 bytes apart would all compete for the same few sets of the first-level cache.
        if rows * net.panel * net.item % 4096 == 0:
            rows += net.kernels.tile_rows
        widths = sum(n.n_in + n.n_out + 2 * net.panel for n in parameters.spec.layers)
        refuse_too_large(2 * rows * (widths + 2) * net.item)
        self.ws.capacity = capacity
        self.ws.stride = rows * net.panel
        self.ws.a = <char **> calloc(2 * (net.n_layers + 1), sizeof(char *))
        if self.ws.a == NULL:
            raise MemoryError("no memory for the layers' buffers")
        self.ws.d = self.ws.a + net.n_layers + 1
        self.purpose = purpose
        self.arena = allocate(self.lay_out(net, NULL))
        self.lay_out(net, self.arena)

    def __dealloc__(self):
        fm_free(self.arena)
        free(self.ws.a)

    cdef size_t lay_out(self, Network *net, char *base):
        cdef size_t used = 0
        cdef size_t panel = self.ws.stride * net.item
        cdef int l, last = net.n_layers
        self.ws.a[0] = take(base, &used, net.layers[0].in_panels * panel)
        for l in range(last):
            self.ws.a[l + 1] = take(base, &used, net.layers[l].out_panels * panel)
        for l in range(last):
            if self.purpose == TRAIN or (self.purpose == EVALUATE and l == last - 1):
                self.ws.d[l + 1] = take(base, &used, net.layers[l].out_panels * panel)
        if self.purpose != PREDICT:
            self.ws.target = take(base, &used, net.layers[last - 1].out_panels * panel)
            self.ws.labels = <int32_t *> take(base, &used, self.ws.capacity * sizeof(int32_t))
            self.ws.scale = take(base, &used, self.ws.capacity * net.item)
            self.ws.row_loss = <double *> take(base, &used, self.ws.capacity * sizeof(double))
        return used


def refuse_too_large(size):
    if size > _MOST_BYTES:
        raise MemoryError(f"this network needs {size / 2**40:.0f} TiB of buffers")


cdef char *allocate(size_t size) except NULL:
    cdef char *memory = <char *> fm_allocate(max(size, <size_t> ALIGNMENT))
    if memory == NULL:
        raise MemoryError(f"no memory for a buffer of {size / 2**20:.0f} MiB")
    return memory


# -- how many rows at once, how many threads ---------------------------------------------------------------------------

cdef ptrdiff_t row_bytes(Network *net) noexcept:
    """Of one row's inputs, outputs and deltas in all layers."""
    cdef ptrdiff_t width = net.layers[0].n_in
    cdef int l
    for l in range(net.n_layers):
        width += 2 * net.layers[l].n_out
    return width * net.item


cdef double weight_bytes(Network *net) noexcept nogil:
    cdef double total = 0
    cdef int l
    for l in range(net.n_layers):
        total += <double> net.layers[l].n_in * net.layers[l].n_out
    return total * net.item


cdef ptrdiff_t microbatches(Network *net, ptrdiff_t batch) noexcept nogil:
    """Into how many a batch is cut at most, or 0; a power of two, which most numbers of threads share evenly."""
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
    return max(rows, <ptrdiff_t> 1)


cdef bint share_by_panels(Network *net, ptrdiff_t batch, int threads) noexcept:
    """Whether a layer is better split by its column panels than by rows: a thread would get less than half a tile."""
    return threads > 1 and 2 * batch < threads * net.kernels.tile_rows


cdef ptrdiff_t panel_group(ptrdiff_t panels, int threads) noexcept nogil:
    """Panels of one item of a layer that is split by them: a share for every thread, no more than the row kernel takes
    at once."""
    return max(<ptrdiff_t> 1, min(<ptrdiff_t> PANELS_AT_ONCE, panels // threads))


cdef double multiply_adds(Network *net, ptrdiff_t rows, bint train) noexcept nogil:
    """Of one pass over so many rows: forward, and with `train` the input deltas and the gradient."""
    cdef double total = 0
    cdef int l
    for l in range(net.n_layers):
        total += <double> net.layers[l].n_in * net.layers[l].n_out * (1 if not train else 2 if l == 0 else 3)
    return total * rows


# Measured once per process and kept: seconds per multiply-add by table.
_SECONDS_PER_FMA = {}


cdef double seconds_per_fma(const fm_kernels *table) except -1:
    """From the fastest of a few short runs of the multiply-add loop, doubled: what whole layers reach of it."""
    cdef char sink[256]
    cdef double flops = 0
    cdef int64_t start, nanoseconds, best = 1 << 62
    key = (table.isa, table.dtype)
    if key not in _SECONDS_PER_FMA:
        memset(sink, 0, sizeof(sink))
        for _run in range(5):
            start = fm_nanoseconds()
            flops = table.fma_loop(200, sink)
            nanoseconds = fm_nanoseconds() - start
            best = min(best, max(nanoseconds, <int64_t> 1))
        _SECONDS_PER_FMA[key] = 2 * best * 1e-9 / (flops / 2)
    return _SECONDS_PER_FMA[key]


cdef double seconds_of_rows(Network *net, ptrdiff_t rows, bint train) except -1:
    """About how long one thread needs for a pass over so many rows, gathered from memory."""
    return (multiply_adds(net, rows, train) * seconds_per_fma(net.kernels)
            + <double> rows * net.layers[0].n_in * net.item * GATHER_SECONDS)


cdef ptrdiff_t rows_between_rests(Network *net, ptrdiff_t batch, int threads) except -1:
    """Rows of a batch after which a long step comes to rest, so that signals are noticed; 0 where it is over soon."""
    cdef double seconds = seconds_of_rows(net, batch, True) / threads
    if seconds <= REST_SECONDS:
        return 0
    return max(<ptrdiff_t> (batch * (REST_SECONDS / seconds)), <ptrdiff_t> 1)


cdef int threads_for(Network *net, ptrdiff_t rows, bint train, int most) except -1:
    """For a single pass, which is over before anything can be tried: a share of the work for each thread that is worth
    waking it for."""
    cdef double seconds
    most = min(most, <int> MAX_THREADS)
    if most == 1:
        return 1
    seconds = multiply_adds(net, rows, train) * seconds_per_fma(net.kernels)
    if weight_bytes(net) > WEIGHT_CACHE_BYTES:
        seconds = max(seconds, weight_bytes(net) / BYTES_PER_SECOND)
    return max(1, min(most, <int> min(seconds / WAKING_SECONDS, 1e6)))
