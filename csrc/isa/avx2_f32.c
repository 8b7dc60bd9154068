/* The float32 kernels of avx2. */
#define FM_REAL_IS_FLOAT 1
#define FM_TABLE fm_avx2_float32
#include "avx2.inl"
