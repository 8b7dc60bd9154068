# What a run reads, checked and held for as long as it takes, and how a block of it comes into a workspace.
from fastmlp.passes.kernels cimport Matrix, Rows
from fastmlp.passes.layers cimport Network
from fastmlp.passes.parameters cimport Parameters
from fastmlp.passes.workspace cimport Workspace
from libc.stdint cimport int32_t, int64_t

# What a run reads: rows of X and y, by their numbers in `order` (NULL: as they come).
cdef struct Examples:
    Matrix x
    Matrix y
    bint labels                      # y holds int32 class labels
    const double *weight             # per row of X, or NULL
    const int64_t *order
    ptrdiff_t rows                   # in the order; of X where there is none
    # Of sparse rows, of which x has the values, one below the other; NULL: they are dense.
    const int64_t *indptr            # per row of X: where its entries begin; their end
    const int32_t *columns           # per entry
    const int64_t *offsets           # per place in the order: entries before it; all of them
    const double *mixing             # of each step, the share of the next row's in a row; NULL: rows stay as they are
    ptrdiff_t batch                  # rows of a step, where they are mixed

cdef class Inputs:
    cdef Examples examples
    cdef Rows x
    cdef Rows y
    cdef object weight               # memoryviews, which hold the arrays, or None
    cdef object order
    cdef object mixing
    cdef tuple entries               # of sparse rows: arrays that `examples` points into, or None
    cdef bint has_targets
    cdef ptrdiff_t rows              # in the order, or in X when there is none
    cdef check_labels(self, y, ptrdiff_t n_outputs)
    cdef weight_sums(self, ptrdiff_t batch_size, ptrdiff_t epoch_rows)
    cdef take_entries(self, X)
    cdef place_entries(self, X, order)
    cdef mix(self, loss, shares, ptrdiff_t batch_size)

cdef check_order(order, ptrdiff_t rows)
cdef ptrdiff_t most_entries(Examples *examples, ptrdiff_t rows) noexcept nogil
cdef sums_of_weights(weight, order, ptrdiff_t rows, ptrdiff_t batch_size, ptrdiff_t epoch_rows)

cdef inline ptrdiff_t number_of(Examples *examples, ptrdiff_t position) noexcept nogil:
    """The number of the row at a position of the order."""
    return position if examples.order == NULL else <ptrdiff_t> examples.order[position]

cdef inline ptrdiff_t next_of(Examples *examples, ptrdiff_t position) noexcept nogil:
    """The position of the row that is mixed into the one at a position: the next of its batch, or the first."""
    cdef ptrdiff_t first = position - position % examples.batch
    return position + 1 if position + 1 < min(first + examples.batch, examples.rows) else first

cdef inline double weight_at(Examples *examples, ptrdiff_t position) noexcept nogil:
    """The weight of the row at a position, where there are weights; mixed as the row is."""
    cdef double weight = examples.weight[number_of(examples, position)]
    if examples.mixing != NULL:
        weight += examples.mixing[position // examples.batch] * (
            examples.weight[number_of(examples, next_of(examples, position))] - weight)
    return weight

cdef void load_inputs(Network *net, Workspace *ws, Examples *examples, ptrdiff_t start, ptrdiff_t row,
                      ptrdiff_t rows) noexcept nogil
cdef void to_units(Network *net, ptrdiff_t rows, char *outputs) noexcept nogil
cdef void load_targets(Network *net, Workspace *ws, Examples *examples, ptrdiff_t start, ptrdiff_t row,
                       ptrdiff_t rows, double weight_sum) noexcept nogil
