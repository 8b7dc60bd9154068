/* Losses of the list in loss.inl that need whole rows: cross entropy over a softmax and its focal kin, and the hinges
 * of classes. Included by isa/instantiate.inl, after softmax.inl and loss.inl. Mirror: spec/losses/. */

/* sum_k y_k (z_k - largest) and sum_k y_k of one row. */
FM_INLINE void target_sums(ptrdiff_t n, const real *z, const real *y, ptrdiff_t stride, real largest, real *picked,
                           real *mass) {
  lane_sums products = lane_sums_zero(), targets = lane_sums_zero();
  for (ptrdiff_t c = 0; c < n; c += VL) {
    const vreal target = vfirst(vload(y + at(c, stride)), n - c);
    const vreal shifted = vfirst(vsub(vload(z + at(c, stride)), vset1(largest)), n - c);
    /* 0 times -inf is no loss: a class that has neither target nor probability. */
    lane_sums_add(&products, c, vselect(veq(target, vzero()), vzero(), vmul(target, shifted)));
    lane_sums_add(&targets, c, target);
  }
  *picked = lane_sums_total(&products);
  *mass = lane_sums_total(&targets);
}

/* What a row's cross entropy is made of: the sum of exp(z_k - m), sum_k y_k (z_k - m) and sum_k y_k. */
typedef struct {
  real exponentials, picked, mass;
} softmax_sums;

/* Probabilities in place of a row's logits, and the delta p sum_k y_k - y. `y` is NULL where there is a label. */
FM_INLINE softmax_sums softmax_row(ptrdiff_t n, real *p, const real *y, ptrdiff_t stride, ptrdiff_t label, real scale,
                                   real *delta) {
  const real largest = row_max(n, p, stride);
  softmax_sums sums = {0, 0, 1};
  if (y)
    target_sums(n, p, y, stride, largest, &sums.picked, &sums.mass);
  else
    sums.picked = p[at(label, stride)] - largest;
  sums.exponentials = row_softmax(n, p, stride, largest);
  for (ptrdiff_t c = 0; c < n; c += VL) {
    const vreal wanted = y ? vload(y + at(c, stride)) : vzero();
    const vreal error = vsub(vmul(vload(p + at(c, stride)), vset1(sums.mass)), wanted);
    vstore(delta + at(c, stride), not_tiny(vmul(vfirst(error, n - c), vset1(scale))));
  }
  if (!y) delta[at(label, stride)] = (p[at(label, stride)] - 1) * scale;
  return sums;
}

/* The targets of a row as numbers, a label as a single one: where they are, or put where its delta will be. */
FM_INLINE const real *row_targets(const fm_loss_rows *block, ptrdiff_t r) {
  if (!block->labels) return (const real *)block->target + r * PANEL;
  real *y = (real *)block->d + r * PANEL;
  for (ptrdiff_t c = 0; c < block->n_outputs; c += VL) vstore(y + at(c, block->stride), vzero());
  y[at(block->labels[r], block->stride)] = 1;
  return y;
}

/* (1 - s) y + s / n, put where the row's delta will be. Szegedy et al. 2016. */
FM_INLINE const real *smoothed_targets(const fm_loss_rows *block, ptrdiff_t r, double smoothing) {
  const real *y = row_targets(block, r);
  real *smoothed = (real *)block->d + r * PANEL;
  const vreal kept = vset1((real)(1 - smoothing)), shared = vset1((real)(smoothing / (double)block->n_outputs));
  for (ptrdiff_t c = 0; c < block->n_outputs; c += VL)
    vstore(smoothed + at(c, block->stride), vfma(kept, vload(y + at(c, block->stride)), shared));
  return smoothed;
}

FM_INLINE softmax_sums softmax_row_of(const fm_loss_rows *block, ptrdiff_t r, const real *y) {
  return softmax_row(block->n_outputs, (real *)block->a + r * PANEL, y, block->stride, y ? 0 : block->labels[r],
                     ((const real *)block->scale)[r], (real *)block->d + r * PANEL);
}

FM_INLINE const real *values_of(const fm_loss_rows *block, ptrdiff_t r) {
  return block->labels ? NULL : (const real *)block->target + r * PANEL;
}

/* For what is asked for less: a call, rather than another copy of the row's loops. */
FM_APART softmax_sums softmax_row_apart(const fm_loss_rows *block, ptrdiff_t r, double smoothing) {
  return softmax_row_of(block, r, smoothing > 0 ? smoothed_targets(block, r, smoothing) : values_of(block, r));
}

/* -sum_k y_k log softmax(z)_k = log(sum_k exp(z_k - m)) sum_k y_k - sum_k y_k (z_k - m) with m the largest logit.
 * Labels are y with a single one. Logarithms are taken of a vector of rows at a time. */
