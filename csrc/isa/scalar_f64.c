/* The float64 kernels of scalar. */
#define FM_REAL_IS_FLOAT 0
#define FM_TABLE fm_scalar_float64
#include "scalar.inl"
