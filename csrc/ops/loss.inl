/* The losses: the list from which enum, names, kernels and tests derive, then each over one row block: an elementwise
 * loss is a function of one output and its target, any other does its rows itself. A row's loss is summed over its
 * outputs; its delta dE/dz (dE/da for a loss that is not fused with its output activation) is multiplied by the row's
 * scale. A logarithm of probabilities has a clipped form, with the same outputs and deltas, for reports that are to be
 * scikit-learn's: its row losses are those of probabilities cut to [eps, 1 - eps]. Mirror: reference/loss.py. */
#ifndef FASTMLP_LOSS_LIST
#define FASTMLP_LOSS_LIST

/* X(name, output activation that it is fused with: it then starts from logits; "" for any output,
 *   its clipped form: itself where there is nothing to clip) */
#define FM_LOSSES(X)                                                \
  X(squared_error, "", squared_error)                               \
  X(cross_entropy, "softmax", clipped_cross_entropy)                \
  X(binary_cross_entropy, "logistic", clipped_binary_cross_entropy) \
  X(poisson, "exp", poisson)

#endif

#ifdef FM_INSTANTIATE

/* What an elementwise loss makes of an output (or a logit, for a fused one) and its target. */
typedef struct {
  vreal output, delta, term;
} loss_terms;
typedef loss_terms (*loss_function)(vreal a, vreal y);

/* One output: rows take the place of columns, so that vectors are full. A row's loss is its only term. */
FM_INLINE void elementwise_column(loss_function f, ptrdiff_t rows, real *a, const real *target, const real *scale,
                                  real *d, double *row_loss) {
  for (ptrdiff_t r = 0; r < rows; r += VL) {
    const ptrdiff_t n = rows - r < VL ? rows - r : VL;
    real output[VL] = {0}, wanted[VL] = {0}, scales[VL] = {0}, delta[VL], term[VL];
    for (ptrdiff_t i = 0; i < n; i++) {
      output[i] = a[(r + i) * PANEL];
      wanted[i] = target[(r + i) * PANEL];
      scales[i] = scale[r + i];
    }
    const loss_terms t = f(vload(output), vload(wanted));
    vstore(output, t.output);
    vstore(delta, vmul(t.delta, vload(scales)));
    vstore(term, t.term);
    for (ptrdiff_t i = 0; i < n; i++) {
      a[(r + i) * PANEL] = output[i];
      vstore(d + (r + i) * PANEL, vfirst(vset1(delta[i]), 1));
      row_loss[r + i] = (double)term[i];
    }
  }
}

FM_INLINE void elementwise_rows(loss_function f, ptrdiff_t rows, ptrdiff_t n_outputs, void *a, ptrdiff_t a_stride,
                                const void *target, ptrdiff_t target_stride, const void *scale, void *d,
                                ptrdiff_t d_stride, double *row_loss) {
  if (n_outputs == 1) {
    elementwise_column(f, rows, (real *)a, (const real *)target, (const real *)scale, (real *)d, row_loss);
    return;
  }
  for (ptrdiff_t r = 0; r < rows; r++) {
    real *out = (real *)a + r * PANEL, *delta = (real *)d + r * PANEL;
    const real *want = (const real *)target + r * PANEL;
    const vreal s = vset1(((const real *)scale)[r]);
    lane_sums sums = lane_sums_zero();
    for (ptrdiff_t c = 0; c < n_outputs; c += VL) {
      const loss_terms t = f(vload(out + at(c, a_stride)), vload(want + at(c, target_stride)));
      lane_sums_add(&sums, c, vfirst(t.term, n_outputs - c));
      vstore(out + at(c, a_stride), t.output);
      vstore(delta + at(c, d_stride), vmul(vfirst(t.delta, n_outputs - c), s));
    }
    row_loss[r] = (double)lane_sums_total(&sums);
  }
}

