/* The losses: the list, where LOSS is defined as what becomes of a row, or else the functions.
 *
 * LOSS(name, output activation that it is fused with: it then starts from logits; "" for any output, its parameters,
 * VALUES or LABELS: what its target may be). Parameters are names, separated by spaces. LABELS: a target is an array of
 * values or, as well, of class numbers.
 *
 * Each is <name>_rows over a block of rows: a row's loss is summed over its outputs; its delta dE/dz (dE/da for a loss
 * that is not fused with its output activation) is multiplied by the row's scale. "clip" changes no output and no
 * delta: row losses are those of probabilities cut to [clip, 1 - clip], for reports that are to be scikit-learn's; 0
 * for none. Below are those that are sums over outputs, each a function of one output and its target; those that need
 * whole rows are in cross_entropy.inl and cosine.inl.
 *
 * The list goes into enums, names and tables; the functions into isa/instantiate.inl, after kernels/reduce.inl. Mirror:
 * spec/losses/. */

#ifdef LOSS
LOSS(squared_error, "", "", VALUES)
LOSS(cross_entropy, "softmax", "clip label_smoothing", LABELS)
LOSS(binary_cross_entropy, "logistic", "clip label_smoothing pos_weight", VALUES)
LOSS(poisson, "exp", "", VALUES)
LOSS(absolute_error, "", "", VALUES)
LOSS(huber, "", "delta", VALUES)
LOSS(log_cosh, "", "", VALUES)
LOSS(quantile, "", "q", VALUES)
LOSS(gamma, "exp", "", VALUES)
LOSS(tweedie, "exp", "power", VALUES)
LOSS(hinge, "", "", VALUES)
LOSS(squared_hinge, "", "", VALUES)
LOSS(perceptron, "", "", VALUES)
LOSS(multi_hinge, "", "", LABELS)
LOSS(focal, "softmax", "gamma", LABELS)
LOSS(binary_focal, "logistic", "gamma", VALUES)
LOSS(crammer_singer, "", "", LABELS)
LOSS(cosine, "", "", VALUES)
LOSS(gaussian_nll, "", "eps", VALUES)
#else

/* What an elementwise loss makes of an output (or a logit, for a fused one) and its target. */
typedef struct {
  vreal output, delta, term;
} loss_terms;
typedef loss_terms (*loss_function)(vreal a, vreal y, const vreal *params);

/* A vector of rows from r with one output each, as it lies in a pass over them. */
typedef struct {
  real output[VL], wanted[VL], scale[VL], delta[VL], term[VL];
} column_of_rows;

/* What a loss has before and after its function is the same for all: a call, rather than a copy in each. */
FM_APART void load_column(const fm_loss_rows *block, ptrdiff_t r, ptrdiff_t n, column_of_rows *column) {
  const real *a = (const real *)block->a, *target = (const real *)block->target, *scale = (const real *)block->scale;
  if (n < VL) memset(column, 0, sizeof *column);
  for (ptrdiff_t i = 0; i < n; i++) {
    column->output[i] = a[(r + i) * PANEL];
    column->wanted[i] = target[(r + i) * PANEL];
    column->scale[i] = scale[r + i];
  }
}

FM_APART void store_column(const fm_loss_rows *block, ptrdiff_t r, ptrdiff_t n, const column_of_rows *column) {
  real *a = (real *)block->a, *d = (real *)block->d;
  for (ptrdiff_t i = 0; i < n; i++) {
    a[(r + i) * PANEL] = column->output[i];
    vstore(d + (r + i) * PANEL, vfirst(vset1(column->delta[i]), 1));
    block->row_loss[r + i] = (double)column->term[i];
  }
}

/* One output: rows take the place of columns, so that vectors are full. A row's loss is its only term. */
FM_INLINE void elementwise_column(loss_function f, const fm_loss_rows *block, const vreal *params) {
  column_of_rows column;
  for (ptrdiff_t r = 0; r < block->rows; r += VL) {
    const ptrdiff_t n = block->rows - r < VL ? block->rows - r : VL;
    load_column(block, r, n, &column);
    const loss_terms t = f(vload(column.output), vload(column.wanted), params);
    vstore(column.output, t.output);
    vstore(column.delta, vmul(t.delta, vload(column.scale)));
    vstore(column.term, t.term);
    store_column(block, r, n, &column);
  }
}

