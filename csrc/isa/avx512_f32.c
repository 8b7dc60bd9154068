/* The float32 kernels of avx512. */
#define FM_REAL_IS_FLOAT 1
#define FM_TABLE fm_avx512_float32
#include "avx512.inl"
