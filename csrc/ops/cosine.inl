/* Cosine loss of the list in loss.inl: of the direction of a row's outputs. Included by isa/instantiate.inl, after
 * loss.inl. Mirror: spec/losses/cosine.py. */

/* 1 - s with s = sum_k a_k y_k / sqrt(A Y), A = sum_k a_k^2 + e and Y = sum_k y_k^2 + e, e = 1e-12: a row of zeros has
 * no direction, and s = 0. Delta s a / A - y / sqrt(A Y). */
FM_INLINE real cosine_row(ptrdiff_t n, const real *a, const real *y, ptrdiff_t stride, real scale, real *delta) {
  lane_sums products = lane_sums_zero(), outputs = lane_sums_zero(), targets = lane_sums_zero();
  real lanes[VL];
  for (ptrdiff_t c = 0; c < n; c += VL) {
    const vreal output = vfirst(vload(a + at(c, stride)), n - c), target = vfirst(vload(y + at(c, stride)), n - c);
    lane_sums_add(&products, c, vmul(output, target));
    lane_sums_add(&outputs, c, vmul(output, output));
    lane_sums_add(&targets, c, vmul(target, target));
  }
  const real length = lane_sums_total(&outputs) + (real)1e-12, wanted = lane_sums_total(&targets) + (real)1e-12;
  vstore(lanes, vmul(vsqrt(vset1(length)), vsqrt(vset1(wanted))));
  const real norms = lanes[0], similarity = lane_sums_total(&products) / norms;
  const vreal along = vset1(similarity / length), across = vset1(1 / norms);
  for (ptrdiff_t c = 0; c < n; c += VL) {
    const vreal slope = vfnma(vload(y + at(c, stride)), across, vmul(along, vload(a + at(c, stride))));
    vstore(delta + at(c, stride), vmul(vfirst(slope, n - c), vset1(scale)));
  }
  return 1 - similarity;
}

static void cosine_rows(const fm_loss_rows *block, const double *params) {
  (void)params;
  for (ptrdiff_t r = 0; r < block->rows; r++)
    block->row_loss[r] = (double)cosine_row(block->n_outputs, (const real *)block->a + r * PANEL,
                                            (const real *)block->target + r * PANEL, block->stride,
                                            ((const real *)block->scale)[r], (real *)block->d + r * PANEL);
}