FM_INLINE void plain_cross_entropy(const fm_loss_rows *block, double smoothing) {
  for (ptrdiff_t first = 0; first < block->rows; first += VL) {
    const ptrdiff_t n = block->rows - first < VL ? block->rows - first : VL;
    real logs[VL], masses[VL] = {0}, picked[VL] = {0};
    vstore(logs, vset1(1));
    for (ptrdiff_t i = 0; i < n; i++) {
      const softmax_sums sums = smoothing > 0 ? softmax_row_apart(block, first + i, smoothing)
                                              : softmax_row_of(block, first + i, values_of(block, first + i));
      logs[i] = sums.exponentials;
      masses[i] = sums.mass;
      picked[i] = sums.picked;
    }
    vstore(logs, vlog(vload(logs)));
    for (ptrdiff_t i = 0; i < n; i++)
      block->row_loss[first + i] = (double)logs[i] * (double)masses[i] - (double)picked[i];
  }
}

FM_INLINE real clipped_log(real p, vreal eps) {
  real lane[VL];
  vstore(lane, vlog(clipped(vset1(p), eps)));
  return lane[0];
}

/* sum_k y_k log p_k of one row, p cut to [eps, 1 - eps]. */
FM_INLINE real clipped_log_sum(ptrdiff_t n, const real *p, const real *y, ptrdiff_t stride, vreal eps) {
  lane_sums sums = lane_sums_zero();
  for (ptrdiff_t c = 0; c < n; c += VL) {
    const vreal logs = vlog(clipped(vload(p + at(c, stride)), eps));
    lane_sums_add(&sums, c, vfirst(vmul(vload(y + at(c, stride)), logs), n - c));
  }
  return lane_sums_total(&sums);
}

/* -sum_k y_k log p_k, p cut. */
FM_INLINE void clipped_cross_entropy(const fm_loss_rows *block, vreal eps) {
  for (ptrdiff_t r = 0; r < block->rows; r++) {
    const real *p = (const real *)block->a + r * PANEL;
    softmax_row_apart(block, r, 0);
    block->row_loss[r] =
        -(double)(block->labels ? clipped_log(p[at(block->labels[r], block->stride)], eps)
                                : clipped_log_sum(block->n_outputs, p, (const real *)block->target + r * PANEL,
                                                  block->stride, eps));
  }
}

static void cross_entropy_rows(const fm_loss_rows *block, const double *params) {
  if (params[0] > 0)
    clipped_cross_entropy(block, vset1((real)params[0]));
  else
    plain_cross_entropy(block, params[1]);
}

/* log(sum_k exp(z_k)) of one row. */
FM_INLINE real log_of_sum(ptrdiff_t n, const real *z, ptrdiff_t stride) {
  const real largest = row_max(n, z, stride);
  lane_sums sums = lane_sums_zero();
  real lane[VL];
  for (ptrdiff_t c = 0; c < n; c += VL)
    lane_sums_add(&sums, c, vfirst(vexp(vsub(vload(z + at(c, stride)), vset1(largest))), n - c));
  vstore(lane, vlog(vset1(lane_sums_total(&sums))));
  return largest + lane[0];
}

/* -sum_k y_k (1 - p_k)^g log p_k of one row, whose logits become probabilities; delta y_j h_j - p_j sum_k y_k h_k,
 * where h = (1 - p)^g (g p log p / (1 - p) - 1) is p times the slope by p. Lin et al. 2017. */
FM_INLINE real focal_row(ptrdiff_t n, real *p, const real *y, ptrdiff_t stride, vreal gamma, real scale, real *delta) {
  const vreal log_sum = vset1(log_of_sum(n, p, stride));
  lane_sums losses = lane_sums_zero(), slopes = lane_sums_zero();
  for (ptrdiff_t c = 0; c < n; c += VL) {
    const vreal logs = vsub(vload(p + at(c, stride)), log_sum), wanted = vload(y + at(c, stride));
    const vreal rest = vsub(vzero(), vexpm1(logs)), power = vexp(vmul(gamma, vlog(rest)));
    const vreal quotient = vselect(veq(rest, vzero()), vset1(-1), vdiv(logs, rest));
    const vreal h = vmul(power, vfma(vmul(gamma, vexp(logs)), quotient, vset1(-1)));
    const vmask absent = veq(wanted, vzero()); /* 0 times -inf is no loss */
    const vreal slope = vfirst(vselect(absent, vzero(), vmul(wanted, h)), n - c);
    lane_sums_add(&losses, c, vfirst(vselect(absent, vzero(), vmul(vmul(wanted, power), logs)), n - c));
    lane_sums_add(&slopes, c, slope);
    vstore(delta + at(c, stride), slope);
  }
  const vreal total = vset1(lane_sums_total(&slopes));
  row_softmax(n, p, stride, row_max(n, p, stride));
  for (ptrdiff_t c = 0; c < n; c += VL) {
    const vreal error = vfnma(vload(p + at(c, stride)), total, vload(delta + at(c, stride)));
    vstore(delta + at(c, stride), not_tiny(vmul(vfirst(error, n - c), vset1(scale))));
  }
  return -lane_sums_total(&losses);
}

