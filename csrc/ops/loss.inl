/* The losses: the list from which enum, names, kernels and tests derive, then each over one row block.
 * A row's loss is summed over its outputs; its delta dE/dz (dE/da for a loss that is not fused with its output
 * activation) is multiplied by the row's scale. Mirror: reference/loss.py. */
#ifndef FASTMLP_LOSS_LIST
#define FASTMLP_LOSS_LIST

/* X(name, output activation that it is fused with: it then starts from logits; "" for any output) */
#define FM_LOSSES(X)                  \
  X(squared_error, "")                \
  X(cross_entropy, "softmax")         \
  X(binary_cross_entropy, "logistic") \
  X(poisson, "exp")

#endif

#ifdef FM_INSTANTIATE

/* 1/2 sum_k (a_k - y_k)^2; delta a - y. */
static void squared_error_rows(ptrdiff_t rows, ptrdiff_t n_outputs, void *a, ptrdiff_t a_stride, const void *target,
                               ptrdiff_t target_stride, const int32_t *labels, const void *scale, void *d,
                               ptrdiff_t d_stride, double *row_loss) {
  (void)labels;
  for (ptrdiff_t r = 0; r < rows; r++) {
    const real *out = (const real *)a + r * PANEL, *want = (const real *)target + r * PANEL;
    real *delta = (real *)d + r * PANEL;
    const vreal s = vset1(((const real *)scale)[r]);
    lane_sums sums = lane_sums_zero();
    for (ptrdiff_t c = 0; c < n_outputs; c += VL) {
      const vreal e = vsub(vload(out + at(c, a_stride)), vload(want + at(c, target_stride)));
      const vreal error = vfirst(e, n_outputs - c);
      lane_sums_add(&sums, c, vmul(error, error));
      vstore(delta + at(c, d_stride), vmul(error, s));
    }
    row_loss[r] = 0.5 * (double)lane_sums_total(&sums);
  }
}

/* -sum_k y_k log softmax(z)_k = log(sum_k exp(z_k - m)) sum_k y_k - sum_k y_k (z_k - m) with m the largest logit;
 * delta p sum_k y_k - y. Labels are y with a single one. */
static void cross_entropy_rows(ptrdiff_t rows, ptrdiff_t n_outputs, void *a, ptrdiff_t a_stride, const void *target,
                               ptrdiff_t target_stride, const int32_t *labels, const void *scale, void *d,
                               ptrdiff_t d_stride, double *row_loss) {
  for (ptrdiff_t r = 0; r < rows; r++) {
    real *p = (real *)a + r * PANEL, *delta = (real *)d + r * PANEL;
    const real s = ((const real *)scale)[r];
    const real largest = row_max(n_outputs, p, a_stride);
    const real label_logit = labels ? p[at(labels[r], a_stride)] : 0;
    real picked, mass; /* sum_k y_k (z_k - m), sum_k y_k */
    if (labels) {
      picked = label_logit - largest;
      mass = 1;
    } else {
      target_sums(n_outputs, p, a_stride, (const real *)target + r * PANEL, target_stride, largest, &picked, &mass);
    }
    const real sum = row_softmax(n_outputs, p, a_stride, largest);
    for (ptrdiff_t c = 0; c < n_outputs; c += VL) {
      const vreal q = vload(p + at(c, a_stride));
      const vreal y = labels ? vzero() : vload((const real *)target + r * PANEL + at(c, target_stride));
      vstore(delta + at(c, d_stride), vmul(vfirst(vsub(vmul(q, vset1(mass)), y), n_outputs - c), vset1(s)));
    }
    if (labels) delta[at(labels[r], d_stride)] = (p[at(labels[r], a_stride)] - 1) * s;
    row_loss[r] = (double)log_of(sum) * (double)mass - (double)picked;
  }
}

/* sum_k softplus(z_k) - y_k z_k; delta logistic(z) - y. */
static void binary_cross_entropy_rows(ptrdiff_t rows, ptrdiff_t n_outputs, void *a, ptrdiff_t a_stride,
                                      const void *target, ptrdiff_t target_stride, const int32_t *labels,
                                      const void *scale, void *d, ptrdiff_t d_stride, double *row_loss) {
  (void)labels;
  for (ptrdiff_t r = 0; r < rows; r++) {
    real *out = (real *)a + r * PANEL, *delta = (real *)d + r * PANEL;
    const real *want = (const real *)target + r * PANEL;
    const vreal s = vset1(((const real *)scale)[r]);
    lane_sums sums = lane_sums_zero();
    for (ptrdiff_t c = 0; c < n_outputs; c += VL) {
      const vreal z = vload(out + at(c, a_stride)), y = vload(want + at(c, target_stride));
      const vreal p = vlogistic(z);
      lane_sums_add(&sums, c, vfirst(vfnma(y, z, vsoftplus(z)), n_outputs - c));
      vstore(out + at(c, a_stride), p);
      vstore(delta + at(c, d_stride), vmul(vfirst(vsub(p, y), n_outputs - c), s));
    }
    row_loss[r] = (double)lane_sums_total(&sums);
  }
}

/* Half the Poisson deviance, sum_k y_k log y_k - y_k z_k - y_k + exp(z_k), with 0 log 0 = 0; delta exp(z) - y. */
static void poisson_rows(ptrdiff_t rows, ptrdiff_t n_outputs, void *a, ptrdiff_t a_stride, const void *target,
                         ptrdiff_t target_stride, const int32_t *labels, const void *scale, void *d, ptrdiff_t d_stride,
                         double *row_loss) {
  (void)labels;
  for (ptrdiff_t r = 0; r < rows; r++) {
    real *out = (real *)a + r * PANEL, *delta = (real *)d + r * PANEL;
    const real *want = (const real *)target + r * PANEL;
    const vreal s = vset1(((const real *)scale)[r]);
    lane_sums sums = lane_sums_zero();
    for (ptrdiff_t c = 0; c < n_outputs; c += VL) {
      const vreal z = vload(out + at(c, a_stride)), y = vload(want + at(c, target_stride));
      const vreal mean = vexp(z), error = vsub(mean, y);
      const vreal logs = vsub(vselect(veq(y, vzero()), vzero(), vlog(y)), z);
      lane_sums_add(&sums, c, vfirst(vfma(y, logs, error), n_outputs - c));
      vstore(out + at(c, a_stride), mean);
      vstore(delta + at(c, d_stride), vmul(vfirst(error, n_outputs - c), s));
    }
    row_loss[r] = (double)lane_sums_total(&sums);
  }
}

#endif
