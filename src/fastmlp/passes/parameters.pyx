"""The parameters of a network and its optimizer's state: one arena each, read, written and copied as a whole.

Mirror: reference/parameters.py.
"""
import numpy as np

from fastmlp.passes.kernels cimport (
    FM_MAX_STATES, FM_SOURCE_float32, FM_SOURCE_float64, Matrix, fm_kernels, index_of, kernel_table, loss_output,
    optimizer_column, optimizer_n_columns, optimizer_states, pairs_table,
)
from fastmlp.passes.layers cimport (
    BATCH_NORM, LAYER_NORM, N_ROWS, N_VECTORS, NO_NORM, RUNNING_MEAN, RUNNING_VAR, NO_OPTIMIZER, Layer, Scaling,
    Vector, describe, fill_params, is_plain, weight_bytes,
)
from fastmlp.passes.panels cimport packed, pairs_in, panel_row
from fastmlp.passes.pairs cimport round_layer
from fastmlp.passes.sweep cimport all_finite, copy_bytes
from fastmlp.passes.threads cimport fm_allocate, fm_allocate_raw, fm_free
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from fastmlp.spec import NORM_EPSILON as _NORM_EPSILON
from fastmlp.spec import NORM_NAMES as _NORM_NAMES

cdef enum:
    ALIGNMENT = 128
    # Right-hand panel bytes that stay in the first-level cache while all rows of a block pass over them.
    PANEL_BLOCK_BYTES = 24 * 1024
    # Weights and state of more than this are fetched ahead of a tile's update, which takes 5 to 25 % off a step
    # (1024-1024-1024-1024, batch 256 and 32). Less comes from the caches in time: fetching it would only cost (2 % of
    # 784-256-128-10).
    FAR_BYTES = 4 * 1024 * 1024

_MOST_BYTES = 1 << 46
# The names of vectors, in the order of their numbers (layers.pxd).
_ROWS = ("bias", "gamma", "slope", "running_mean", "running_var")
_VECTORS = _ROWS[:N_VECTORS]
assert len(_ROWS) == N_ROWS


