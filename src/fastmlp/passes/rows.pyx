"""The rows of X and y that a run reads, their order and weights, checked once where the pointers are taken, and loaded
into a workspace a block at a time.

Mirror: reference/rows.py, where NumPy checks its own bounds.
"""
import numpy as np

from fastmlp.passes.kernels cimport Matrix
from fastmlp.passes.workspace cimport block_of
from libc.stdint cimport int32_t, int64_t

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
        self.x = Rows(X)
        self.examples.x = self.x.matrix
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

    cdef check_labels(self, y, ptrdiff_t n_outputs):
        cdef ptrdiff_t r
        cdef int32_t label
        if y.dtype != np.int32:
            raise TypeError(f"labels are {y.dtype}; they must be int32")
        for r in range(self.examples.y.rows):
            label = (<const int32_t *> (self.examples.y.data + r * self.examples.y.row_stride))[0]
            if not 0 <= label < n_outputs:
                raise ValueError(f"y[{r}] is {label}; labels are 0 to {n_outputs - 1}")

    cdef weight_sums(self, ptrdiff_t batch_size):
        return sums_of_weights(self.weight, self.order, self.rows, batch_size)


cdef check_order(order, ptrdiff_t rows):
    cdef const int64_t[::1] numbers = order
    cdef ptrdiff_t i
    for i in range(numbers.shape[0]):
        if not 0 <= numbers[i] < rows:
            raise ValueError(f"order[{i}] is {numbers[i]}; X has {rows} rows")


cdef sums_of_weights(weight, order, ptrdiff_t rows, ptrdiff_t batch_size):
    """Per step, the sum of its rows' weights, added up in row order; their number when there are no weights."""
    cdef const double[::1] weights = weight
    cdef const int64_t[::1] numbers = order
    cdef ptrdiff_t i, number, start, steps = max(1, (rows + batch_size - 1) // batch_size)
    sums = np.zeros(steps)
    cdef double[::1] to = sums
    for i in range(steps):
        start = i * batch_size
        if weight is None:
            to[i] = min(batch_size, rows - start)
            continue
        for number in range(start, min(start + batch_size, rows)):
            to[i] += weights[number if numbers is None else numbers[number]]
    return sums


cdef void gather(Network *net, Workspace *ws, Examples *examples, Matrix *source, ptrdiff_t start, char *to,
                 ptrdiff_t row, ptrdiff_t rows) noexcept nogil:
    cdef const char *data = source.data
    cdef const int64_t *order = examples.order
    if order == NULL:
        data += (start + row) * source.row_stride
    else:
        order += start + row
    net.kernels.gather[source.source](rows, source.columns, order, examples.rows - (start + row), source.ahead, data,
                                      source.row_stride, source.column_stride, block_of(net, ws, to, row, 0), ws.stride)


cdef void load_inputs(Network *net, Workspace *ws, Examples *examples, ptrdiff_t start, ptrdiff_t row,
                      ptrdiff_t rows) noexcept nogil:
    """Rows [row, row + rows) of the batch that begins at `start` of the order: their inputs."""
    gather(net, ws, examples, &examples.x, start, ws.a[0], row, rows)


cdef void load_targets(Network *net, Workspace *ws, Examples *examples, ptrdiff_t start, ptrdiff_t row,
                       ptrdiff_t rows, double weight_sum) noexcept nogil:
    """Rows [row, row + rows) of that batch: their targets, and each one's scale, its weight's part of the batch's
    times the loss's factor."""
    cdef ptrdiff_t r, number
    cdef int32_t label
    cdef double scale
    if not examples.labels:
        gather(net, ws, examples, &examples.y, start, ws.target, row, rows)
    for r in range(row, row + rows):
        number = start + r if examples.order == NULL else <ptrdiff_t> examples.order[start + r]
        if examples.labels:
            label = (<const int32_t *> (examples.y.data + number * examples.y.row_stride))[0]
            # Checked before the run; but another Python thread may have changed y since.
            ws.labels[r] = label if 0 <= label < net.layers[net.n_layers - 1].n_out else 0
        scale = 1.0 if examples.weight == NULL else examples.weight[number]
        scale = scale / weight_sum * net.loss_factor if weight_sum != 0 else 0.0
        if net.item == 4:
            (<float *> ws.scale)[r] = <float> scale
        else:
            (<double *> ws.scale)[r] = scale
