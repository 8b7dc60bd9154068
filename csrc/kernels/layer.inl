/* What a layer does besides products, over row blocks: activations, row reductions, softmax.
 * Included by isa/instantiate.inl, before ops/loss.inl. */

/* Where column c of a row lies, seen from the row's first element in the first panel. */
FM_INLINE ptrdiff_t at(ptrdiff_t column, ptrdiff_t stride) { return column / PANEL * stride + column % PANEL; }

/* A sum over the columns of a row: column c goes to partial sum c % FM_REDUCE_LANES, and those are added in one fixed
 * tree, so that the bits do not depend on the vector length. */
enum { LANE_VECTORS = FM_REDUCE_LANES / VL };
typedef struct {
  vreal part[LANE_VECTORS];
} lane_sums;

FM_INLINE lane_sums lane_sums_zero(void) {
  lane_sums sums;
  for (int i = 0; i < LANE_VECTORS; i++) sums.part[i] = vzero();
  return sums;
}

FM_INLINE void lane_sums_add(lane_sums *sums, ptrdiff_t column, vreal terms) {
  vreal *part = &sums->part[column / VL % LANE_VECTORS];
  *part = vadd(*part, terms);
}

FM_INLINE void lane_sums_fma(lane_sums *sums, ptrdiff_t column, vreal a, vreal b) {
  vreal *part = &sums->part[column / VL % LANE_VECTORS];
  *part = vfma(a, b, *part);
}

FM_INLINE real lane_sums_total(const lane_sums *sums) {
  lane_sums tree = *sums;
  for (int half = LANE_VECTORS / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) tree.part[i] = vadd(tree.part[i], tree.part[i + half]);
  return vsum(tree.part[0]);
}

/* The largest of a row's columns; NaN only if the first is, or by way of the sum that follows. */
FM_INLINE real row_max(ptrdiff_t n, const real *row, ptrdiff_t stride) {
  vreal best = vset1(row[0]);
  for (ptrdiff_t c = 0; c < n; c += VL) {
    const vreal ones = vfirst(vset1(1), n - c);
    best = vmax(vselect(veq(ones, vset1(1)), vload(row + at(c, stride)), best), best);
  }
  return vlargest(best);
}

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

/* sum_k y_k (z_k - largest) and sum_k y_k of one row. */
FM_INLINE void target_sums(ptrdiff_t n, const real *z, ptrdiff_t z_stride, const real *y, ptrdiff_t y_stride,
                           real largest, real *picked, real *mass) {
  lane_sums products = lane_sums_zero(), targets = lane_sums_zero();
  for (ptrdiff_t c = 0; c < n; c += VL) {
    const vreal target = vfirst(vload(y + at(c, y_stride)), n - c);
    const vreal shifted = vfirst(vsub(vload(z + at(c, z_stride)), vset1(largest)), n - c);
    /* 0 times -inf is no loss: a class that has neither target nor probability. */
    lane_sums_add(&products, c, vselect(veq(target, vzero()), vzero(), vmul(target, shifted)));
    lane_sums_add(&targets, c, target);
  }
  *picked = lane_sums_total(&products);
  *mass = lane_sums_total(&targets);
}

static void softmax_forward(ptrdiff_t rows, ptrdiff_t n_outputs, void *a, ptrdiff_t stride) {
  for (ptrdiff_t r = 0; r < rows; r++) {
    real *row = (real *)a + r * PANEL;
    row_softmax(n_outputs, row, stride, row_max(n_outputs, row, stride));
  }
}

/* The sum of a matrix' squares: along each row by the fixed tree, then over the rows in order. */
static double sum_squares(ptrdiff_t rows, ptrdiff_t columns, const void *matrix, ptrdiff_t stride) {
  double total = 0;
  for (ptrdiff_t r = 0; r < rows; r++) {
    const real *row = (const real *)matrix + r * PANEL;
    lane_sums sums = lane_sums_zero();
    for (ptrdiff_t c = 0; c < columns; c += VL) {
      const vreal x = vfirst(vload(row + at(c, stride)), columns - c);
      lane_sums_add(&sums, c, vmul(x, x));
    }
    total += (double)lane_sums_total(&sums);
  }
  return total;
}

