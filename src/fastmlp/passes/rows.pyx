"""The rows of X and y that a run reads, their order and weights, checked once where the pointers are taken, and loaded
into a workspace a block at a time; each mixed with the next where that is wanted.

Mirror: reference/rows.py, where NumPy checks its own bounds.
"""
import numpy as np

from fastmlp.passes.kernels cimport Matrix
from fastmlp.passes.layers cimport Scaling
from fastmlp.passes.panels cimport packed, panel_row, panels_in
from fastmlp.passes.workspace cimport Entries, block_of
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

cdef enum:
    # Of a matrix that stays in a core's second-level cache, nothing needs to be asked for ahead.
    CACHED_BYTES = 256 * 1024
    # Shuffled rows lie anywhere in memory, where no prefetcher expects them: the one that is so many bytes of copying
    # away is asked for meanwhile.
    AHEAD_BYTES = 4096


cdef ptrdiff_t rows_ahead(Matrix *matrix, ptrdiff_t item) noexcept:
    cdef ptrdiff_t row_bytes = matrix.columns * item
    if matrix.column_stride != item or matrix.rows * row_bytes <= CACHED_BYTES:
        return 0
    return 1 + AHEAD_BYTES // max(row_bytes, <ptrdiff_t> 1)


cdef class Inputs:
    """X, y, weights and order of one run, held for as long as it takes, and checked against the network."""

    def __init__(self, Parameters parameters, X, y, weight, order):
        cdef Network *net = &parameters.net
        cdef ptrdiff_t n_outputs = net.layers[net.n_layers - 1].n_out
        cdef bint sparse = hasattr(X, "indptr")
        self.x = Rows(X.values if sparse else X)
        self.examples.x = self.x.matrix
        if sparse:
            self.take_entries(X)
            if net.inputs.shift != NULL or net.pairs != NULL:
                raise ValueError("sparse rows are neither shifted nor rounded to bfloat16")
        self.has_targets = y is not None
        if X.ndim != 2 or self.examples.x.columns != net.layers[0].n_in:
            raise ValueError(f"X has shape {X.shape}; it must be (rows, {net.layers[0].n_in})")
        if self.has_targets:
            self.y = Rows(y)
            self.examples.y = self.y.matrix
            self.examples.labels = y.ndim == 1
            if self.examples.y.rows != self.examples.x.rows:
                raise ValueError(f"y has {self.examples.y.rows} rows; X has {self.examples.x.rows}")
            if self.examples.labels:
                loss = parameters.spec.loss
                if not loss.labels:
                    raise ValueError(f"y has shape {y.shape}, as class labels have; the loss is {loss.name}")
                self.check_labels(y, n_outputs)
            elif self.examples.y.columns != n_outputs // net.heads:
                raise ValueError(f"y has shape {y.shape}; it must be (rows, {n_outputs // net.heads})")
        cdef const double[::1] weights = weight
        cdef const int64_t[::1] numbers = order
        if weight is not None:
            self.weight = memoryview(weight)
            if weights.shape[0] != self.examples.x.rows:
                raise ValueError(f"weight has {weights.shape[0]} rows; X has {self.examples.x.rows}")
            self.examples.weight = &weights[0]
        self.rows = self.examples.x.rows
        if order is not None:
            self.order = memoryview(order)
            self.rows = numbers.shape[0]
            check_order(order, self.examples.x.rows)
            self.examples.order = &numbers[0] if self.rows else NULL
            self.examples.x.ahead = rows_ahead(&self.examples.x, self.x.view.itemsize)
            if self.has_targets:
                self.examples.y.ahead = rows_ahead(&self.examples.y, self.y.view.itemsize)
        self.examples.rows = self.rows
        if sparse:
            self.place_entries(X, order)

    cdef take_entries(self, X):
        """Point at the entries of sparse rows, once they are known to lie where they should."""
        cdef const int64_t[::1] indptr = X.indptr
        cdef const int32_t[::1] columns = X.indices
        cdef ptrdiff_t r, rows = X.shape[0], n = min(columns.shape[0], self.examples.x.rows)
        if indptr.shape[0] != rows + 1 or indptr[0] != 0 or indptr[rows] > n:
            raise ValueError(f"indptr must have {rows + 1} numbers, from 0 to {n} at most")
        for r in range(rows):
            if indptr[r] > indptr[r + 1]:
                raise ValueError(f"row {r} has entries from {indptr[r]} to {indptr[r + 1]}")
        self.examples.x.rows, self.examples.x.columns = rows, X.shape[1]
        self.examples.indptr, self.examples.columns = &indptr[0], &columns[0] if columns.shape[0] else NULL

    cdef place_entries(self, X, order):
        """Count the entries before each place in the order."""
        cdef const int64_t[::1] offsets
        lengths = np.diff(X.indptr)
        offsets = places = np.zeros(self.rows + 1, np.int64)
        np.cumsum(lengths if order is None else lengths[order], out=places[1:])
        self.entries = X.indptr, X.indices, places
        self.examples.offsets = &offsets[0]

    cdef check_labels(self, y, ptrdiff_t n_outputs):
        cdef ptrdiff_t r
        cdef int32_t label
        if y.dtype != np.int32:
            raise TypeError(f"labels are {y.dtype}; they must be int32")
        for r in range(self.examples.y.rows):
            label = (<const int32_t *> (self.examples.y.data + r * self.examples.y.row_stride))[0]
            if not 0 <= label < n_outputs:
                raise ValueError(f"y[{r}] is {label}; labels are 0 to {n_outputs - 1}")

    cdef mix(self, loss, shares, ptrdiff_t batch_size):
        """Have each row mixed with the next of its batch, of which it gets a share that each step has."""
        cdef const double[::1] given = shares
        cdef ptrdiff_t step, steps = (self.rows + batch_size - 1) // batch_size
        if not loss.mixes:
            raise ValueError(f"rows cannot be mixed, the loss is {loss.name}")
        if given.shape[0] != steps:
            raise ValueError(f"mixing has {given.shape[0]} places; there are {steps} steps")
        for step in range(steps):
            if not 0 <= given[step] <= 1:
                raise ValueError(f"mixing[{step}] is {given[step]}; shares are 0 to 1")
        self.mixing = memoryview(shares)
        self.examples.mixing, self.examples.batch = &given[0], batch_size

    cdef weight_sums(self, ptrdiff_t batch_size, ptrdiff_t epoch_rows):
        return sums_of_weights(self.weight, self.order, self.rows, batch_size, epoch_rows)