FM_INLINE void elementwise_columns(loss_function f, const fm_loss_rows *block, const vreal *params) {
  const ptrdiff_t n_outputs = block->n_outputs, stride = block->stride;
  for (ptrdiff_t r = 0; r < block->rows; r++) {
    real *out = (real *)block->a + r * PANEL, *delta = (real *)block->d + r * PANEL;
    const real *want = (const real *)block->target + r * PANEL;
    const vreal s = vset1(((const real *)block->scale)[r]);
    lane_sums sums = lane_sums_zero();
    for (ptrdiff_t c = 0; c < n_outputs; c += VL) {
      const loss_terms t = f(vload(out + at(c, stride)), vload(want + at(c, stride)), params);
      lane_sums_add(&sums, c, vfirst(t.term, n_outputs - c));
      vstore(out + at(c, stride), t.output);
      vstore(delta + at(c, stride), vmul(vfirst(t.delta, n_outputs - c), s));
    }
    block->row_loss[r] = (double)lane_sums_total(&sums);
  }
}

/* How much the terms of a row's target number k count: its weight, and 0 where it is NaN and such are left out; in its
 * place is then 1, for which every loss is defined. */
FM_INLINE real count_of(const fm_loss_rows *block, ptrdiff_t k, real *y) {
  const real weight = block->weights ? (real)block->weights[k] : 1;
  if (!block->leaves_nan_out || *y == *y) return weight;
  *y = 1;
  return 0;
}

FM_INLINE vreal counted(vreal count, vreal term) { return vselect(veq(count, vzero()), vzero(), vmul(count, term)); }

/* The same, more slowly, where targets have weights or may be left out, or have several outputs, each of which has a
 * level of its own in the place of the first parameter. A call for each vector: this is not compiled once more for each
 * loss. */
FM_APART void elementwise_counted(loss_function f, const fm_loss_rows *block, vreal *params) {
  const ptrdiff_t n_outputs = block->n_outputs, stride = block->stride, heads = block->heads;
  for (ptrdiff_t r = 0; r < block->rows; r++) {
    real *out = (real *)block->a + r * PANEL, *delta = (real *)block->d + r * PANEL;
    const real *want = (const real *)block->target + r * PANEL;
    const vreal s = vset1(((const real *)block->scale)[r]);
    lane_sums sums = lane_sums_zero();
    for (ptrdiff_t c = 0; c < n_outputs; c += VL) {
      const ptrdiff_t n = n_outputs - c < VL ? n_outputs - c : VL;
      real wanted[VL] = {0}, levels[VL] = {0}, counts[VL] = {0};
      for (ptrdiff_t i = 0; i < n; i++) {
        const ptrdiff_t k = (c + i) / heads;
        wanted[i] = want[at(k, stride)];
        counts[i] = count_of(block, k, wanted + i);
        if (block->levels) levels[i] = (real)block->levels[(c + i) % heads];
      }
      if (block->levels) params[0] = vload(levels);
      const vreal count = vload(counts);
      const loss_terms t = f(vload(out + at(c, stride)), vload(wanted), params);
      lane_sums_add(&sums, c, vfirst(counted(count, t.term), n));
      vstore(out + at(c, stride), t.output);
      vstore(delta + at(c, stride), vmul(vfirst(counted(count, t.delta), n), s));
    }
    block->row_loss[r] = (double)lane_sums_total(&sums);
  }
}

FM_INLINE void elementwise_rows(loss_function f, const fm_loss_rows *block, const double *params) {
  vreal p[FM_MAX_PARAMS];
  for (int i = 0; i < FM_MAX_PARAMS; i++) p[i] = vset1((real)params[i]);
  if (block->levels || block->weights || block->leaves_nan_out)
    elementwise_counted(f, block, p);
  else if (block->n_outputs == 1)
    elementwise_column(f, block, p);
  else
    elementwise_columns(f, block, p);
}

