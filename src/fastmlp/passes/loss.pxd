# The loss of a block of rows.
from fastmlp.passes.layers cimport SLOPE, Layer, Network, Vector
from fastmlp.passes.panels cimport packed, vectors_in
from fastmlp.passes.parameters cimport Parameters
from fastmlp.passes.rows cimport Examples
from fastmlp.passes.workspace cimport Workspace, block_of, derivatives, kept_block, round_deltas

# What is noted of each row of X in a run, by its number; NULL where nobody wants to know.
cdef struct PerRow:
    double *losses
    double *norms                    # of the gradient of its loss

cdef double add_row_losses(Network *net, Examples *examples, Workspace *ws, ptrdiff_t start, ptrdiff_t rows,
                           const PerRow *noted, double total) noexcept nogil
cdef bint loss_rows(Network *net, Workspace *ws, ptrdiff_t row, ptrdiff_t rows) noexcept nogil
cdef void round_output_deltas(Network *net, Workspace *ws, ptrdiff_t row, ptrdiff_t rows) noexcept nogil
cdef void apply_slopes(Network *net, Workspace *ws, int l, ptrdiff_t row, ptrdiff_t rows) noexcept nogil
cdef users_loss(Parameters parameters, Workspace *ws, ptrdiff_t rows)
cdef rows_of(Parameters parameters, Workspace *ws, char *matrix, ptrdiff_t rows)
cdef put_rows(Parameters parameters, Workspace *ws, char *matrix, array)

cdef inline void apply_slope(Network *net, Workspace *ws, int l, ptrdiff_t row, ptrdiff_t rows,
                             ptrdiff_t panel) noexcept nogil:
    """Derivatives by one panel of the outputs of layer l - 1 times f'(z), in place."""
    cdef Layer *layer = &net.layers[l - 1]
    cdef Vector *slope = &layer.vectors[SLOPE]
    if slope.columns:
        net.kernels.activation[layer.activation].backward_units(
            rows, vectors_in(net, layer.n_out - panel * net.panel), kept_block(net, ws, l, row, panel),
            slope.at if slope.shared else packed(net, slope.at, 1, 0, panel), slope.shared,
            block_of(net, ws, derivatives(ws, l), row, panel), block_of(net, ws, ws.terms[l], row, panel))
    else:
        net.kernels.activation[layer.activation].backward(
            rows, vectors_in(net, layer.n_out - panel * net.panel), kept_block(net, ws, l, row, panel),
            layer.params, block_of(net, ws, derivatives(ws, l), row, panel))
