# Training steps as a region of threads makes them.
cdef void run_steps(void *context, int thread) noexcept nogil
