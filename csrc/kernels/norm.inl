/* Layer normalisation (Ba, Kiros and Hinton, "Layer normalization", 2016) of a block of rows. Included by
 * isa/instantiate.inl, after reduce.inl. Mirror: reference/norm.py. */

/* The sum of the products of two rows. */
FM_INLINE real row_dot(ptrdiff_t n, const real *a, const real *b, ptrdiff_t stride) {
  lane_sums sums = lane_sums_zero();
  for (ptrdiff_t c = 0; c < n; c += VL)
    lane_sums_fma(&sums, c, vfirst(vload(a + at(c, stride)), n - c), vfirst(vload(b + at(c, stride)), n - c));
  return lane_sums_total(&sums);
}

FM_INLINE real row_sum(ptrdiff_t n, const real *row, ptrdiff_t stride) {
  lane_sums sums = lane_sums_zero();
  for (ptrdiff_t c = 0; c < n; c += VL) lane_sums_add(&sums, c, vfirst(vload(row + at(c, stride)), n - c));
  return lane_sums_total(&sums);
}

/* row -= mean, in place, and 0 behind its end; returns 1 / sqrt(variance + epsilon). */
FM_INLINE real center_row(ptrdiff_t n, real epsilon, real *row, ptrdiff_t stride) {
  const vreal mean = vset1(row_sum(n, row, stride) / (real)n);
  for (ptrdiff_t c = 0; c < n; c += VL) {
    real *x = row + at(c, stride);
    vstore(x, vfirst(vsub(vload(x), mean), n - c));
  }
  const real variance = row_dot(n, row, row, stride) / (real)n;
  return vlargest(vdiv(vset1(1), vsqrt(vset1(variance + epsilon))));
}

static void normalise_rows(ptrdiff_t rows, ptrdiff_t columns, double epsilon, const void *gamma, void *c,
                           ptrdiff_t stride, void *normed, void *scale) {
  const real *gains = (const real *)gamma;
  for (ptrdiff_t r = 0; r < rows; r++) {
    real *row = (real *)c + r * PANEL, *kept = normed ? (real *)normed + r * PANEL : NULL;
    const real inverse = center_row(columns, (real)epsilon, row, stride);
    if (kept) ((real *)scale)[r] = inverse;
    for (ptrdiff_t j = 0; j < columns; j += VL) {
      const vreal x = vmul(vload(row + at(j, stride)), vset1(inverse));
      if (kept) vstore(kept + at(j, stride), x);
      vstore(row + at(j, stride), vmul(vload(gains + j), x));
    }
  }
}

/* With g = gamma dE/dy: dE/dz = (g - mean of g - x mean of g x) / sqrt(variance + epsilon), x being what was normed. */
static void pull_back_rows(ptrdiff_t rows, ptrdiff_t columns, const void *gamma, const void *scale, void *d,
                           ptrdiff_t stride, void *normed, void *shifted) {
  const real *gains = (const real *)gamma;
  for (ptrdiff_t r = 0; r < rows; r++) {
    real *row = (real *)d + r * PANEL, *x = (real *)normed + r * PANEL, *by_shift = (real *)shifted + r * PANEL;
    for (ptrdiff_t j = 0; j < columns; j += VL) {
      const vreal dy = vfirst(vload(row + at(j, stride)), columns - j);
      vstore(by_shift + at(j, stride), dy);
      vstore(row + at(j, stride), vmul(vload(gains + j), dy));
    }
    const vreal mean = vset1(row_sum(columns, row, stride) / (real)columns);
    const vreal along = vset1(row_dot(columns, row, x, stride) / (real)columns);
    const vreal inverse = vset1(((const real *)scale)[r]);
    for (ptrdiff_t j = 0; j < columns; j += VL) {
      real *g = row + at(j, stride), *by_gain = x + at(j, stride);
      const vreal dz = vmul(vfnma(vload(by_gain), along, vsub(vload(g), mean)), inverse);
      vstore(g, vfirst(dz, columns - j));
      vstore(by_gain, vmul(vload(by_gain), vload(by_shift + at(j, stride))));
    }
  }
}