/* 1/2 sum_k (a_k - y_k)^2; delta a - y. */
FM_INLINE loss_terms squared_error_terms(vreal a, vreal y) {
  const vreal error = vsub(a, y);
  return (loss_terms){a, error, vmul(vmul(vset1((real)0.5), error), error)};
}

/* Zero for the delta of a probability so small that its products and an optimizer's square of them would be denormal
 * numbers: many processors take several times as long for those, and a confident network is full of them. */
FM_INLINE vreal not_tiny(vreal delta) {
  const vreal least = vset1(FM_REAL_IS_FLOAT ? (real)0x1p-57 : (real)0x1p-480);
  return vselect(vlt(vabs(delta), least), vzero(), delta);
}

/* sum_k softplus(z_k) - y_k z_k; delta logistic(z) - y. */
FM_INLINE loss_terms binary_cross_entropy_terms(vreal z, vreal y) {
  const vreal p = vlogistic(z);
  return (loss_terms){p, not_tiny(vsub(p, y)), vfnma(y, z, vsoftplus(z))};
}

/* A probability cut to [eps, 1 - eps], with eps the distance from 1 to the next number; NaN passes. */
FM_INLINE vreal clipped(vreal p) {
  const real eps = FM_REAL_IS_FLOAT ? (real)0x1p-23 : (real)0x1p-52;
  return vmin(vset1(1 - eps), vmax(vset1(eps), p));
}

/* Its clipped form, sum_k -y_k log p_k - (1 - y_k) log(1 - p_k) with p cut. Where p is near 1, what its rounding has
 * left of 1 - p counts, as in scikit-learn. */
FM_INLINE loss_terms clipped_binary_cross_entropy_terms(vreal z, vreal y) {
  const vreal one = vset1(1), p = vlogistic(z), cut = clipped(p);
  const vreal logs = vfma(y, vlog(cut), vmul(vsub(one, y), vlog(vsub(one, cut))));
  return (loss_terms){p, not_tiny(vsub(p, y)), vsub(vzero(), logs)};
}

/* Half the Poisson deviance, sum_k y_k log y_k - y_k z_k - y_k + exp(z_k), with 0 log 0 = 0; delta exp(z) - y. */
FM_INLINE loss_terms poisson_terms(vreal z, vreal y) {
  const vreal mean = vexp(z), error = vsub(mean, y);
  const vreal logs = vsub(vselect(veq(y, vzero()), vzero(), vlog(y)), z);
  return (loss_terms){mean, error, vfma(y, logs, error)};
}