static void focal_rows(const fm_loss_rows *block, const double *params) {
  for (ptrdiff_t r = 0; r < block->rows; r++)
    block->row_loss[r] =
        (double)focal_row(block->n_outputs, (real *)block->a + r * PANEL, row_targets(block, r), block->stride,
                          vset1((real)params[0]), ((const real *)block->scale)[r], (real *)block->d + r * PANEL);
}

/* sum_k (1 - y_k) max(0, 1 - t + a_k) of one row, where t = sum_k y_k a_k is the output of its class; delta of the
 * others 1 where they come too near, of the class minus their number. Weston and Watkins 1999. */
FM_INLINE real multi_hinge_row(ptrdiff_t n, const real *a, const real *y, ptrdiff_t stride, real scale, real *delta) {
  lane_sums own = lane_sums_zero(), losses = lane_sums_zero(), near = lane_sums_zero();
  for (ptrdiff_t c = 0; c < n; c += VL)
    lane_sums_add(&own, c, vfirst(vmul(vload(y + at(c, stride)), vload(a + at(c, stride))), n - c));
  const vreal bound = vset1(1 - lane_sums_total(&own));
  for (ptrdiff_t c = 0; c < n; c += VL) {
    const vreal others = vsub(vset1(1), vload(y + at(c, stride))), lack = vadd(bound, vload(a + at(c, stride)));
    lane_sums_add(&losses, c, vfirst(vmul(others, vmax(vzero(), lack)), n - c));
    lane_sums_add(&near, c, vfirst(vselect(vlt(vzero(), lack), others, vzero()), n - c));
  }
  const vreal count = vset1(lane_sums_total(&near));
  for (ptrdiff_t c = 0; c < n; c += VL) {
    const vreal wanted = vload(y + at(c, stride)), lack = vadd(bound, vload(a + at(c, stride)));
    const vreal pushed = vselect(vlt(vzero(), lack), vsub(vset1(1), wanted), vzero());
    vstore(delta + at(c, stride), vmul(vfirst(vfnma(wanted, count, pushed), n - c), vset1(scale)));
  }
  return lane_sums_total(&losses);
}

static void multi_hinge_rows(const fm_loss_rows *block, const double *params) {
  (void)params;
  for (ptrdiff_t r = 0; r < block->rows; r++)
    block->row_loss[r] =
        (double)multi_hinge_row(block->n_outputs, (const real *)block->a + r * PANEL, row_targets(block, r),
                                block->stride, ((const real *)block->scale)[r], (real *)block->d + r * PANEL);
}

/* max_k (1 - y_k + a_k) - sum_k y_k a_k of one row: of a class c, max(0, 1 - a_c + a_k) with k the largest of the
 * others. Delta 1 of the first k that is largest, minus y. Crammer and Singer 2001. */
FM_INLINE real crammer_singer_row(ptrdiff_t n, const real *a, const real *y, ptrdiff_t stride, real scale,
                                  real *delta) {
  lane_sums own = lane_sums_zero();
  for (ptrdiff_t c = 0; c < n; c += VL)
    lane_sums_add(&own, c, vfirst(vmul(vload(y + at(c, stride)), vload(a + at(c, stride))), n - c));
  ptrdiff_t place = 0;
  real largest = 1 - y[0] + a[0];
  for (ptrdiff_t c = 1; c < n; c++) {
    const real ahead = 1 - y[at(c, stride)] + a[at(c, stride)];
    if (ahead > largest) {
      largest = ahead;
      place = c;
    }
  }
  const real pushed = 1 - y[at(place, stride)];
  for (ptrdiff_t c = 0; c < n; c += VL) {
    const vreal pulled = vsub(vzero(), vload(y + at(c, stride)));
    vstore(delta + at(c, stride), vmul(vfirst(pulled, n - c), vset1(scale)));
  }
  delta[at(place, stride)] = pushed * scale;
  return largest - lane_sums_total(&own);
}

static void crammer_singer_rows(const fm_loss_rows *block, const double *params) {
  (void)params;
  for (ptrdiff_t r = 0; r < block->rows; r++)
    block->row_loss[r] =
        (double)crammer_singer_row(block->n_outputs, (const real *)block->a + r * PANEL, row_targets(block, r),
                                   block->stride, ((const real *)block->scale)[r], (real *)block->d + r * PANEL);
}
