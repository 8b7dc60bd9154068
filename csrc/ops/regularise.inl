/* What is done to a gradient before an optimizer sees it, and to weights of which it sees nothing: penalties, clipping,
 * decay, bounds on the norms of units. Included by isa/instantiate.inl. Mirror: reference/optimizer.py. */

/* g += l1 sign(w) + l2 w, the gradient of l1 |w| + l2 / 2 w^2. */
static void regularise(ptrdiff_t n, const void *w, double l1, double l2, void *g) {
  const real *weight = (const real *)w;
  real *gradient = (real *)g;
  const vreal first = vset1((real)l1), second = vset1((real)l2);
  if (l1 == 0) {
    for (ptrdiff_t i = 0; i < n; i += VL) vstore(gradient + i, vfma(second, vload(weight + i), vload(gradient + i)));
    return;
  }
  for (ptrdiff_t i = 0; i < n; i += VL) {
    const vreal at = vload(weight + i);
    vstore(gradient + i, vfma(second, at, vfma(first, vsign(at), vload(gradient + i))));
  }
}

/* g *= factor. */
static void scale(ptrdiff_t n, double factor, void *g) {
  real *gradient = (real *)g;
  const vreal by = vset1((real)factor);
  for (ptrdiff_t i = 0; i < n; i += VL) vstore(gradient + i, vmul(by, vload(gradient + i)));
}

/* g = min(max(g, -most), most); NaN stays. */
static void limit(ptrdiff_t n, double most, void *g) {
  real *gradient = (real *)g;
  const vreal above = vset1((real)most), below = vset1((real)-most);
  for (ptrdiff_t i = 0; i < n; i += VL) vstore(gradient + i, vmin(above, vmax(below, vload(gradient + i))));
}

/* What brings norms that are larger than `most` down to it: most / (norm + 1e-7), else 1. */
FM_INLINE vreal bound_of(vreal square, vreal most) {
  const vreal norm = vsqrt(square);
  return vselect(vlt(most, norm), vdiv(most, vadd(norm, vset1((real)1e-7))), vset1(1));
}

/* Scales those of a panel's columns whose norm is larger than `most`; whether there is any. */
static int bound_columns(ptrdiff_t rows, double most, void *panel) {
  real *x = (real *)panel;
  int any = 0;
  for (ptrdiff_t c = 0; c < PANEL; c += VL) {
    const vreal factor = bound_of(penalty_of_columns(rows, x + c, vzero(), vset1(1)), vset1((real)most));
    if (vsum(vselect(veq(factor, vset1(1)), vzero(), vset1(1))) == 0) continue;
    any = 1;
    for (ptrdiff_t r = 0; r < rows; r++) vstore(x + r * PANEL + c, vmul(factor, vload(x + r * PANEL + c)));
  }
  return any;
}

/* The same for the rows of a matrix. */
static void bound_rows(ptrdiff_t rows, ptrdiff_t columns, double most, void *matrix, ptrdiff_t stride) {
  for (ptrdiff_t r = 0; r < rows; r++) {
    real *row = (real *)matrix + r * PANEL;
    lane_sums sums = lane_sums_zero();
    for (ptrdiff_t c = 0; c < columns; c += VL) {
      const vreal weight = vfirst(vload(row + at(c, stride)), columns - c);
      lane_sums_fma(&sums, c, weight, weight);
    }
    const vreal factor = bound_of(vset1(lane_sums_total(&sums)), vset1((real)most));
    for (ptrdiff_t c = 0; c < columns; c += VL) vstore(row + at(c, stride), vmul(factor, vload(row + at(c, stride))));
  }
}

/* w -= share w. */
static void shrink(ptrdiff_t n, double share, void *w) {
  real *weight = (real *)w;
  const vreal lost = vset1((real)share);
  for (ptrdiff_t i = 0; i < n; i += VL) vstore(weight + i, vfnma(lost, vload(weight + i), vload(weight + i)));
}
