/* fastmlp from C11 and C++: networks that predict, give gradients and learn, through one table of functions.
 *
 * Getting the table. With Python.h included before this file:
 *
 *     const fastmlp_api *api = fastmlp_import();      // NULL with a Python error set; holds the GIL
 *
 * Without it, somebody hands over the pointer that is in the capsule `fastmlp._C_API` (ctypes, cffi and Numba can read
 * it), and fastmlp_check(api) says whether it has all that this file knows. Nothing is linked. `fastmlp.get_include()`
 * is the folder of this file; Cython has the same by `cimport fastmlp`.
 *
 * Rules, which hold for every function unless it says otherwise:
 * - It returns FASTMLP_OK (0) or a negative code, and then what it was to fill is as it was, unless said otherwise.
 *   api->text(code) says what the code means, api->last_error() what was wrong this time, in this thread.
 * - Arrays are contiguous rows of the network's dtype, aligned to it, each with its size in bytes: too little, too much
 *   or of another dtype is FASTMLP_SIZE, and a pointer that is NULL is FASTMLP_NULL. They must not overlap.
 * - It may be called with the GIL or without it, from any thread, while Python is running, that is, from after the
 * import of fastmlp until the interpreter ends. "No GIL" below says that it does not even take it.
 * - Parameters and gradients are vectors in the order of MLP.get_flat: of each layer the weights, row by row of
 *   (inputs, outputs), then its vectors. */
#ifndef FASTMLP_H
#define FASTMLP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* -- declarations (without preprocessor lines, as cffi wants them) --------------------------------------------------*/

typedef struct fastmlp_net fastmlp_net;   /* a network: one that Python has, too, or one of your own */
typedef struct fastmlp_tape fastmlp_tape; /* what a forward pass has kept for backward passes */

enum {
  FASTMLP_OK = 0,
  FASTMLP_NULL = -1,     /* a pointer that must not be NULL is */
  FASTMLP_SIZE = -2,     /* an array has another size than the network and the rows ask for, or is not aligned */
  FASTMLP_ARGUMENT = -3, /* another argument is not what it may be: last_error says which */
  FASTMLP_VERSION = -4,  /* the table, or a struct of yours, is of another version, and what is asked for is missing */
  FASTMLP_NOT_FINITE = -5,   /* numbers that are NaN or infinite were given */
  FASTMLP_BUSY = -6,         /* another thread is changing the network: try again */
  FASTMLP_STALE = -7,        /* the parameters have changed since the forward pass */
  FASTMLP_DIVERGED = -8,     /* the update overflowed: the network went back to its last good parameters */
  FASTMLP_MEMORY = -9,       /* there is not enough */
  FASTMLP_INTERRUPTED = -10, /* a signal came; Python raises it (KeyboardInterrupt) when it runs next */
  FASTMLP_ERROR = -11        /* anything else: last_error says what */
};

enum { FASTMLP_FLOAT32 = 0, FASTMLP_FLOAT64 = 1 };

enum { FASTMLP_TRAINING = 1 }; /* for forward: with dropout and noise, as the next step of a training would draw them */

/* How a network is made. `size` is sizeof(fastmlp_options); all else may stay zero. A program of an older version has a
 * shorter one, and gets the defaults; of a newer one, what is not known here has to be zero (FASTMLP_VERSION). */
typedef struct fastmlp_options {
  size_t size;
  int dtype;              /* FASTMLP_FLOAT32 or FASTMLP_FLOAT64 */
  int seeded;             /* whether `seed` counts; 0: drawn from the system */
  uint64_t seed;          /* of the first weights, dropout and noise */
  const char *activation; /* of the hidden layers, by its name in Python; NULL: "relu" */
  const char *output;     /* of the output layer; NULL: what goes with the loss */
  const char *loss;       /* NULL: what goes with the output */
} fastmlp_options;

