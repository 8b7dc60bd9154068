# Memory that several threads go over once. threads is n for n > 0, else chosen, from 1 to n for -n.
from fastmlp.passes.kernels cimport Matrix, fm_kernels

cdef int copy_bytes(char *to, const char *source, size_t size, int threads) except -1
cdef bint all_finite(Matrix *matrix, const fm_kernels *kernels, int threads) except -1