/* dE/dz_j = p_j (dE/dp_j - sum_k p_k dE/dp_k). */
static void softmax_backward(ptrdiff_t rows, ptrdiff_t n_outputs, const void *a, ptrdiff_t a_stride, void *d,
                             ptrdiff_t d_stride) {
  for (ptrdiff_t r = 0; r < rows; r++) {
    const real *p = (const real *)a + r * PANEL;
    real *delta = (real *)d + r * PANEL;
    lane_sums sums = lane_sums_zero();
    for (ptrdiff_t c = 0; c < n_outputs; c += VL)
      lane_sums_add(&sums, c, vfirst(vmul(vload(p + at(c, a_stride)), vload(delta + at(c, d_stride))), n_outputs - c));
    const vreal mean = vset1(lane_sums_total(&sums));
    for (ptrdiff_t c = 0; c < n_outputs; c += VL) {
      const vreal e = vsub(vload(delta + at(c, d_stride)), mean);
      vstore(delta + at(c, d_stride), vfirst(vmul(vload(p + at(c, a_stride)), e), n_outputs - c));
    }
  }
}

typedef vreal (*value_function)(vreal, vreal);

FM_INLINE void forward_block(value_function value, ptrdiff_t rows, int vectors, const void *bias, double param,
                             void *c) {
  const vreal p = vset1((real)param), b0 = vload((const real *)bias), b1 = vload((const real *)bias + VL);
  real *block = (real *)c;
  for (ptrdiff_t r = 0; r < rows; r++, block += PANEL) {
    vstore(block, value(vadd(vload(block), b0), p));
    if (vectors == 2) vstore(block + VL, value(vadd(vload(block + VL), b1), p));
  }
}

FM_INLINE void backward_block(value_function slope, ptrdiff_t rows, int vectors, const void *a, double param, void *d) {
  const vreal p = vset1((real)param);
  const real *out = (const real *)a;
  real *block = (real *)d;
  for (ptrdiff_t r = 0; r < rows; r++, block += PANEL, out += PANEL) {
    vstore(block, vmul(vload(block), slope(vload(out), p)));
    if (vectors == 2) vstore(block + VL, vmul(vload(block + VL), slope(vload(out + VL), p)));
  }
}

#define FM_DEFINE_ACTIVATION(name, param_name)                                                       \
  static void name##_forward(ptrdiff_t rows, int vectors, const void *bias, double param, void *c) { \
    forward_block(name##_value, rows, vectors, bias, param, c);                                      \
  }                                                                                                  \
  static void name##_backward(ptrdiff_t rows, int vectors, const void *a, double param, void *d) {   \
    backward_block(name##_slope, rows, vectors, a, param, d);                                        \
  }
FM_ACTIVATIONS(FM_DEFINE_ACTIVATION)
#undef FM_DEFINE_ACTIVATION

typedef vreal (*math_function)(vreal);

FM_INLINE void math_array(math_function f, ptrdiff_t n, const real *x, real *out) {
  ptrdiff_t i = 0;
  for (; i + VL <= n; i += VL) vstore(out + i, f(vload(x + i)));
  if (i == n) return;
  real last[VL] = {0};
  for (ptrdiff_t j = i; j < n; j++) last[j - i] = x[j];
  vstore(last, f(vload(last)));
  for (ptrdiff_t j = i; j < n; j++) out[j] = last[j - i];
}

#define FM_DEFINE_MATH(name, ulp32, ulp64) \
  static void name##_array(ptrdiff_t n, const void *x, void *out) { math_array(v##name, n, x, out); }
FM_MATHS(FM_DEFINE_MATH)
#undef FM_DEFINE_MATH