/* The table. Functions are appended, and none is ever changed or taken out: what is within `size` is there. */
typedef struct fastmlp_api {
  size_t size; /* bytes of this struct in the library that filled it */
  int version; /* 1: grows with each release that appends */

  /* What a code means; a text for every int. No GIL; any threads. */
  const char *(*text)(int code);
  /* What the last call of this thread that failed had to say; "" at first. It stays until the next one that fails.
   * No GIL. */
  const char *(*last_error)(void);

  /* -- networks: any threads; each network that was made here is given back by `release` -- */

  /* Make one of n sizes: inputs, widths of the hidden layers, outputs. `options` may be NULL. */
  int (*create)(const ptrdiff_t *sizes, size_t n, const fastmlp_options *options, fastmlp_net **net);
  /* Read one out of the bytes of a file that MLP.save wrote. */
  int (*load)(const void *file, size_t bytes, fastmlp_net **net);
  /* Use a network of Python's: `mlp` is a PyObject *, an MLP of the compiled backend, which is kept alive. */
  int (*from_python)(void *mlp, fastmlp_net **net);
  /* Get the MLP that it is: *mlp is a PyObject * and a new reference. */
  int (*to_python)(fastmlp_net *net, void **mlp);
  /* Give a network back; not while another thread uses it. NULL is fine. */
  void (*release)(fastmlp_net *net);

  /* -- sizes: no GIL; any threads; a negative code for NULL -- */

  ptrdiff_t (*n_inputs)(const fastmlp_net *net);
  ptrdiff_t (*n_outputs)(const fastmlp_net *net);
  ptrdiff_t (*n_parameters)(const fastmlp_net *net);
  int (*dtype)(const fastmlp_net *net);

  /* -- parameters: any threads; those of one network wait for each other, and for trainings -- */

  int (*get_parameters)(fastmlp_net *net, void *parameters, size_t bytes);
  int (*set_parameters)(fastmlp_net *net, const void *parameters, size_t bytes);

  /* -- predictions -- */

  /* Outputs y (rows, n_outputs) of rows x (rows, n_inputs), as many as x has. With threads = 1: on this thread alone,
   * no GIL, no Python object, and no memory once this many threads have predicted; any threads side by side.
   * FASTMLP_BUSY while parameters change. threads = n, or 0 for as many as it is worth: the GIL is taken, unless
   * there is little to do, and changes are waited for. (A network with an activation written in Python always takes
   * it.) */
  int (*predict)(fastmlp_net *net, const void *x, size_t x_bytes, void *y, size_t y_bytes, int threads);
  /* The first output for one row of n doubles, whatever the network's dtype; NaN where predict would fail. No GIL. A
   * scipy.LowLevelCallable of this function, with a network as user data, is what scipy.integrate.nquad takes. */
  double (*value)(int n, double *x, void *net);

  /* -- gradients of any loss: the GIL is taken; any threads, for tapes of their own -- */

  /* Outputs as of MLP.forward, and a tape, which `release_tape` gives back. `flags`: 0 or FASTMLP_TRAINING, which is
   * FASTMLP_ARGUMENT for norm="batch". */
  int (*forward)(fastmlp_net *net, const void *x, size_t x_bytes, void *y, size_t y_bytes, int flags, int threads,
                 fastmlp_tape **tape);
  /* From dE/dy (rows, n_outputs) to the gradient of all parameters, sums over the rows, and to dE/dx (rows, n_inputs);
   * either may be NULL with 0 bytes. As often as you like until the parameters change, by one thread at a time. */
  int (*backward)(fastmlp_tape *tape, const void *dy, size_t dy_bytes, void *gradient, size_t gradient_bytes, void *dx,
                  size_t dx_bytes, int threads);
  /* NULL is fine. */
  void (*release_tape)(fastmlp_tape *tape);
  /* One update by a gradient. `optimizer` is a name, such as "sgd" or "adam"; NULL: the one that was used last, or
   * Adam. `learning_rate` > 0, or 0 for the optimizer's own. Updates of one network wait for each other. */
  int (*step)(fastmlp_net *net, const void *gradient, size_t bytes, const char *optimizer, double learning_rate,
              int threads);
} fastmlp_api;

/* -- end of declarations --------------------------------------------------------------------------------------------*/

/* Whether a table has a function: one of a newer version than this program's oldest needs to be asked for. */
#define FASTMLP_HAS(api, function) \
  ((api)->size >= offsetof(fastmlp_api, function) + sizeof((api)->function) && (api)->function != 0)

/* FASTMLP_OK if a table has all that this file declares; FASTMLP_VERSION if it is of an older library. */
static inline int fastmlp_check(const fastmlp_api *api) {
  if (!api) return FASTMLP_NULL;
  return api->size >= sizeof(fastmlp_api) ? FASTMLP_OK : FASTMLP_VERSION;
}

#if defined(Py_PYTHON_H)
/* The table of the installed fastmlp; NULL with an ImportError set. With the GIL. */
static inline const fastmlp_api *fastmlp_import(void) {
  const fastmlp_api *api = (const fastmlp_api *)PyCapsule_Import("fastmlp._C_API", 0);
  if (api && fastmlp_check(api) != FASTMLP_OK) {
    PyErr_SetString(PyExc_ImportError, "the installed fastmlp is older than the fastmlp.h that this was compiled with");
    return NULL;
  }
  return api;
}
#endif

#ifdef __cplusplus
}
#endif
#endif
