/* The float64 kernels of avx2. */
#define FM_REAL_IS_FLOAT 0
#define FM_TABLE fm_avx2_float64
#include "avx2.inl"
