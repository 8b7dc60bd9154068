/* Rectifiers whose slope below 0 is learned, one for each unit or one for all of a layer. Included by
 * isa/instantiate.inl. Mirror: spec/activations/learned.py. */

/* Of a vector of units: z where z > 0, else slope z. */
FM_INLINE vreal prelu_value(vreal z, vreal slope) { return vselect(vlt(vzero(), z), z, vmul(slope, z)); }

FM_INLINE void prelu_forward_vector(vreal bias, vreal slope, real *c, real *kept) {
  const vreal z = vadd(vload(c), bias);
  vstore(kept, z);
  vstore(c, prelu_value(z, slope));
}

static void prelu_forward_units(ptrdiff_t rows, int vectors, const void *bias, const void *learned, int shared, void *c,
                                void *kept) {
  const real *b = (const real *)bias, *s = (const real *)learned;
  real *block = (real *)c, *signal = (real *)kept;
  const vreal s0 = shared ? vset1(s[0]) : vload(s), s1 = shared || vectors < 2 ? s0 : vload(s + VL);
  const vreal b0 = vload(b), b1 = vload(b + VL);
  for (ptrdiff_t r = 0; r < rows; r++, block += PANEL, signal += PANEL) {
    prelu_forward_vector(b0, s0, block, signal);
    if (vectors == 2) prelu_forward_vector(b1, s1, block + VL, signal + VL);
  }
}

/* vmin(0, z), not vmin(z, 0): a NaN is to reach the gradient. */
FM_INLINE void prelu_backward_vector(vreal slope, const real *kept, real *d, real *terms) {
  const vreal z = vload(kept), by_output = vload(d);
  vstore(terms, vmul(by_output, vmin(vzero(), z)));
  vstore(d, vmul(by_output, vselect(vlt(vzero(), z), vset1(1), slope)));
}

static void prelu_backward_units(ptrdiff_t rows, int vectors, const void *kept, const void *learned, int shared,
                                 void *d, void *terms) {
  const real *signal = (const real *)kept, *s = (const real *)learned;
  real *block = (real *)d, *to = (real *)terms;
  const vreal s0 = shared ? vset1(s[0]) : vload(s), s1 = shared || vectors < 2 ? s0 : vload(s + VL);
  for (ptrdiff_t r = 0; r < rows; r++, signal += PANEL, block += PANEL, to += PANEL) {
    prelu_backward_vector(s0, signal, block, to);
    if (vectors == 2) prelu_backward_vector(s1, signal + VL, block + VL, to + VL);
  }
}
