/* The avx2 region: system headers above it, everything that runs below it. One of <isa>_f32.c, <isa>_f64.c includes it.
 */
#include <math.h>
#include <string.h>

#include "../kernels.h"

const fm_kernels *FM_TABLE(void);

#if FM_X86_64

#include <immintrin.h>

/* GCC and Clang take the instruction set from the region; MSVC needs /arch on the file, which setup.py gives. */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

#define FM_ISA_NAME "avx2"
#include "vec_avx2.h"
#include "instantiate.inl"

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

#else

const fm_kernels *FM_TABLE(void) { return NULL; }

#endif
