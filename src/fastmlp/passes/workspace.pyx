"""Workspaces: inputs, outputs, deltas and targets of a batch's rows, in one arena each.

Mirror: reference/workspace.py.
"""
from fastmlp.passes.layers cimport BATCH_NORM, LAYER_NORM, SLOPE, drops_outputs
from fastmlp.passes.parameters cimport Parameters, allocate, refuse_too_large, take
from fastmlp.passes.threads cimport fm_free
from libc.stdint cimport int32_t, uint16_t
from libc.stdlib cimport calloc, free


cdef class Buffers:
    """The workspace for up to `capacity` rows at once."""

    def __cinit__(self, Parameters parameters, ptrdiff_t capacity, Purpose purpose, bint mixing=False,
                  ptrdiff_t entries=0, bint lazy=False):
        cdef Network *net = &parameters.net
        cdef ptrdiff_t rows = (capacity + net.kernels.tile_rows - 1) // net.kernels.tile_rows * net.kernels.tile_rows
        # Panels a multiple of 4096 bytes apart would all compete for the same few sets of the first-level cache.
        if rows * net.panel * net.item % 4096 == 0:
            rows += net.kernels.tile_rows
        widths = sum(n.n_in + n.n_signals + 2 * net.panel for n in parameters.spec.layers)
        refuse_too_large(2 * rows * (widths + 2) * net.item)
        self.ws.capacity = capacity
        self.ws.stride = rows * net.panel
        self.ws.a = <char **> calloc(15 * (net.n_layers + 1), sizeof(char *))
        if self.ws.a == NULL:
            raise MemoryError("no memory for the layers' buffers")
        self.ws.d = self.ws.a + net.n_layers + 1
        self.ws.kept = self.ws.d + net.n_layers + 1
        self.ws.through = self.ws.kept + net.n_layers + 1
        self.ws.terms = self.ws.through + net.n_layers + 1
        self.ws.normed = self.ws.terms + net.n_layers + 1
        self.ws.shifted = self.ws.normed + net.n_layers + 1
        self.ws.norm_scale = self.ws.shifted + net.n_layers + 1
        self.ws.batch_mean = self.ws.norm_scale + net.n_layers + 1
        self.ws.batch_var = self.ws.batch_mean + net.n_layers + 1
        self.ws.along = self.ws.batch_var + net.n_layers + 1
        self.ws.down = self.ws.along + net.n_layers + 1
        self.ws.d_along = self.ws.down + net.n_layers + 1
        self.ws.d_down = self.ws.d_along + net.n_layers + 1
        self.ws.numbers = <uint16_t **> (self.ws.d_down + net.n_layers + 1)
        self.purpose, self.mixing, self.ws.entries.room = purpose, mixing, entries
        self.ws.entries.lazy = lazy
        self.arena = allocate(self.lay_out(net, NULL))
        self.lay_out(net, self.arena)

    def __dealloc__(self):
        fm_free(self.arena)
        free(self.ws.a)

    cdef size_t lay_out(self, Network *net, char *base):
        cdef size_t used = 0
        cdef size_t panel = self.ws.stride * net.item, row
        cdef int l, last = net.n_layers
        if self.ws.entries.room > 0:
            self.lay_out_entries(net, base, &used)
        else:
            self.ws.a[0] = take(base, &used, net.layers[0].in_panels * panel)
        for l in range(2 if self.purpose == TRAIN and net.noise > 0 else 0):
            self.ws.noise[l] = <uint16_t *> take(base, &used, net.layers[0].in_panels * self.ws.stride
                                                 * sizeof(uint16_t))
        if self.mixing:
            self.ws.beside[0] = take(base, &used, net.layers[0].in_panels * panel)
            self.ws.beside[1] = take(base, &used, net.layers[last - 1].out_panels * panel)
        for l in range(last):
            self.ws.a[l + 1] = take(base, &used, net.layers[l].out_panels * panel)
        for l in range(last):
            if self.purpose == TRAIN and net.layers[l].drop_scale > 0:
                self.ws.numbers[l] = <uint16_t *> take(base, &used, net.layers[l].in_panels * self.ws.stride
                                                       * sizeof(uint16_t))
            if self.purpose >= GRADIENT or (self.purpose == EVALUATE and l == last - 1):
                self.ws.d[l + 1] = take(base, &used, net.layers[l].out_panels * panel)
                if (net.layers[l].keeps_slopes or net.layers[l].residual
                        or (self.purpose == TRAIN and drops_outputs(net, l))):
                    self.ws.kept[l + 1] = take(base, &used, net.layers[l].out_panels * panel)
                if net.layers[l].vectors[SLOPE].columns:
                    self.ws.terms[l + 1] = take(base, &used, net.layers[l].out_panels * panel)
                if net.layers[l].residual:
                    self.ws.through[l + 1] = take(base, &used, net.layers[l].out_panels * panel)
                if self.purpose >= GRADIENT and net.layers[l].norm:
                    self.ws.normed[l + 1] = take(base, &used, net.layers[l].out_panels * panel)
                    self.ws.shifted[l + 1] = take(base, &used, net.layers[l].out_panels * panel)
                    if net.layers[l].norm == LAYER_NORM:
                        self.ws.norm_scale[l + 1] = take(base, &used, self.ws.capacity * net.item)
                if self.purpose == TRAIN and net.layers[l].norm == BATCH_NORM:
                    row = net.layers[l].out_panels * net.panel * net.item
                    self.ws.norm_scale[l + 1] = take(base, &used, row)
                    self.ws.batch_mean[l + 1] = take(base, &used, row)
                    self.ws.batch_var[l + 1] = take(base, &used, row)
        for l in range(last):
            if net.layers[l].pairs != NULL:
                self.lay_out_pairs(net, l, base, &used)
        if self.purpose != PREDICT:
            self.ws.target = take(base, &used, net.layers[last - 1].out_panels * panel)
            self.ws.labels = <int32_t *> take(base, &used, self.ws.capacity * sizeof(int32_t))
            self.ws.scale = take(base, &used, self.ws.capacity * net.item)
            self.ws.row_loss = <double *> take(base, &used, self.ws.capacity * sizeof(double))
        return used

    cdef lay_out_pairs(self, Network *net, int l, char *base, size_t *used):
        """Room for the pairs of a layer's inputs and deltas, each half as large as they."""
        cdef size_t panel = self.ws.stride // 2 * net.item
        self.ws.along[l] = take(base, used, net.layers[l].in_panels * panel)
        if self.purpose >= GRADIENT:
            self.ws.down[l] = take(base, used, net.layers[l].in_panels * panel)
            self.ws.d_down[l + 1] = take(base, used, net.layers[l].out_panels * panel)
            if l > 0:
                self.ws.d_along[l + 1] = take(base, used, net.layers[l].out_panels * panel)

    cdef lay_out_entries(self, Network *net, char *base, size_t *used):
        cdef Entries *to = &self.ws.entries
        cdef size_t numbers = to.room * sizeof(int32_t)
        cdef ptrdiff_t most = min(to.room, net.layers[0].n_in)  # columns that the entries can have
        cdef ptrdiff_t blocks = max(net.layers[0].in_panels, most if to.lazy else 0)
        to.first = <ptrdiff_t *> take(base, used, self.ws.capacity * sizeof(ptrdiff_t))
        to.count = <ptrdiff_t *> take(base, used, self.ws.capacity * sizeof(ptrdiff_t))
        to.columns = <int32_t *> take(base, used, numbers)
        to.values = take(base, used, to.room * net.item)
        if self.purpose >= GRADIENT:
            to.block_first = <ptrdiff_t *> take(base, used, (blocks + 2) * sizeof(ptrdiff_t))
            to.block_rows = <int32_t *> take(base, used, numbers)
            to.block_columns = <int32_t *> take(base, used, numbers)
            to.block_values = take(base, used, to.room * net.item)
        if to.lazy:
            to.touched = <int32_t *> take(base, used, most * sizeof(int32_t))
            to.slots = <int32_t *> take(base, used, net.layers[0].n_in * sizeof(int32_t))
