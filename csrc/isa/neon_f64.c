/* The float64 kernels of neon. */
#define FM_REAL_IS_FLOAT 0
#define FM_TABLE fm_neon_float64
#include "neon.inl"
