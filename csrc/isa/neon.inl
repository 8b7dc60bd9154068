/* NEON is the floor of AArch64, so there is no region to open. One of neon_f32.c, neon_f64.c includes it. */
#include <math.h>
#include <string.h>

#include "../kernels.h"

const fm_kernels *FM_TABLE(void);

#if FM_ARM64

#include <arm_neon.h>

#define FM_ISA_NAME "neon"
#include "vec_neon.h"
#include "instantiate.inl"

#else

const fm_kernels *FM_TABLE(void) { return NULL; }

#endif
