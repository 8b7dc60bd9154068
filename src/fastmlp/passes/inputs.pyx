"""What a run reads: rows of X and y, their order and weights, checked once where the pointers are taken.

No mirror in reference/: NumPy checks its own bounds.
"""
import numpy as np

from fastmlp.passes.kernels cimport Matrix
from fastmlp.passes.plan cimport Network
from libc.stdint cimport int32_t

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

    def __init__(self, Parameters parameters, X, y, sample_weight, order):
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
            elif self.examples.y.columns != n_outputs:
                raise ValueError(f"y has shape {y.shape}; it must be (rows, {n_outputs})")
        if sample_weight is not None:
            self.weight = sample_weight
            if self.weight.shape[0] != self.examples.x.rows:
                raise ValueError(f"sample_weight has {self.weight.shape[0]} rows; X has {self.examples.x.rows}")
            self.examples.weight = &self.weight[0]
        self.rows = self.examples.x.rows
        if order is not None:
            self.order = order
            self.rows = self.order.shape[0]
            self.check_order()
            self.examples.order = &self.order[0] if self.order.shape[0] else NULL
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

    cdef check_order(self):
        cdef ptrdiff_t i
        for i in range(self.order.shape[0]):
            if not 0 <= self.order[i] < self.examples.x.rows:
                raise ValueError(f"order[{i}] is {self.order[i]}; X has {self.examples.x.rows} rows")

    cdef double[::1] weight_sums(self, ptrdiff_t batch_size):
        """Per step, the sum of its rows' weights, added up in row order; their number when there are no weights."""
        cdef ptrdiff_t i, number, start, steps = max(1, (self.rows + batch_size - 1) // batch_size)
        cdef double[::1] sums = np.zeros(steps)
        for i in range(steps):
            start = i * batch_size
            if self.examples.weight == NULL:
                sums[i] = min(batch_size, self.rows - start)
                continue
            for number in range(start, min(start + batch_size, self.rows)):
                sums[i] += self.weight[number if self.examples.order == NULL else self.order[number]]
        return sums
