/* Losses of the list in loss.inl that need whole rows: cross entropy over a softmax. Included by isa/instantiate.inl,
 * after softmax.inl and loss.inl. Mirror: spec/losses/. */

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

FM_INLINE softmax_sums softmax_row_of(const fm_loss_rows *block, ptrdiff_t r) {
  return softmax_row(block->n_outputs, (real *)block->a + r * PANEL,
                     block->labels ? NULL : (const real *)block->target + r * PANEL, block->stride,
                     block->labels ? block->labels[r] : 0, ((const real *)block->scale)[r],
                     (real *)block->d + r * PANEL);
}

/* -sum_k y_k log softmax(z)_k = log(sum_k exp(z_k - m)) sum_k y_k - sum_k y_k (z_k - m) with m the largest logit.
 * Labels are y with a single one. Logarithms are taken of a vector of rows at a time. */
FM_INLINE void plain_cross_entropy(const fm_loss_rows *block) {
  for (ptrdiff_t first = 0; first < block->rows; first += VL) {
    const ptrdiff_t n = block->rows - first < VL ? block->rows - first : VL;
    softmax_sums sums[VL];
    real logs[VL];
    vstore(logs, vset1(1));
    for (ptrdiff_t i = 0; i < n; i++) {
      sums[i] = softmax_row_of(block, first + i);
      logs[i] = sums[i].exponentials;
    }
    vstore(logs, vlog(vload(logs)));
    for (ptrdiff_t i = 0; i < n; i++)
      block->row_loss[first + i] = (double)logs[i] * (double)sums[i].mass - (double)sums[i].picked;
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
    softmax_row_of(block, r);
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
    plain_cross_entropy(block);
}