/* 1/2 sum_k (a_k - y_k)^2; delta a - y. */
FM_INLINE loss_terms squared_error_terms(vreal a, vreal y, const vreal *params) {
  (void)params;
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
FM_INLINE loss_terms binary_cross_entropy_terms(vreal z, vreal y, const vreal *params) {
  (void)params;
  const vreal p = vlogistic(z);
  return (loss_terms){p, not_tiny(vsub(p, y)), vfnma(y, z, vsoftplus(z))};
}

/* A probability cut to [eps, 1 - eps]; NaN passes. */
FM_INLINE vreal clipped(vreal p, vreal eps) { return vmin(vsub(vset1(1), eps), vmax(eps, p)); }

/* With "clip", sum_k -y_k log p_k - (1 - y_k) log(1 - p_k) with p cut. Where p is near 1, what its rounding has left of
 * 1 - p counts, as in scikit-learn. */
FM_INLINE loss_terms clipped_binary_cross_entropy_terms(vreal z, vreal y, const vreal *params) {
  const vreal one = vset1(1), p = vlogistic(z), cut = clipped(p, params[0]);
  const vreal logs = vfma(y, vlog(cut), vmul(vsub(one, y), vlog(vsub(one, cut))));
  return (loss_terms){p, not_tiny(vsub(p, y)), vsub(vzero(), logs)};
}

/* With smoothed targets y (1 - s) + s / 2, and the positive ones' part times w: sum_k (1 - y) z + q softplus(-z) with
 * q = 1 + (w - 1) y; delta 1 - y - q logistic(-z). */
FM_INLINE loss_terms weighted_binary_cross_entropy_terms(vreal z, vreal y, const vreal *params) {
  const vreal one = vset1(1), minus = vsub(vzero(), z);
  const vreal target = vfma(y, vsub(one, params[1]), vmul(vset1((real)0.5), params[1])), rest = vsub(one, target);
  const vreal weight = vfma(vsub(params[2], one), target, one);
  const vreal delta = vfnma(weight, vlogistic(minus), rest);
  return (loss_terms){vlogistic(z), not_tiny(delta), vfma(weight, vsoftplus(minus), vmul(rest, z))};
}

/* -sum_k y (1 - p)^g log p + (1 - y) p^g log(1 - p) with p = logistic(z); delta (1 - y) p^g (g (1 - p) softplus(z) + p)
 * - y (1 - p)^g (g p softplus(-z) + 1 - p). Lin et al. 2017. */
FM_INLINE loss_terms binary_focal_terms(vreal z, vreal y, const vreal *params) {
  const vreal minus = vsub(vzero(), z), p = vlogistic(z), q = vlogistic(minus), gamma = params[0];
  const vreal right = vsoftplus(minus), wrong = vsoftplus(z); /* -log p and -log(1 - p) */
  const vreal yes = vmul(y, vexp(vsub(vzero(), vmul(gamma, wrong))));
  const vreal no = vmul(vsub(vset1(1), y), vexp(vsub(vzero(), vmul(gamma, right))));
  const vreal up = vmul(no, vfma(vmul(gamma, q), wrong, p)), down = vmul(yes, vfma(vmul(gamma, p), right, q));
  return (loss_terms){p, not_tiny(vsub(up, down)), vfma(yes, right, vmul(no, wrong))};
}

/* sum_k max(0, 1 - y a) of targets -1 and 1; delta -y inside the margin. */
FM_INLINE loss_terms hinge_terms(vreal a, vreal y, const vreal *params) {
  (void)params;
  const vreal lack = vfnma(y, a, vset1(1));
  return (loss_terms){a, vselect(vlt(vzero(), lack), vsub(vzero(), y), vzero()), vmax(vzero(), lack)};
}

/* sum_k max(0, 1 - y a)^2; delta -2 y max(0, 1 - y a). */
FM_INLINE loss_terms squared_hinge_terms(vreal a, vreal y, const vreal *params) {
  (void)params;
  const vreal lack = vmax(vzero(), vfnma(y, a, vset1(1)));
  return (loss_terms){a, vmul(vmul(vset1(-2), y), lack), vmul(lack, lack)};
}

/* sum_k max(0, -y a); delta -y where y a is not positive: at 0 it learns, or it would never begin. */
FM_INLINE loss_terms perceptron_terms(vreal a, vreal y, const vreal *params) {
  (void)params;
  const vreal wrong = vsub(vzero(), vmul(y, a));
  return (loss_terms){a, vselect(vlt(wrong, vzero()), vzero(), vsub(vzero(), y)), vmax(vzero(), wrong)};
}

/* Half the Poisson deviance, sum_k y_k log y_k - y_k z_k - y_k + exp(z_k), with 0 log 0 = 0; delta exp(z) - y. */
FM_INLINE loss_terms poisson_terms(vreal z, vreal y, const vreal *params) {
  (void)params;
  const vreal mean = vexp(z), error = vsub(mean, y);
  const vreal logs = vsub(vselect(veq(y, vzero()), vzero(), vlog(y)), z);
  return (loss_terms){mean, error, vfma(y, logs, error)};
}

/* sum_k |a_k - y_k|; delta the sign of the error. */
FM_INLINE loss_terms absolute_error_terms(vreal a, vreal y, const vreal *params) {
  (void)params;
  const vreal error = vsub(a, y);
  return (loss_terms){a, vsign(error), vabs(error)};
}

/* sum_k e^2 / 2 where the error e is at most delta, else delta (|e| - delta / 2): with c = min(|e|, delta) both are
 * c (|e| - c / 2). Huber 1964. */
FM_INLINE loss_terms huber_terms(vreal a, vreal y, const vreal *params) {
  const vreal error = vsub(a, y), size = vabs(error), cut = vmin(params[0], size);
  const vreal term = vmul(cut, vfnma(vset1((real)0.5), cut, size));
  return (loss_terms){a, vcopysign(cut, error), term};
}

/* sum_k log cosh e = |e| + log(1 + (exp(-2 |e|) - 1) / 2); delta tanh e. */
FM_INLINE loss_terms log_cosh_terms(vreal a, vreal y, const vreal *params) {
  (void)params;
  const vreal error = vsub(a, y), size = vabs(error);
  const vreal rest = vlog1p(vmul(vset1((real)0.5), vexpm1(vmul(vset1(-2), size))));
  return (loss_terms){a, vtanh(error), vmax(vzero(), vadd(size, rest))};
}

/* sum_k q (y - a) where y is above a, else (1 - q) (a - y); delta -q and 1 - q, 0 where they meet. Koenker and Bassett
 * 1978. */
FM_INLINE loss_terms quantile_terms(vreal a, vreal y, const vreal *params) {
  const vreal error = vsub(a, y), above = vsub(vset1(1), params[0]);
  const vreal slope = vselect(vlt(error, vzero()), vsub(vzero(), params[0]), above);
  return (loss_terms){a, vselect(veq(error, vzero()), vzero(), slope), vmul(slope, error)};
}

/* Half the gamma deviance, sum_k y / m - 1 - log(y / m) of means m = exp(z); delta 1 - y / m. */
FM_INLINE loss_terms gamma_terms(vreal z, vreal y, const vreal *params) {
  (void)params;
  const vreal mean = vexp(z), ratio = vmul(y, vexp(vsub(vzero(), z)));
  const vreal error = vsub(vset1(1), ratio);
  return (loss_terms){mean, error, vsub(vsub(z, vlog(y)), error)};
}

/* Half the deviance of Tweedie's distribution of a power p between 1 and 2, with means m = exp(z): sum_k
 * y^(2 - p) / ((1 - p) (2 - p)) - y m^(1 - p) / (1 - p) + m^(2 - p) / (2 - p); delta m^(2 - p) - y m^(1 - p). */
FM_INLINE loss_terms tweedie_terms(vreal z, vreal y, const vreal *params) {
  const vreal first = vsub(vset1(1), params[0]), second = vsub(vset1(2), params[0]);
  const vreal target = vmul(y, vexp(vmul(first, z))), mean = vexp(vmul(second, z));
  const vreal own = vselect(veq(y, vzero()), vzero(), vexp(vmul(second, vlog(y))));
  const vreal term = vadd(vdiv(vsub(vdiv(own, second), target), first), vdiv(mean, second));
  return (loss_terms){vexp(z), vsub(mean, target), term};
}

/* Of each target y a mean m and, beside it, the signal z of a variance v = softplus(z) + eps: sum_k (log v + e^2 / v) /
 * 2 with e = m - y; deltas e / v and (1 - e^2 / v) logistic(z) / 2v. Lakshminarayanan et al. 2017. */
static void gaussian_nll_rows(const fm_loss_rows *block, const double *params) {
  const ptrdiff_t n_outputs = block->n_outputs, n_targets = n_outputs / 2, stride = block->stride;
  const vreal half = vset1((real)0.5), eps = vset1((real)params[0]);
  for (ptrdiff_t r = 0; r < block->rows; r++) {
    const real *out = (const real *)block->a + r * PANEL, *want = (const real *)block->target + r * PANEL;
    real *delta = (real *)block->d + r * PANEL;
    const vreal s = vset1(((const real *)block->scale)[r]);
    lane_sums sums = lane_sums_zero();
    for (ptrdiff_t k = 0; k < n_targets; k += VL) {
      const ptrdiff_t n = n_targets - k < VL ? n_targets - k : VL;
      real means[VL] = {0}, signals[VL] = {0}, wanted[VL] = {0}, counts[VL] = {0};
      for (ptrdiff_t i = 0; i < n; i++) {
        means[i] = out[at(2 * (k + i), stride)];
        signals[i] = out[at(2 * (k + i) + 1, stride)];
        wanted[i] = want[at(k + i, stride)];
        counts[i] = count_of(block, k + i, wanted + i);
      }
      const vreal error = vsub(vload(means), vload(wanted)), z = vload(signals), count = vload(counts);
      const vreal variance = vadd(vsoftplus(z), eps), by_mean = vdiv(error, variance), squares = vmul(error, by_mean);
      const vreal rest = vdiv(vmul(half, vsub(vset1(1), squares)), variance);
      lane_sums_add(&sums, k, vfirst(counted(count, vmul(half, vadd(vlog(variance), squares))), n));
      vstore(means, vmul(counted(count, by_mean), s));
      vstore(signals, vmul(counted(count, vmul(rest, vlogistic(z))), s));
      for (ptrdiff_t i = 0; i < n; i++) {
        delta[at(2 * (k + i), stride)] = means[i];
        delta[at(2 * (k + i) + 1, stride)] = signals[i];
      }
    }
    for (ptrdiff_t c = n_outputs; c % VL; c++) delta[at(c, stride)] = 0;
    block->row_loss[r] = (double)lane_sums_total(&sums);
  }
}

static void squared_error_rows(const fm_loss_rows *block, const double *params) {
  elementwise_rows(squared_error_terms, block, params);
}

static void binary_cross_entropy_rows(const fm_loss_rows *block, const double *params) {
  if (params[0] > 0)
    elementwise_rows(clipped_binary_cross_entropy_terms, block, params);
  else if (params[1] != 0 || params[2] != 1)
    elementwise_rows(weighted_binary_cross_entropy_terms, block, params);
  else
    elementwise_rows(binary_cross_entropy_terms, block, params);
}

static void poisson_rows(const fm_loss_rows *block, const double *params) {
  elementwise_rows(poisson_terms, block, params);
}

static void absolute_error_rows(const fm_loss_rows *block, const double *params) {
  elementwise_rows(absolute_error_terms, block, params);
}

static void huber_rows(const fm_loss_rows *block, const double *params) {
  elementwise_rows(huber_terms, block, params);
}

static void log_cosh_rows(const fm_loss_rows *block, const double *params) {
  elementwise_rows(log_cosh_terms, block, params);
}

static void quantile_rows(const fm_loss_rows *block, const double *params) {
  elementwise_rows(quantile_terms, block, params);
}

static void gamma_rows(const fm_loss_rows *block, const double *params) {
  elementwise_rows(gamma_terms, block, params);
}

static void tweedie_rows(const fm_loss_rows *block, const double *params) {
  elementwise_rows(tweedie_terms, block, params);
}

static void binary_focal_rows(const fm_loss_rows *block, const double *params) {
  elementwise_rows(binary_focal_terms, block, params);
}

static void hinge_rows(const fm_loss_rows *block, const double *params) {
  elementwise_rows(hinge_terms, block, params);
}

static void squared_hinge_rows(const fm_loss_rows *block, const double *params) {
  elementwise_rows(squared_hinge_terms, block, params);
}

static void perceptron_rows(const fm_loss_rows *block, const double *params) {
  elementwise_rows(perceptron_terms, block, params);
}

#endif
