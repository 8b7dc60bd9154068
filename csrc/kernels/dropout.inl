/* Dropout by random numbers that lie beside what is dropped. Included by isa/instantiate.inl. Mirror:
 * reference/dropout.py. */

FM_INLINE void drop_vector(vreal threshold, vreal scale, const uint16_t *numbers, real *c, real *before) {
  const vreal x = vload(c);
  if (before) vstore(before, x);
  vstore(c, vmul(x, vselect(vle(threshold, vload_u16(numbers)), scale, vzero())));
}

/* A product, so that what is not finite shows also where it is dropped: NaN, not 0. */
static void drop(ptrdiff_t rows, int vectors, const uint16_t *numbers, double threshold, double scale, void *c,
                 void *before) {
  const vreal t = vset1((real)threshold), s = vset1((real)scale);
  real *block = (real *)c, *copy = (real *)before;
  for (ptrdiff_t r = 0; r < rows; r++, numbers += PANEL, block += PANEL) {
    drop_vector(t, s, numbers, block, copy);
    if (vectors == 2) drop_vector(t, s, numbers + VL, block + VL, copy ? copy + VL : NULL);
    if (copy) copy += PANEL;
  }
}
