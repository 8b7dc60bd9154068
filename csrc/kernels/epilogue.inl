/* What follows a product: bias and activation over a block of rows, and the slope in the backward pass.
 * Included by isa/instantiate.inl, after ops/activation.inl. */

typedef vreal (*activation_function)(vreal, const vreal *params);

FM_INLINE void forward_vector(activation_function value, const int keeps, vreal bias, const vreal *params, real *c,
                              real *kept) {
  const vreal z = vadd(vload(c), bias);
  if (keeps == FM_SIGNAL) vstore(kept, z);
  vstore(c, value(z, params));
}

FM_INLINE void forward_block(activation_function value, const int keeps, ptrdiff_t rows, int vectors, const void *bias,
                             const double *params, void *c, void *kept) {
  const vreal b0 = vload((const real *)bias), b1 = vload((const real *)bias + VL);
  real *block = (real *)c, *signal = (real *)kept;
  vreal p[FM_MAX_PARAMS];
  for (int i = 0; i < FM_MAX_PARAMS; i++) p[i] = vset1((real)params[i]);
  for (ptrdiff_t r = 0; r < rows; r++, block += PANEL, signal += PANEL) {
    forward_vector(value, keeps, b0, p, block, signal);
    if (vectors == 2) forward_vector(value, keeps, b1, p, block + VL, signal + VL);
  }
}

FM_INLINE void backward_block(activation_function slope, ptrdiff_t rows, int vectors, const void *kept,
                              const double *params, void *d) {
  const real *from = (const real *)kept;
  real *block = (real *)d;
  vreal p[FM_MAX_PARAMS];
  for (int i = 0; i < FM_MAX_PARAMS; i++) p[i] = vset1((real)params[i]);
  for (ptrdiff_t r = 0; r < rows; r++, block += PANEL, from += PANEL) {
    vstore(block, vmul(vload(block), slope(vload(from), p)));
    if (vectors == 2) vstore(block + VL, vmul(vload(block + VL), slope(vload(from + VL), p)));
  }
}

#define FM_DEFINE_ELEMENTS(name, keeps)                                                                       \
  static void name##_forward(ptrdiff_t rows, int vectors, const void *bias, const double *params, void *c,    \
                             void *kept) {                                                                    \
    forward_block(name##_value, keeps, rows, vectors, bias, params, c, kept);                                 \
  }                                                                                                           \
  static void name##_backward(ptrdiff_t rows, int vectors, const void *kept, const double *params, void *d) { \
    backward_block(name##_slope, rows, vectors, kept, params, d);                                             \
  }
#define FM_DEFINE_ROWS(name, keeps)
#define ACTIVATION(name, params, keeps, of) FM_DEFINE_##of(name, FM_##keeps)
#include "../ops/activation.inl"
#undef ACTIVATION
#undef FM_DEFINE_ELEMENTS
#undef FM_DEFINE_ROWS
