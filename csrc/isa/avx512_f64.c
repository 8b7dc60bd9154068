/* The float64 kernels of avx512. */
#define FM_REAL_IS_FLOAT 0
#define FM_TABLE fm_avx512_float64
#include "avx512.inl"
