"""Memory that several threads go over once: copied, or looked through for what is not finite.

No mirror in reference/: NumPy does both.
"""
from fastmlp.passes.kernels cimport Rows, kernel_table
from fastmlp.passes.threads cimport (
    MAX_THREADS,
    Place,
    Team,
    fm_counter_load,
    fm_counter_store,
    phase_begin,
    phase_end,
    phase_next,
    team_free,
    team_new,
    team_run,
)
from libc.string cimport memcpy

from fastmlp.passes.kernels import isas
from fastmlp.passes.threads import max_threads

cdef const fm_kernels *_BEST = kernel_table(next(isa["name"] for isa in isas() if isa["available"]), "float32")

cdef enum:
    # What a thread takes at once: a huge page, so that new pages, too, are made by several threads.
    PIECE_BYTES = 2 * 1024 * 1024

cdef struct Sweep:
    Team *team
    const Matrix *matrix
    const fm_kernels *kernels
    char *to                 # where the rows, which are contiguous, are copied; NULL: look whether they are finite
    ptrdiff_t piece          # rows


cdef int copy_bytes(char *to, const char *source, size_t size, int threads) except -1:
    cdef Matrix matrix
    matrix.data, matrix.rows, matrix.columns = source, <ptrdiff_t> size, 1
    matrix.row_stride = matrix.column_stride = 1
    go_over(&matrix, NULL, to, threads)
    return 0


cdef bint all_finite(Matrix *matrix, const fm_kernels *kernels, int threads) except -1:
    return go_over(matrix, kernels, NULL, threads)


def finite(array, int threads=1):
    """Whether every element of an array of a source dtype, 1-D or 2-D, is finite. Reads it once."""
    cdef Rows rows = Rows(array)
    return bool(all_finite(&rows.matrix, _BEST, threads))


cdef bint go_over(const Matrix *matrix, const fm_kernels *kernels, char *to, int threads) except -1:
    """False if something is not finite."""
    cdef Sweep sweep
    cdef int most = min(threads if threads > 0 else -threads or max_threads(), <int> MAX_THREADS)
    cdef ptrdiff_t item = min(abs(matrix.row_stride), abs(matrix.column_stride))  # or near it; 0 if broadcast
    cdef bint answer
    sweep.matrix, sweep.kernels, sweep.to = matrix, kernels, to
    sweep.piece = max(PIECE_BYTES // max(matrix.columns * item, <ptrdiff_t> 1), <ptrdiff_t> 1)
    sweep.team = team_new(<int> max(min(<ptrdiff_t> most, matrix.rows // sweep.piece), <ptrdiff_t> 1))
    with nogil:
        team_run(sweep.team, go_over_pieces, &sweep)
        answer = fm_counter_load(sweep.team.failed) == 0
        team_free(sweep.team)
    return answer


cdef void go_over_pieces(void *context, int thread) noexcept nogil:
    cdef Sweep *sweep = <Sweep *> context
    cdef const Matrix *m = sweep.matrix
    cdef ptrdiff_t piece, start, rows
    cdef Place place
    place.thread, place.phase, place.target = thread, 0, 0
    phase_begin(sweep.team, &place, (m.rows + sweep.piece - 1) // sweep.piece)
    while True:
        piece = phase_next(sweep.team, &place)
        if piece < 0:
            break
        start = piece * sweep.piece
        rows = min(sweep.piece, m.rows - start)
        if sweep.to != NULL:
            memcpy(sweep.to + start, m.data + start, rows)
        elif fm_counter_load(sweep.team.failed) == 0 and not sweep.kernels.finite[m.source](
                rows, m.columns, m.data + start * m.row_stride, m.row_stride, m.column_stride):
            fm_counter_store(sweep.team.failed, 1)
    phase_end(sweep.team, &place)
