/* Activations of whole rows. `a` and what is kept of it are blocks of rows in panels. Included by isa/instantiate.inl,
 * before cross_entropy.inl. Mirror: spec/activations/outputs.py. */

/* row = exp(row - largest) / sum of it; returns the sum. */
FM_INLINE real row_softmax(ptrdiff_t n, real *row, ptrdiff_t stride, real largest) {
  lane_sums sums = lane_sums_zero();
  for (ptrdiff_t c = 0; c < n; c += VL) {
    const vreal e = vfirst(vexp(vsub(vload(row + at(c, stride)), vset1(largest))), n - c);
    lane_sums_add(&sums, c, e);
    vstore(row + at(c, stride), e);
  }
  const real sum = lane_sums_total(&sums);
  for (ptrdiff_t c = 0; c < n; c += VL) vstore(row + at(c, stride), vdiv(vload(row + at(c, stride)), vset1(sum)));
  return sum;
}

static void softmax_forward_rows(ptrdiff_t rows, ptrdiff_t n_outputs, const double *params, void *a, ptrdiff_t stride,
                                 void *kept) {
  (void)params;
  (void)kept;
  for (ptrdiff_t r = 0; r < rows; r++) {
    real *row = (real *)a + r * PANEL;
    row_softmax(n_outputs, row, stride, row_max(n_outputs, row, stride));
  }
}

/* dE/dz_j = p_j (dE/dp_j - sum_k p_k dE/dp_k). */
static void softmax_backward_rows(ptrdiff_t rows, ptrdiff_t n_outputs, const void *kept, const double *params, void *d,
                                  ptrdiff_t stride) {
  (void)params;
  for (ptrdiff_t r = 0; r < rows; r++) {
    const real *p = (const real *)kept + r * PANEL;
    real *delta = (real *)d + r * PANEL;
    lane_sums sums = lane_sums_zero();
    for (ptrdiff_t c = 0; c < n_outputs; c += VL)
      lane_sums_add(&sums, c, vfirst(vmul(vload(p + at(c, stride)), vload(delta + at(c, stride))), n_outputs - c));
    const vreal mean = vset1(lane_sums_total(&sums));
    for (ptrdiff_t c = 0; c < n_outputs; c += VL) {
      const vreal e = vsub(vload(delta + at(c, stride)), mean);
      vstore(delta + at(c, stride), vfirst(vmul(vload(p + at(c, stride)), e), n_outputs - c));
    }
  }
}
