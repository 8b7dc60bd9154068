/* The plain C build of the kernels, for any processor: what every other ISA is compared with. One of scalar_f32.c,
 * scalar_f64.c includes it. */
#include <math.h>
#include <string.h>

#include "../kernels.h"

const fm_kernels *FM_TABLE(void);

#define FM_ISA_NAME "scalar"
#include "vec_scalar.h"
#include "instantiate.inl"
