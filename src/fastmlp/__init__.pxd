# `cimport fastmlp`: the C interface for Cython (include/fastmlp.h says what each function does).
#
#     from fastmlp cimport fastmlp_api, fastmlp_net, import_fastmlp
#     cdef const fastmlp_api *api = import_fastmlp()
#
# The C compiler is to find fastmlp.h: include_dirs=[fastmlp.get_include()].
from cpython.pycapsule cimport PyCapsule_Import
from libc.stdint cimport uint64_t

cdef extern from "fastmlp.h" nogil:
    enum:
        FASTMLP_OK
        FASTMLP_NULL
        FASTMLP_SIZE
        FASTMLP_ARGUMENT
        FASTMLP_VERSION
        FASTMLP_NOT_FINITE
        FASTMLP_BUSY
        FASTMLP_STALE
        FASTMLP_DIVERGED
        FASTMLP_MEMORY
        FASTMLP_INTERRUPTED
        FASTMLP_ERROR
        FASTMLP_FLOAT32
        FASTMLP_FLOAT64
        FASTMLP_TRAINING
    ctypedef struct fastmlp_net:
        pass
    ctypedef struct fastmlp_tape:
        pass
    ctypedef struct fastmlp_options:
        size_t size
        int dtype
        int seeded
        uint64_t seed
        const char *activation
        const char *output
        const char *loss
    ctypedef struct fastmlp_api:
        size_t size
        int version
        const char *(*text)(int) noexcept nogil
        const char *(*last_error)() noexcept nogil
        int (*create)(const ptrdiff_t *, size_t, const fastmlp_options *, fastmlp_net **) noexcept nogil
        int (*load)(const void *, size_t, fastmlp_net **) noexcept nogil
        int (*from_python)(void *, fastmlp_net **) noexcept nogil
        int (*to_python)(fastmlp_net *, void **) noexcept nogil
        void (*release)(fastmlp_net *) noexcept nogil
        ptrdiff_t (*n_inputs)(const fastmlp_net *) noexcept nogil
        ptrdiff_t (*n_outputs)(const fastmlp_net *) noexcept nogil
        ptrdiff_t (*n_parameters)(const fastmlp_net *) noexcept nogil
        int (*dtype)(const fastmlp_net *) noexcept nogil
        int (*get_parameters)(fastmlp_net *, void *, size_t) noexcept nogil
        int (*set_parameters)(fastmlp_net *, const void *, size_t) noexcept nogil
        int (*predict)(fastmlp_net *, const void *, size_t, void *, size_t, int) noexcept nogil
        double (*value)(int, double *, void *) noexcept nogil
        int (*forward)(fastmlp_net *, const void *, size_t, void *, size_t, int, int, fastmlp_tape **) noexcept nogil
        int (*backward)(fastmlp_tape *, const void *, size_t, void *, size_t, void *, size_t, int) noexcept nogil
        void (*release_tape)(fastmlp_tape *) noexcept nogil
        int (*step)(fastmlp_net *, const void *, size_t, const char *, double, int) noexcept nogil
    int fastmlp_check(const fastmlp_api *api) noexcept

cdef inline const fastmlp_api *import_fastmlp() except NULL:
    """The table of the installed fastmlp, with all that this file declares."""
    cdef const fastmlp_api *api = <const fastmlp_api *> PyCapsule_Import("fastmlp._C_API", 0)
    if fastmlp_check(api) != FASTMLP_OK:
        raise ImportError("the installed fastmlp is older than the fastmlp.h that this was compiled with")
    return api