cdef inline size_t aligned(size_t size) noexcept nogil:
    return (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


cdef char *take(char *base, size_t *used, size_t size) noexcept nogil:
    """The next piece of an arena; with base NULL only its size is counted."""
    cdef char *piece = base + used[0] if base != NULL else NULL
    used[0] += aligned(size)
    return piece


cdef Scaling scaling_of(given, str name, ptrdiff_t columns) except *:
    """Pointers into a specification's scaling, which who has them keeps; NULL for None."""
    cdef Scaling found
    cdef const double[::1] shift, scale
    found.shift = found.scale = NULL
    if given is not None:
        shift, scale = given.shift, given.scale
        if shift.shape[0] != columns or scale.shape[0] != columns:
            raise ValueError(f"the scaling of {name} has {shift.shape[0]} columns; it must have {columns}")
        found.shift, found.scale = &shift[0], &scale[0]
    return found


cdef class Parameters:
    """Weights, vectors and optimizer state of one network, in panels; and a moving average of weights and vectors."""

    def __cinit__(self, spec, isa=None, bint statistics=True):
        cdef double[::1] levels, weights
        cdef const fm_kernels *table = kernel_table(isa, spec.dtype)
        self.spec, self.statistics = spec, statistics and spec.norm == "batch"
        self.spare = 0 if statistics else ALIGNMENT
        self.net.kernels = table
        self.net.pairs = pairs_table(isa) if spec.bfloat16 else NULL
        self.net.item, self.net.panel, self.net.lanes = table.itemsize, table.panel, table.lanes
        # A multiple of the panel's width, so that the left operand's panels are never cut.
        self.net.block_rows = max(PANEL_BLOCK_BYTES // (table.panel * table.itemsize) // table.panel, 1) * table.panel
        self.net.loss = NULL if spec.loss.custom else table.loss[index_of("loss", spec.loss.name)]
        fill_params(self.net.loss_params, spec.loss.params)
        self.net.fused = not spec.loss.custom and loss_output(index_of("loss", spec.loss.name)) != ""
        self.net.heads = spec.loss.heads
        self.net.deviations = spec.loss.deviations
        if self.net.heads > 1 and spec.loss.levels:
            self.levels = levels = np.array(spec.loss.levels)
            self.net.levels = &levels[0]
        if spec.loss.weights:
            self.target_weights = weights = np.array(spec.loss.weights)
            self.net.target_weights = &weights[0]
        self.net.leaves_nan_out = spec.loss.ignores_nan
        self.net.optimizer, self.interpolation = NO_OPTIMIZER, -1
        self.describe_layers()
        self.net.loss_factor = spec.loss.factor(self.net.layers[self.net.n_layers - 1].n_out)
        self.net.noise = spec.input_noise
        self.net.norm_epsilon = _NORM_EPSILON
        self.net.random |= self.net.noise > 0
        self.arena = allocate(self.lay_out(NULL))
        self.lay_out(self.arena)

    def __dealloc__(self):
        fm_free(self.arena)
        fm_free(self.state_arena)
        fm_free(self.average_arena)
        free(self.net.layers)

    cdef describe_layers(self):
        layers, width = self.spec.layers, self.net.panel
        refuse_too_large(sum(2 * (n.n_in + width) * (n.n_signals + width) for n in layers) * self.net.item)
        self.net.n_layers = len(layers)
        self.net.layers = <Layer *> calloc(self.net.n_layers, sizeof(Layer))
        if self.net.layers == NULL:
            raise MemoryError("no memory for the layers")
        for l in range(self.net.n_layers):
            describe(&self.net.layers[l], &self.net, layers[l], self.spec.dropout_rates[l])
            self.describe_vectors(&self.net.layers[l], self.spec.vectors[l])
            self.net.layers[l].norm = (NO_NORM, LAYER_NORM, BATCH_NORM)[(None, *_NORM_NAMES).index(self.spec.norms[l])]
            self.net.by_rows |= self.net.layers[l].norm == LAYER_NORM
            self.net.batch_norm |= self.net.layers[l].norm == BATCH_NORM
            self.net.layers[l].residual = self.spec.residuals[l]
            self.net.layers[l].l1, self.net.layers[l].l2 = self.spec.penalties[l]
            self.net.penalised |= self.spec.penalties[l] != (0.0, 0.0)
            self.net.layers[l].max_norm = self.spec.max_norm[l] or 0.0 if self.spec.max_norm else 0.0
            self.net.bounded |= self.net.layers[l].max_norm > 0
        for l in range(self.net.n_layers):
            self.net.layers[l].plain = is_plain(&self.net, l)

    cdef describe_vectors(self, Layer *to, vectors):
        for number, name in enumerate(_VECTORS):
            to.vectors[number].columns = vectors.get(name, 0)
            to.vectors[number].shared = 0 < vectors.get(name, 0) < to.n_out
            if name in vectors:
                to.which[to.n_vectors] = number
                to.n_vectors += 1
        if to.n_vectors < len(vectors):
            raise ValueError(f"vectors are {', '.join(vectors)}; there are {', '.join(_VECTORS)}")

    cdef size_t lay_out(self, char *base):
        """Give each matrix its place in the arena: what is updated first, then the transposes, which are made of it."""
        cdef size_t used = 0
        cdef Layer *layer
        cdef size_t width = panel_row(&self.net)
        for l in range(self.net.n_layers):
            layer = &self.net.layers[l]
            layer.updated = take(base, &used, layer.column_panels * layer.rows * width)
            for v in self.rows_of(layer, False):
                layer.vectors[v].at = take(base, &used, layer.out_panels * width)
                layer.vectors[v].columns = layer.n_out if v >= N_VECTORS else layer.vectors[v].columns
        self.updated_bytes = used
        used += self.spare
        for l in range(self.net.n_layers):
            layer = &self.net.layers[l]
            layer.transposed = NULL
            if (layer.narrow and not layer.dots) or (l > 0 and not layer.narrow and self.net.pairs == NULL):
                layer.transposed = take(base, &used, layer.row_blocks * layer.columns * width)
            layer.weight = layer.transposed if layer.narrow else layer.updated
            layer.weight_t = layer.updated if layer.narrow else layer.transposed
            if self.net.pairs != NULL and not layer.dots:
                if l > 0 or not layer.narrow:
                    layer.pairs_down = take(base, &used, layer.column_panels * pairs_in(layer.rows) * width)
                if l > 0 or layer.narrow:
                    layer.pairs_along = take(base, &used, layer.row_blocks * pairs_in(layer.columns) * width)
                layer.pairs = layer.pairs_along if layer.narrow else layer.pairs_down
                layer.pairs_t = layer.pairs_down if layer.narrow else layer.pairs_along
        return used

    cdef rows_of(self, Layer *layer, bint trained):
        """Which rows of numbers a layer has, or which that are trained, in the order of their names."""
        others = (RUNNING_MEAN, RUNNING_VAR) if self.statistics and layer.norm == BATCH_NORM and not trained else ()
        return [*[number for number in layer.which[:layer.n_vectors]], *others]

    cdef size_t lay_out_state(self, char *base):
        cdef size_t used = 0
        cdef Layer *layer
        cdef size_t width = panel_row(&self.net)
        for l in range(self.net.n_layers):
            layer = &self.net.layers[l]
            for s in range(FM_MAX_STATES):
                layer.weight_state[s] = NULL
                for v in range(N_VECTORS):
                    layer.vectors[v].state[s] = NULL
            for s in range(self.net.n_states):
                layer.weight_state[s] = take(base, &used, layer.column_panels * layer.rows * width)
                for v in range(layer.n_vectors):
                    layer.vectors[layer.which[v]].state[s] = take(base, &used, layer.out_panels * width)
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
        self.net.optimizer, self.n_steps = optimizer, 0
        self.net.n_columns = 0 if name is None else optimizer_n_columns(optimizer)
        self.net.whole_matrices = name is not None and optimizer_column(optimizer, "ns_steps") >= 0
        self.interpolation = -1 if name is None else optimizer_column(optimizer, "interpolation")
        self.net.far = (1 + self.net.n_states) * weight_bytes(&self.net) > FAR_BYTES
        self.lay_out_state(arena)

    def scale(self, inputs, targets):
        """Shift and scale columns as they are loaded, each by a (shift, scale); None: take them as they are."""
        cdef ptrdiff_t n_outputs = self.net.layers[self.net.n_layers - 1].n_out
        cdef Scaling of_inputs = scaling_of(inputs, "inputs", self.net.layers[0].n_in)
        cdef Scaling of_targets = scaling_of(targets, "targets", n_outputs // self.net.heads)
        self.net.inputs, self.net.targets, self.scalings = of_inputs, of_targets, (inputs, targets)
        self.changes += 1

    def keep_average(self, keep):
        """Begin a moving average at the parameters as they are, laid out as they are, or forget the one there is."""
        cdef char *arena = allocate(self.updated_bytes) if keep else NULL
        fm_free(self.average_arena)
        self.average_arena, self.net.average = arena, arena - self.arena if keep else 0
        if keep:
            memcpy(arena, self.arena, self.updated_bytes)

    cdef void refresh_transposes(self) noexcept nogil:
        """The other copies of every matrix from the one that is updated."""
        cdef Layer *layer
        for l in range(self.net.n_layers):
            layer = &self.net.layers[l]
            if layer.transposed != NULL:
                self.transpose_layer(layer, layer.transposed)
            round_layer(&self.net, layer)

    cdef void transpose_layer(self, Layer *layer, char *to) noexcept nogil:
        """The transpose of the matrix that is updated, block by block."""
        cdef ptrdiff_t i, j, panel = self.net.panel
        for i in range(layer.row_blocks):
            for j in range(layer.column_panels):
                self.net.kernels.transpose(
                    min(panel, layer.rows - i * panel), min(panel, layer.columns - j * panel),
                    packed(&self.net, layer.updated, layer.rows, i * panel, j),
                    packed(&self.net, to, layer.columns, j * panel, i))

    cdef void depart(self, double interpolation) noexcept nogil:
        """Go from x, the mean that is used, to y between it and z, where training takes its gradients: states 2 and 0.

        The first time, all three are the same. The sums are those of the update, so y is what it had left."""
        cdef Layer *layer
        cdef Vector *vector
        cdef size_t width = panel_row(&self.net)
        cdef int l, v
        for l in range(self.net.n_layers):
            layer = &self.net.layers[l]
            self.interpolate(layer.updated, layer.weight_state[0], layer.weight_state[2],
                             layer.column_panels * layer.rows * width, interpolation)
            for v in range(layer.n_vectors):
                vector = &layer.vectors[layer.which[v]]
                self.interpolate(vector.at, vector.state[0], vector.state[2], layer.out_panels * width, interpolation)
        self.refresh_transposes()
        self.departed = True

    cdef void interpolate(self, char *w, char *z, char *x, ptrdiff_t size, double interpolation) noexcept nogil:
        """Take so many bytes of parameters, with their states z and x, from x to y."""
        memcpy(x, w, size)
        if self.n_steps == 0:
            memcpy(z, w, size)
        memcpy(w, z, size)
        self.net.kernels.average(size // self.net.item, x, interpolation, w)

    cdef void arrive(self) noexcept nogil:
        """Go back to x."""
        cdef Layer *layer
        cdef Vector *vector
        cdef size_t width = panel_row(&self.net)
        cdef int l, v
        for l in range(self.net.n_layers):
            layer = &self.net.layers[l]
            memcpy(layer.updated, layer.weight_state[2], layer.column_panels * layer.rows * width)
            for v in range(layer.n_vectors):
                vector = &layer.vectors[layer.which[v]]
                memcpy(vector.at, vector.state[2], layer.out_panels * width)
        self.refresh_transposes()
        self.departed = False

    def read(self, int state=-1):
        """Copies of the parameters by name, of one slot of the optimizer's state or, behind these, of the average."""
        tensors = {}
        cdef int given = state
        if state < 0 and self.departed:
            state = 2
        cdef Layer *layer
        cdef Vector *vector
        cdef char[:, ::1] weights
        cdef char[::1] numbers
        for l in range(self.net.n_layers):
            layer = &self.net.layers[l]
            weight = np.empty((layer.rows, layer.columns), self.spec.dtype)
            weights = weight.view(np.int8)
            self.net.kernels.unpack(layer.rows, layer.columns, self.weights_of(layer, state),
                                    layer.rows * self.net.panel, &weights[0, 0], layer.columns)
            tensors[f"layers.{l}.weight"] = np.ascontiguousarray(weight.T) if layer.narrow else weight
            for v in self.rows_of(layer, 0 <= given < self.net.n_states):
                vector = &layer.vectors[v]
                array = np.empty(vector.columns, self.spec.dtype)
                numbers = array.view(np.int8)
                self.net.kernels.unpack(1, vector.columns,
                                        self.vector_of(vector, state if v < N_VECTORS else given),
                                        self.net.panel, &numbers[0], vector.columns)
                tensors[f"layers.{l}.{_ROWS[v]}"] = array
        return tensors

    def write(self, tensors, int state=-1):
        """The inverse of read: all of its names, with arrays of the network's dtype and shapes."""
        cdef Layer *layer
        cdef Vector *vector
        cdef const char[:, ::1] weights
        cdef const char[::1] numbers
        arrays = self.checked(tensors, state)
        for l in range(self.net.n_layers):
            layer = &self.net.layers[l]
            weight = arrays[f"layers.{l}.weight"]
            if layer.narrow:
                weight = np.ascontiguousarray(weight.T)
            weights = weight.view(np.int8)
            self.net.kernels.pack(layer.rows, layer.columns, &weights[0, 0], layer.columns,
                                  self.weights_of(layer, state), layer.rows * self.net.panel)
            for v in self.rows_of(layer, 0 <= state < self.net.n_states):
                vector = &layer.vectors[v]
                numbers = arrays[f"layers.{l}.{_ROWS[v]}"].view(np.int8)
                self.net.kernels.pack(1, vector.columns, &numbers[0], vector.columns, self.vector_of(vector, state),
                                      self.net.panel)
        if state < 0:
            self.refresh_transposes()
            self.changes += 1

    cdef char *weights_of(self, Layer *layer, int state) noexcept:
        if state < 0 or state == self.net.n_states:
            return layer.updated + (0 if state < 0 else self.net.average)
        return layer.weight_state[state]

    cdef char *vector_of(self, Vector *vector, int state) noexcept:
        if state < 0 or state == self.net.n_states:
            return vector.at + (0 if state < 0 else self.net.average)
        return vector.state[state]

    cdef dict checked(self, tensors, int state):
        """Return tensors as C-contiguous arrays, if they are all that there are and what they have to be."""
        shapes = self.spec.shapes if 0 <= state < self.net.n_states or not self.statistics else self.spec.all_shapes
        if tensors.keys() != shapes.keys():
            raise ValueError(f"tensors are {', '.join(tensors)}; they must be {', '.join(shapes)}")
        arrays = {name: np.ascontiguousarray(tensors[name]) for name in shapes}
        for name, array in arrays.items():
            if array.shape != shapes[name] or array.dtype != np.dtype(self.spec.dtype):
                raise ValueError(f"{name} must be {self.spec.dtype} of shape {shapes[name]}, got {array.dtype} of "
                                 f"shape {array.shape}")
        return arrays

    def squared_norm(self):
        """The sum of the squares of all parameters, or of the gradient that lies in their place: on every ISA the same
        bits, since each layer's weights are added up row by row, whichever matrix is updated."""
        cdef double total = 0
        cdef Vector *vector
        cdef int l
        self.refresh_transposes()  # of a gradient nobody else needs them
        for l in range(self.net.n_layers):
            total += squared_weights_of(&self.net, l)
            for v in self.net.layers[l].which[:self.net.layers[l].n_vectors]:
                vector = &self.net.layers[l].vectors[v]
                total += self.net.kernels.sum_squares(1, vector.columns, vector.at, self.net.panel)
        return total

    def penalty(self):
        """What the weights add to the loss."""
        cdef double total = 0
        cdef int l
        for l in range(self.net.n_layers):
            total += penalty_of(&self.net, l)
        return total

    def copy(self, Copy into=None, int threads=1):
        """Parameters and the optimizer's state as they lie, for `restore`; into the memory of a copy that is no longer
        needed, if there is one: new pages cost more than what is written to them."""
        cdef Copy copy = into
        cdef size_t average = self.updated_bytes if self.net.average else 0
        if into is None or not into.is_like(self.updated_bytes, self.state_bytes, average):
            copy = Copy(self.updated_bytes, self.state_bytes, average)
        copy_bytes(copy.memory, self.arena, self.updated_bytes, threads)
        copy_bytes(copy.memory + self.updated_bytes, self.state_arena, self.state_bytes, threads)
        copy_bytes(copy.memory + self.updated_bytes + self.state_bytes, self.average_arena, average, threads)
        copy.n_steps = self.n_steps
        return copy

    def restore(self, Copy copy not None):
        cdef size_t average = self.updated_bytes if self.net.average else 0
        if not copy.is_like(self.updated_bytes, self.state_bytes, average):
            raise ValueError("the copy is of another network or optimizer, or with another average")
        with nogil:
            memcpy(self.arena, copy.memory, self.updated_bytes)
            if self.state_bytes:
                memcpy(self.state_arena, copy.memory + self.updated_bytes, self.state_bytes)
            if average:
                memcpy(self.average_arena, copy.memory + self.updated_bytes + self.state_bytes, average)
            self.refresh_transposes()
        self.n_steps = copy.n_steps
        self.changes += 1

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
    """The bytes of a network's parameters, of its optimizer's state and of its average."""

    def __cinit__(self, size_t parameters_bytes, size_t state_bytes, size_t average_bytes):
        cdef size_t size = parameters_bytes + state_bytes + average_bytes
        self.parameters_bytes, self.state_bytes, self.average_bytes = parameters_bytes, state_bytes, average_bytes
        self.memory = <char *> fm_allocate_raw(size)
        if self.memory == NULL:
            raise MemoryError(f"no memory for a copy of {size / 2**20:.0f} MiB")

    cdef bint is_like(self, size_t parameters_bytes, size_t state_bytes, size_t average_bytes) noexcept:
        return (self.parameters_bytes == parameters_bytes and self.state_bytes == state_bytes
                and self.average_bytes == average_bytes)

    def __dealloc__(self):
        fm_free(self.memory)


cdef refuse_too_large(size):
    if size > _MOST_BYTES:
        raise MemoryError(f"this network needs {size / 2**40:.0f} TiB of buffers")


cdef char *allocate(size_t size) except NULL:
    cdef char *memory = <char *> fm_allocate(max(size, <size_t> ALIGNMENT))
    if memory == NULL:
        raise MemoryError(f"no memory for a buffer of {size / 2**20:.0f} MiB")
    return memory
