/* What follows a product: bias and activation over a block of rows, and the slope in the backward pass.
 * Included by isa/instantiate.inl, after ops/activation.inl. */

typedef vreal (*activation_function)(vreal, const vreal *params);
typedef vreal (*activation_with_slope)(vreal, const vreal *params, vreal *slope);

FM_INLINE void forward_block(activation_function value, ptrdiff_t rows, int vectors, const void *bias,
                             const double *params, void *c) {
  const vreal b0 = vload((const real *)bias), b1 = vload((const real *)bias + VL);
  real *block = (real *)c;
  vreal p[FM_MAX_PARAMS];
  for (int i = 0; i < FM_MAX_PARAMS; i++) p[i] = vset1((real)params[i]);
  for (ptrdiff_t r = 0; r < rows; r++, block += PANEL) {
    vstore(block, value(vadd(vload(block), b0), p));
    if (vectors == 2) vstore(block + VL, value(vadd(vload(block + VL), b1), p));
  }
}

FM_INLINE void forward_vector(activation_with_slope f, vreal bias, const vreal *params, real *c, real *kept) {
  vreal slope;
  vstore(c, f(vadd(vload(c), bias), params, &slope));
  vstore(kept, slope);
}

FM_INLINE void forward_block_with_slope(activation_with_slope f, ptrdiff_t rows, int vectors, const void *bias,
                                        const double *params, void *c, void *kept) {
  const vreal b0 = vload((const real *)bias), b1 = vload((const real *)bias + VL);
  real *block = (real *)c, *slope = (real *)kept;
  vreal p[FM_MAX_PARAMS];
  for (int i = 0; i < FM_MAX_PARAMS; i++) p[i] = vset1((real)params[i]);
  for (ptrdiff_t r = 0; r < rows; r++, block += PANEL, slope += PANEL) {
    forward_vector(f, b0, p, block, slope);
    if (vectors == 2) forward_vector(f, b1, p, block + VL, slope + VL);
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

FM_INLINE vreal kept_slope(vreal kept, const vreal *params) {
  (void)params;
  return kept;
}

#define FM_FORWARD_OUTPUT(name) forward_block(name##_value, rows, vectors, bias, params, c)
#define FM_FORWARD_SIGNAL(name)                                  \
  if (kept == c)                                                 \
    forward_block(name##_value, rows, vectors, bias, params, c); \
  else                                                           \
    forward_block_with_slope(name##_and_slope, rows, vectors, bias, params, c, kept)
#define FM_SLOPE_OUTPUT(name) name##_slope
#define FM_SLOPE_SIGNAL(name) kept_slope

#define FM_DEFINE_ELEMENTS(name, from)                                                                        \
  static void name##_forward(ptrdiff_t rows, int vectors, const void *bias, const double *params, void *c,    \
                             void *kept) {                                                                    \
    (void)kept;                                                                                               \
    FM_FORWARD_##from(name);                                                                                  \
  }                                                                                                           \
  static void name##_backward(ptrdiff_t rows, int vectors, const void *kept, const double *params, void *d) { \
    backward_block(FM_SLOPE_##from(name), rows, vectors, kept, params, d);                                    \
  }
#define FM_DEFINE_ROWS(name, from)
#define FM_DEFINE_UNITS(name, from)
#define ACTIVATION(name, params, from, of) FM_DEFINE_##of(name, from)
#include "../ops/activation.inl"
#undef ACTIVATION
#undef FM_DEFINE_ELEMENTS
#undef FM_DEFINE_ROWS
#undef FM_DEFINE_UNITS
#undef FM_FORWARD_OUTPUT
#undef FM_FORWARD_SIGNAL
#undef FM_SLOPE_OUTPUT
#undef FM_SLOPE_SIGNAL
