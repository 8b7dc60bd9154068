"""Passes over the tensors of another library, whose memory a table of C functions lends (DLPack): tens of nanoseconds
for a tensor, where an array that shares its memory costs a microsecond.

No mirror in reference/: NumPy computes with arrays.
"""
from cpython.pycapsule cimport PyCapsule_GetPointer
from fastmlp.passes.kernels cimport FM_SOURCE_float32, FM_SOURCE_float64
from fastmlp.passes.layers cimport WEIGHTS, Layer, Network, threads_for
from fastmlp.passes.predict cimport few_enough
from fastmlp.passes.rowmajor cimport count_tensors, put_tensors
from fastmlp.passes.tape cimport Tape
from libc.stdlib cimport calloc, free
from libc.string cimport memset

cdef enum:
    MAJOR_VERSION = 1                # of the table, in which minor ones only append
    CPU = 1
    FLOAT = 2


cdef class TensorPasses:
    """What an engine does with tensors of one type. Each call returns False (None) and has done nothing where a tensor
    is not a plain one: on the CPU, of the network's dtype, of the right shape, and row by row but for inputs."""

    def __init__(self, Parameters parameters, Predictor predictor, list tape_buffers, capsule):
        cdef ExchangeTable *table = <ExchangeTable *> PyCapsule_GetPointer(capsule, "dlpack_exchange_api")
        if table.major != MAJOR_VERSION or table.borrow == NULL:
            raise ValueError(f"the tensors' table is of DLPack {table.major}.{table.minor}, or lends no memory")
        self.parameters, self.predictor, self.gate = parameters, predictor, predictor.gate
        self.tape_buffers, self.capsule, self.borrow = tape_buffers, capsule, table.borrow

    cdef bint matrix(self, tensor, DLTensor *view, ptrdiff_t columns) except -1:
        """Borrow a matrix of so many columns (0: a vector), if it is one."""
        self.borrow(<void *> tensor, view)
        if view.device_type != CPU or view.code != FLOAT or view.lanes != 1 or view.data == NULL:
            return False
        if view.bits != 8 * self.parameters.net.item:
            return False
        view.data = <char *> view.data + view.byte_offset
        return view.ndim == 1 if columns == 0 else view.ndim == 2 and view.shape[1] == columns

    cdef char *whole(self, tensor, ptrdiff_t rows, ptrdiff_t columns) except? NULL:
        """Borrow a tensor of this shape that lies row by row; NULL if it is none."""
        cdef DLTensor view
        if not self.matrix(tensor, &view, columns) or view.shape[0] != rows:
            return NULL
        if view.strides != NULL:
            if columns > 0 and ((columns > 1 and view.strides[1] != 1) or (rows > 1 and view.strides[0] != columns)):
                return NULL
            if columns == 0 and rows > 1 and view.strides[0] != 1:
                return NULL
        return <char *> view.data

    cdef bint inputs(self, x, Examples *examples) except -1:
        cdef DLTensor view
        cdef ptrdiff_t item = self.parameters.net.item, columns = self.parameters.net.layers[0].n_in
        if not self.matrix(x, &view, columns) or view.shape[0] == 0:
            return False
        memset(examples, 0, sizeof(examples[0]))
        examples.x.data, examples.x.rows, examples.x.columns = <const char *> view.data, view.shape[0], columns
        examples.x.row_stride = item * (columns if view.strides == NULL else view.strides[0])
        examples.x.column_stride = item * (1 if view.strides == NULL else view.strides[1])
        examples.x.source = FM_SOURCE_float32 if item == 4 else FM_SOURCE_float64
        examples.rows = examples.x.rows
        return True

    cdef bint places(self, list tensors, char **to, bint all_of_them) except -1:
        """Borrow a tensor for each of the network's, weights as (O, I); unless all are needed, NULL for None."""
        cdef Network *net = &self.parameters.net
        cdef Layer *layer
        cdef int place = 0, l, v
        if len(tensors) != count_tensors(net):
            return False
        for l in range(net.n_layers):
            layer = &net.layers[l]
            for v in range(WEIGHTS, layer.n_vectors):
                if tensors[place] is None:
                    to[place] = NULL
                    if all_of_them:
                        return False
                elif v == WEIGHTS:
                    to[place] = self.whole(tensors[place], layer.n_out, layer.n_in)
                else:
                    to[place] = self.whole(tensors[place], layer.vectors[layer.which[v]].columns, 0)
                if to[place] == NULL and tensors[place] is not None:
                    return False
                place += 1
        return True

    def write(self, list tensors not None, int threads):
        """Replace all parameters, weights (O, I) and vectors of each layer in turn; tapes stay good behind it."""
        cdef char **places = <char **> calloc(count_tensors(&self.parameters.net), sizeof(char *))
        try:
            if places == NULL:
                raise MemoryError("no memory for the tensors' places")
            if not self.places(tensors, places, True):
                return False
            self.gate.close("write_transposed")
            try:
                put_tensors(self.parameters, <const char **> places, threads)
            finally:
                self.gate.open()
        finally:
            free(places)
        return True

    def predict(self, x, out, int threads):
        """Fill `out` with the outputs of all rows of x."""
        cdef Network *net = &self.parameters.net
        cdef Examples examples
        cdef char *to
        if not self.inputs(x, &examples):
            return False
        to = self.whole(out, examples.rows, net.layers[net.n_layers - 1].n_out)
        if to == NULL:
            return False
        if not net.custom and few_enough(net, examples.rows):
            return self.predictor.fill_few(&examples, to)
        return self.predictor.fill(&examples, to, NULL, -threads, False)

    def forward(self, x, out, int threads, seed):
        """Fill `out` and return the tape; with a seed, units are dropped."""
        cdef Network *net = &self.parameters.net
        cdef Examples examples
        cdef char *to
        cdef Tape tape
        if not self.inputs(x, &examples):
            return None
        to = self.whole(out, examples.rows, net.layers[net.n_layers - 1].n_out)
        if to == NULL:
            return None
        tape = Tape(self.parameters, self.gate, self.tape_buffers)
        tape.forward_rows_of(&examples, to, self.team_size(examples.rows, False, threads), seed)
        return tape

    def backward(self, Tape tape not None, by_outputs, list gradients, by_inputs, int threads):
        """Fill the gradients, for which there is a tensor each or None, as there may be for the inputs'; with None for
        all of them none is computed."""
        cdef Network *net = &self.parameters.net
        cdef char *derivatives = self.whole(by_outputs, tape.rows, net.layers[net.n_layers - 1].n_out)
        cdef char *to_inputs = NULL
        cdef char **places = NULL
        if tape.parameters is not self.parameters:
            raise ValueError("the tape is of another engine")
        if by_inputs is not None:
            to_inputs = self.whole(by_inputs, tape.rows, net.layers[0].n_in)
        if derivatives == NULL or (by_inputs is not None and to_inputs == NULL):
            return False
        try:
            if gradients is not None:
                places = <char **> calloc(count_tensors(net), sizeof(char *))
                if places == NULL:
                    raise MemoryError("no memory for the tensors' places")
                if not self.places(gradients, places, False):
                    return False
            tape.backward_from(derivatives, places, to_inputs, self.team_size(tape.rows, True, threads), True)
        finally:
            free(places)
        return True

    cdef int team_size(self, ptrdiff_t rows, bint train, int threads) except -1:
        return 1 if self.parameters.net.custom else threads_for(&self.parameters.net, rows, train, threads)