cdef check_order(order, ptrdiff_t rows):
    cdef const int64_t[::1] numbers = order
    cdef ptrdiff_t i
    for i in range(numbers.shape[0]):
        if not 0 <= numbers[i] < rows:
            raise ValueError(f"order[{i}] is {numbers[i]}; X has {rows} rows")


cdef ptrdiff_t most_entries(Examples *examples, ptrdiff_t rows) noexcept nogil:
    """The most entries of so many rows that follow each other in the order, and 1 at least; 0 of dense rows."""
    cdef ptrdiff_t place, most = 1
    if examples.indptr == NULL:
        return 0
    rows = min(rows, examples.rows)
    for place in range(examples.rows - rows + 1):
        most = max(most, <ptrdiff_t> (examples.offsets[place + rows] - examples.offsets[place]))
    return most


cdef sums_of_weights(weight, order, ptrdiff_t rows, ptrdiff_t batch_size, ptrdiff_t epoch_rows):
    """Per step, the sum of its rows' weights, added up in row order; their number when there are no weights."""
    cdef const double[::1] weights = weight
    cdef const int64_t[::1] numbers = order
    cdef ptrdiff_t i, number, start = 0, end, end_of_epoch = epoch_rows
    cdef ptrdiff_t steps = max(1, (epoch_rows + batch_size - 1) // batch_size)
    sums = np.zeros(steps if rows == epoch_rows else steps * (rows // epoch_rows))
    cdef double[::1] to = sums
    for i in range(sums.shape[0]):
        if start == end_of_epoch:
            end_of_epoch += epoch_rows
        end = min(start + batch_size, end_of_epoch)
        if weight is None:
            to[i] = end - start
        else:
            for number in range(start, end):
                to[i] += weights[number if numbers is None else numbers[number]]
        start = end
    return sums


cdef void gather(Network *net, Workspace *ws, Examples *examples, Matrix *source, ptrdiff_t position,
                 Scaling *by, char *to, ptrdiff_t rows) noexcept nogil:
    """Gather rows of X or y, from a position of the order on, to a place in one of a workspace's matrices."""
    cdef const char *data = source.data
    cdef const int64_t *order = examples.order
    if order == NULL:
        data += position * source.row_stride
    else:
        order += position
    net.kernels.gather[source.source](rows, source.columns, order, examples.rows - position, source.ahead, data,
                                      source.row_stride, source.column_stride, by.shift, by.scale, to, ws.stride)


cdef void mix(Network *net, Workspace *ws, Examples *examples, Matrix *source, ptrdiff_t position,
              Scaling *by, char *to, char *beside, ptrdiff_t rows) noexcept nogil:
    """m = m + share (m' - m) for rows that have been gathered, m' the next one: it lies there but for the last row's,
    which is gathered beside, since other threads may be at the next block."""
    cdef double share = examples.mixing[position // examples.batch]
    cdef ptrdiff_t last = (rows - 1) * net.panel
    gather(net, ws, examples, source, next_of(examples, position + rows - 1), by, beside, 1)
    for _panel in range(panels_in(net, source.columns)):
        # Upwards in memory: what is read has not been written yet.
        net.kernels.average(last, to + panel_row(net), share, to)
        net.kernels.average(net.panel, beside, share, packed(net, to, 0, rows - 1, 0))
        to += ws.stride * net.item
        beside += ws.stride * net.item


cdef void load_inputs(Network *net, Workspace *ws, Examples *examples, ptrdiff_t start, ptrdiff_t row,
                      ptrdiff_t rows) noexcept nogil:
    """Rows [row, row + rows) of the batch that begins at `start` of the order: their inputs."""
    cdef char *to = block_of(net, ws, ws.a[0], row, 0)
    if examples.indptr != NULL:
        load_entries(net, ws, examples, start, row, rows)
        return
    gather(net, ws, examples, &examples.x, start + row, &net.inputs, to, rows)
    if examples.mixing != NULL:
        mix(net, ws, examples, &examples.x, start + row, &net.inputs, to,
            block_of(net, ws, ws.beside[0], row, 0), rows)


cdef void load_entries(Network *net, Workspace *ws, Examples *examples, ptrdiff_t start, ptrdiff_t row,
                       ptrdiff_t rows) noexcept nogil:
    """Sparse rows [row, row + rows) of that batch: their entries, each row's at a place of its own."""
    cdef Entries *to = &ws.entries
    cdef ptrdiff_t r, first, begin, n
    for r in range(row, row + rows):
        first = examples.offsets[start + r] - examples.offsets[start]
        n = examples.offsets[start + r + 1] - examples.offsets[start + r]
        begin = examples.indptr[number_of(examples, start + r)]
        to.first[r] = first
        to.count[r] = net.kernels.entries[examples.x.source](
            n, examples.columns + begin, examples.x.data + begin * examples.x.row_stride, net.layers[0].n_in,
            to.columns + first, to.values + first * net.item)


cdef void to_units(Network *net, ptrdiff_t rows, char *outputs) noexcept nogil:
    """What load_targets does to targets, undone for outputs (rows, O)."""
    cdef ptrdiff_t _r, c, target, n_outputs = net.layers[net.n_layers - 1].n_out
    if net.targets.shift == NULL:
        return
    for _r in range(rows):
        for c in range(n_outputs):
            target = c // net.heads
            if net.item == 4:
                (<float *> outputs)[c] = <float> ((<float *> outputs)[c] / net.targets.scale[target]
                                                  + net.targets.shift[target])
            else:
                (<double *> outputs)[c] = ((<double *> outputs)[c] / net.targets.scale[target]
                                           + net.targets.shift[target])
        outputs += n_outputs * net.item


cdef void load_targets(Network *net, Workspace *ws, Examples *examples, ptrdiff_t start, ptrdiff_t row,
                       ptrdiff_t rows, double weight_sum) noexcept nogil:
    """Rows [row, row + rows) of that batch: their targets, and each one's scale, its weight's part of the batch's
    times the loss's factor."""
    cdef ptrdiff_t r
    cdef double scale = 1.0 / weight_sum * net.loss_factor if weight_sum != 0 else 0.0
    cdef char *to = block_of(net, ws, ws.target, row, 0)
    if not examples.labels:
        gather(net, ws, examples, &examples.y, start + row, &net.targets, to, rows)
        if examples.mixing != NULL:
            mix(net, ws, examples, &examples.y, start + row, &net.targets, to,
                block_of(net, ws, ws.beside[1], row, 0), rows)
    elif examples.mixing != NULL:
        for r in range(row, row + rows):
            mix_labels(net, ws, examples, start + r, r)
    else:
        for r in range(row, row + rows):
            ws.labels[r] = label_at(net, examples, start + r)
    if examples.weight != NULL and weight_sum != 0:
        for r in range(row, row + rows):
            scale = weight_at(examples, start + r) / weight_sum * net.loss_factor
            fill(net, ws.scale, r, 1, scale)
    else:
        fill(net, ws.scale, row, rows, scale)


cdef inline void fill(Network *net, char *to, ptrdiff_t first, ptrdiff_t n, double value) noexcept nogil:
    """Set n elements to a value."""
    cdef ptrdiff_t k
    if net.item == 4:
        for k in range(first, first + n):
            (<float *> to)[k] = <float> value
    else:
        for k in range(first, first + n):
            (<double *> to)[k] = value


cdef inline int32_t label_at(Network *net, Examples *examples, ptrdiff_t position) noexcept nogil:
    """The class of the row at a position of the order."""
    cdef int32_t label = (<const int32_t *> (
        examples.y.data + number_of(examples, position) * examples.y.row_stride))[0]
    # Checked before the run; but another Python thread may have changed y since.
    return label if 0 <= label < net.layers[net.n_layers - 1].n_out else 0


cdef void mix_labels(Network *net, Workspace *ws, Examples *examples, ptrdiff_t position, ptrdiff_t row) noexcept nogil:
    """The target of a row as numbers: the shares of its class and of the next row's, the bits that `mix` makes of rows
    with a single one."""
    cdef double share = examples.mixing[position // examples.batch]
    cdef ptrdiff_t own = label_at(net, examples, position), other = label_at(net, examples, next_of(examples, position))
    cdef ptrdiff_t j
    for j in range(net.layers[net.n_layers - 1].out_panels):
        memset(block_of(net, ws, ws.target, row, j), 0, panel_row(net))
    put(net, ws, row, own, 1)
    if own != other and net.item == 4:
        put(net, ws, row, own, <float> 1 - <float> share)
        put(net, ws, row, other, share)
    elif own != other:
        put(net, ws, row, own, 1 - share)
        put(net, ws, row, other, share)


cdef inline void put(Network *net, Workspace *ws, ptrdiff_t row, ptrdiff_t column, double value) noexcept nogil:
    """A number in a row of the targets."""
    cdef char *panel = block_of(net, ws, ws.target, row, column // net.panel)
    if net.item == 4:
        (<float *> panel)[column % net.panel] = <float> value
    else:
        (<double *> panel)[column % net.panel] = value
