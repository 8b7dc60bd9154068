/* The float32 kernels of neon. */
#define FM_REAL_IS_FLOAT 1
#define FM_TABLE fm_neon_float32
#include "neon.inl"