#define FM_DEFINE_ELEMENTWISE_LOSS(name)                                                                               \
  static void name##_rows(ptrdiff_t rows, ptrdiff_t n_outputs, void *a, ptrdiff_t a_stride, const void *target,        \
                          ptrdiff_t target_stride, const int32_t *labels, const void *scale, void *d,                  \
                          ptrdiff_t d_stride, double *row_loss) {                                                      \
    (void)labels;                                                                                                      \
    elementwise_rows(name##_terms, rows, n_outputs, a, a_stride, target, target_stride, scale, d, d_stride, row_loss); \
  }
FM_DEFINE_ELEMENTWISE_LOSS(squared_error)
FM_DEFINE_ELEMENTWISE_LOSS(binary_cross_entropy)
FM_DEFINE_ELEMENTWISE_LOSS(clipped_binary_cross_entropy)
FM_DEFINE_ELEMENTWISE_LOSS(poisson)
#undef FM_DEFINE_ELEMENTWISE_LOSS

FM_INLINE real clipped_log(real p) {
  real lane[VL];
  vstore(lane, vlog(clipped(vset1(p))));
  return lane[0];
}

/* sum_k y_k log p_k of one row, p cut. */
FM_INLINE real clipped_log_sum(ptrdiff_t n, const real *p, ptrdiff_t p_stride, const real *y, ptrdiff_t y_stride) {
  lane_sums sums = lane_sums_zero();
  for (ptrdiff_t c = 0; c < n; c += VL)
    lane_sums_add(&sums, c, vfirst(vmul(vload(y + at(c, y_stride)), vlog(clipped(vload(p + at(c, p_stride))))), n - c));
  return lane_sums_total(&sums);
}

/* What a row's cross entropy is made of: the sum of exp(z_k - m), sum_k y_k (z_k - m) and sum_k y_k. */
typedef struct {
  real exponentials, picked, mass;
} softmax_sums;

/* Probabilities in place of a row's logits, and the delta p sum_k y_k - y. `y` is NULL where there is a label. */
FM_INLINE softmax_sums softmax_row(ptrdiff_t n, real *p, ptrdiff_t p_stride, const real *y, ptrdiff_t y_stride,
                                   ptrdiff_t label, real scale, real *delta, ptrdiff_t d_stride) {
  const real largest = row_max(n, p, p_stride);
  softmax_sums sums = {0, 0, 1};
  if (y)
    target_sums(n, p, p_stride, y, y_stride, largest, &sums.picked, &sums.mass);
  else
    sums.picked = p[at(label, p_stride)] - largest;
  sums.exponentials = row_softmax(n, p, p_stride, largest);
  for (ptrdiff_t c = 0; c < n; c += VL) {
    const vreal wanted = y ? vload(y + at(c, y_stride)) : vzero();
    const vreal error = vsub(vmul(vload(p + at(c, p_stride)), vset1(sums.mass)), wanted);
    vstore(delta + at(c, d_stride), not_tiny(vmul(vfirst(error, n - c), vset1(scale))));
  }
  if (!y) delta[at(label, d_stride)] = (p[at(label, p_stride)] - 1) * scale;
  return sums;
}

/* -sum_k y_k log softmax(z)_k = log(sum_k exp(z_k - m)) sum_k y_k - sum_k y_k (z_k - m) with m the largest logit.
 * Labels are y with a single one. Logarithms are taken of a vector of rows at a time. */
static void cross_entropy_rows(ptrdiff_t rows, ptrdiff_t n_outputs, void *a, ptrdiff_t a_stride, const void *target,
                               ptrdiff_t target_stride, const int32_t *labels, const void *scale, void *d,
                               ptrdiff_t d_stride, double *row_loss) {
  for (ptrdiff_t first = 0; first < rows; first += VL) {
    const ptrdiff_t n = rows - first < VL ? rows - first : VL;
    softmax_sums sums[VL];
    real logs[VL];
    vstore(logs, vset1(1));
    for (ptrdiff_t i = 0; i < n; i++) {
      const ptrdiff_t r = first + i;
      sums[i] =
          softmax_row(n_outputs, (real *)a + r * PANEL, a_stride, labels ? NULL : (const real *)target + r * PANEL,
                      target_stride, labels ? labels[r] : 0, ((const real *)scale)[r], (real *)d + r * PANEL, d_stride);
      logs[i] = sums[i].exponentials;
    }
    vstore(logs, vlog(vload(logs)));
    for (ptrdiff_t i = 0; i < n; i++)
      row_loss[first + i] = (double)logs[i] * (double)sums[i].mass - (double)sums[i].picked;
  }
}

/* -sum_k y_k log p_k, p cut. */
static void clipped_cross_entropy_rows(ptrdiff_t rows, ptrdiff_t n_outputs, void *a, ptrdiff_t a_stride,
                                       const void *target, ptrdiff_t target_stride, const int32_t *labels,
                                       const void *scale, void *d, ptrdiff_t d_stride, double *row_loss) {
  for (ptrdiff_t r = 0; r < rows; r++) {
    real *p = (real *)a + r * PANEL;
    const real *y = labels ? NULL : (const real *)target + r * PANEL;
    const ptrdiff_t label = labels ? labels[r] : 0;
    softmax_row(n_outputs, p, a_stride, y, target_stride, label, ((const real *)scale)[r], (real *)d + r * PANEL,
                d_stride);
    row_loss[r] =
        -(double)(y ? clipped_log_sum(n_outputs, p, a_stride, y, target_stride) : clipped_log(p[at(label, a_stride)]));
  }
}

#endif
