/* The float32 kernels of scalar. */
#define FM_REAL_IS_FLOAT 1
#define FM_TABLE fm_scalar_float32
#include "scalar.inl"
