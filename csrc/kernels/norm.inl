/* Normalisation of rows and of a batch's columns. Included by isa/instantiate.inl, after reduce.inl.
 * Mirror: reference/norm.py. */

/* ---- Layer normalisation (Ba, Kiros and Hinton, "Layer normalization", 2016) of a block of rows ------------------
 *
 * A row's sum is a chain of additions, and two divisions and a root wait for its end: a few rows go together, so that
 * the processor has others to do meanwhile. Columns go FM_REDUCE_LANES at a time, and only where those are not `whole`
 * is asked how many of the n there are. */

/* Eight partial sums of each kind still stay in registers; where a row has four or more, a second row has no room. */
enum { ROWS_AT_ONCE = LANE_VECTORS < 4 ? 8 / LANE_VECTORS : 1 };

FM_INLINE vreal counted_first(const int whole, vreal x, ptrdiff_t n) { return whole ? x : vfirst(x, n); }

FM_INLINE ptrdiff_t whole_columns(ptrdiff_t n) { return n / FM_REDUCE_LANES * FM_REDUCE_LANES; }

/* The sums of rows of z. */
FM_INLINE void add_columns(const int rows, const int whole, ptrdiff_t c, ptrdiff_t n, const real *z, ptrdiff_t stride,
                           lane_sums *sums) {
  for (int i = 0; i < LANE_VECTORS && (whole || c < n); i++, c += VL)
    for (int r = 0; r < rows; r++) {
      const vreal x = vload(z + at(c, stride) + r * PANEL);
      sums[r].part[i] = vadd(sums[r].part[i], counted_first(whole, x, n - c));
    }
}

/* The sums of squares of z - mean. */
FM_INLINE void add_squares(const int rows, const int whole, ptrdiff_t c, ptrdiff_t n, const real *z, ptrdiff_t stride,
                           const vreal *mean, lane_sums *sums) {
  for (int i = 0; i < LANE_VECTORS && (whole || c < n); i++, c += VL)
    for (int r = 0; r < rows; r++) {
      const vreal x = counted_first(whole, vsub(vload(z + at(c, stride) + r * PANEL), mean[r]), n - c);
      sums[r].part[i] = vfma(x, x, sums[r].part[i]);
    }
}

FM_INLINE void scale_rows(const int rows, const int whole, ptrdiff_t c, ptrdiff_t n, const real *gamma, real *z,
                          ptrdiff_t stride, const vreal *mean, const vreal *inverse, real *normed) {
  for (int i = 0; i < LANE_VECTORS && (whole || c < n); i++, c += VL) {
    const vreal gain = vload(gamma + c);
    for (int r = 0; r < rows; r++) {
      const ptrdiff_t place = at(c, stride) + r * PANEL;
      const vreal x = vmul(counted_first(whole, vsub(vload(z + place), mean[r]), n - c), inverse[r]);
      if (normed) vstore(normed + place, x);
      vstore(z + place, vmul(gain, x));
    }
  }
}

#if FM_REAL_IS_FLOAT
FM_INLINE real real_sqrt(real x) { return sqrtf(x); }
#else
FM_INLINE real real_sqrt(real x) { return sqrt(x); }
#endif

FM_INLINE void normalise_few(const int rows, ptrdiff_t n, real epsilon, const real *gamma, real *z, ptrdiff_t stride,
                             real *normed, real *scale) {
  const ptrdiff_t whole = whole_columns(n);
  lane_sums sums[ROWS_AT_ONCE], squares[ROWS_AT_ONCE];
  vreal mean[ROWS_AT_ONCE], inverse[ROWS_AT_ONCE];
  for (int r = 0; r < rows; r++) sums[r] = squares[r] = lane_sums_zero();
  for (ptrdiff_t c = 0; c < whole; c += FM_REDUCE_LANES) add_columns(rows, 1, c, n, z, stride, sums);
  add_columns(rows, 0, whole, n, z, stride, sums);
  for (int r = 0; r < rows; r++) mean[r] = vset1(lane_sums_total(&sums[r]) / (real)n);
  for (ptrdiff_t c = 0; c < whole; c += FM_REDUCE_LANES) add_squares(rows, 1, c, n, z, stride, mean, squares);
  add_squares(rows, 0, whole, n, z, stride, mean, squares);
  for (int r = 0; r < rows; r++) {
    const real factor = 1 / real_sqrt(lane_sums_total(&squares[r]) / (real)n + epsilon);
    if (normed) scale[r] = factor;
    inverse[r] = vset1(factor);
  }
  for (ptrdiff_t c = 0; c < whole; c += FM_REDUCE_LANES)
    scale_rows(rows, 1, c, n, gamma, z, stride, mean, inverse, normed);
  scale_rows(rows, 0, whole, n, gamma, z, stride, mean, inverse, normed);
}

static void normalise_rows(ptrdiff_t rows, ptrdiff_t columns, double epsilon, const void *gamma, void *c,
                           ptrdiff_t stride, void *normed, void *scale) {
  real *z = (real *)c, *x = (real *)normed, *factor = (real *)scale;
  ptrdiff_t r = 0;
  for (; r + ROWS_AT_ONCE <= rows; r += ROWS_AT_ONCE)
    normalise_few(ROWS_AT_ONCE, columns, (real)epsilon, (const real *)gamma, z + r * PANEL, stride,
                  x ? x + r * PANEL : NULL, x ? factor + r : NULL);
  for (; r < rows; r++)
    normalise_few(1, columns, (real)epsilon, (const real *)gamma, z + r * PANEL, stride, x ? x + r * PANEL : NULL,
                  x ? factor + r : NULL);
}

/* The sums of g = gamma dE/dy and of g x. */
FM_INLINE void add_pulled(const int rows, const int whole, ptrdiff_t c, ptrdiff_t n, const real *gamma,
                          const real *shifted, const real *normed, ptrdiff_t stride, lane_sums *sums,
                          lane_sums *products) {
  for (int i = 0; i < LANE_VECTORS && (whole || c < n); i++, c += VL) {
    const vreal gain = vload(gamma + c);
    for (int r = 0; r < rows; r++) {
      const ptrdiff_t place = at(c, stride) + r * PANEL;
      const vreal g = vmul(gain, counted_first(whole, vload(shifted + place), n - c));
      sums[r].part[i] = vadd(sums[r].part[i], g);
      products[r].part[i] = vfma(g, counted_first(whole, vload(normed + place), n - c), products[r].part[i]);
    }
  }
}

FM_INLINE void pull_columns(const int rows, const int whole, ptrdiff_t c, ptrdiff_t n, const real *gamma,
                            const real *shifted, real *normed, real *d, ptrdiff_t stride, const vreal *mean,
                            const vreal *along, const vreal *inverse) {
  for (int i = 0; i < LANE_VECTORS && (whole || c < n); i++, c += VL) {
    const vreal gain = vload(gamma + c);
    for (int r = 0; r < rows; r++) {
      const ptrdiff_t place = at(c, stride) + r * PANEL;
      const vreal dy = counted_first(whole, vload(shifted + place), n - c), x = vload(normed + place);
      const vreal dz = vmul(vfnma(x, along[r], vsub(vmul(gain, dy), mean[r])), inverse[r]);
      vstore(normed + place, vmul(x, dy));
      vstore(d + place, counted_first(whole, dz, n - c));
    }
  }
}

FM_INLINE void pull_back_few(const int rows, ptrdiff_t n, const real *gamma, const real *scale, const real *shifted,
                             ptrdiff_t stride, real *normed, real *d) {
  const ptrdiff_t whole = whole_columns(n);
  lane_sums sums[ROWS_AT_ONCE], products[ROWS_AT_ONCE];
  vreal mean[ROWS_AT_ONCE], along[ROWS_AT_ONCE], inverse[ROWS_AT_ONCE];
  for (int r = 0; r < rows; r++) sums[r] = products[r] = lane_sums_zero();
  for (ptrdiff_t c = 0; c < whole; c += FM_REDUCE_LANES)
    add_pulled(rows, 1, c, n, gamma, shifted, normed, stride, sums, products);
  add_pulled(rows, 0, whole, n, gamma, shifted, normed, stride, sums, products);
  for (int r = 0; r < rows; r++) {
    mean[r] = vset1(lane_sums_total(&sums[r]) / (real)n);
    along[r] = vset1(lane_sums_total(&products[r]) / (real)n);
    inverse[r] = vset1(scale[r]);
  }
  for (ptrdiff_t c = 0; c < whole; c += FM_REDUCE_LANES)
    pull_columns(rows, 1, c, n, gamma, shifted, normed, d, stride, mean, along, inverse);
  pull_columns(rows, 0, whole, n, gamma, shifted, normed, d, stride, mean, along, inverse);
}

/* With g = gamma dE/dy: dE/dz = (g - mean of g - x mean of g x) / sqrt(variance + epsilon), x being what was normed. */
static void pull_back_rows(ptrdiff_t rows, ptrdiff_t columns, const void *gamma, const void *scale, const void *shifted,
                           ptrdiff_t stride, void *normed, void *d) {
  const real *dy = (const real *)shifted, *inverse = (const real *)scale;
  real *x = (real *)normed, *dz = (real *)d;
  ptrdiff_t r = 0;
  for (; r + ROWS_AT_ONCE <= rows; r += ROWS_AT_ONCE)
    pull_back_few(ROWS_AT_ONCE, columns, (const real *)gamma, inverse + r, dy + r * PANEL, stride, x + r * PANEL,
                  dz + r * PANEL);
  for (; r < rows; r++)
    pull_back_few(1, columns, (const real *)gamma, inverse + r, dy + r * PANEL, stride, x + r * PANEL, dz + r * PANEL);
}

/* ---- Batch normalisation (Ioffe and Szegedy, "Batch normalization", 2015) of one panel --------------------------- */

enum { SUM_ROWS = 64 }; /* that are added up before they are added to the sum: fewer roundings of large sums */

/* The sum of a panel's rows, VL of its columns, or with y of the products with its. */
FM_INLINE vreal column_sum(ptrdiff_t rows, const real *x, const real *y) {
  vreal total = vzero();
  for (ptrdiff_t start = 0; start < rows; start += SUM_ROWS) {
    const ptrdiff_t end = rows - start < SUM_ROWS ? rows : start + SUM_ROWS;
    vreal sum = vzero();
    for (ptrdiff_t r = start; r < end; r++)
      sum = y ? vfma(vload(x + r * PANEL), vload(y + r * PANEL), sum) : vadd(sum, vload(x + r * PANEL));
    total = vadd(total, sum);
  }
  return total;
}

FM_INLINE vreal inverse_root(vreal variance, double epsilon) {
  return vdiv(vset1(1), vsqrt(vadd(variance, vset1((real)epsilon))));
}

/* c = gamma x for VL columns, x = (c - mean) scale, which goes to `normed`, too, unless that is NULL. */
FM_INLINE void scale_columns(ptrdiff_t rows, vreal mean, vreal scale, vreal gamma, real *c, real *normed) {
  for (ptrdiff_t r = 0; r < rows; r++) {
    const vreal x = vmul(vsub(vload(c + r * PANEL), mean), scale);
    if (normed) vstore(normed + r * PANEL, x);
    vstore(c + r * PANEL, vmul(gamma, x));
  }
}

static void normalise_batch(ptrdiff_t rows, int vectors, double epsilon, const void *gamma, void *c, void *normed,
                            void *mean, void *variance, void *scale) {
  const vreal n = vset1((real)rows);
  for (ptrdiff_t v = 0; v < vectors * VL; v += VL) {
    real *z = (real *)c + v, *x = (real *)normed + v;
    const vreal middle = vdiv(column_sum(rows, z, NULL), n);
    for (ptrdiff_t r = 0; r < rows; r++) vstore(x + r * PANEL, vsub(vload(z + r * PANEL), middle));
    const vreal spread = vdiv(column_sum(rows, x, x), n), inverse = inverse_root(spread, epsilon);
    vstore((real *)mean + v, middle);
    vstore((real *)variance + v, spread);
    vstore((real *)scale + v, inverse);
    scale_columns(rows, middle, inverse, vload((const real *)gamma + v), z, x);
  }
}

static void pull_back_batch(ptrdiff_t rows, int vectors, const void *gamma, const void *scale, const void *shifted,
                            void *normed, void *d) {
  const vreal n = vset1((real)rows);
  for (ptrdiff_t v = 0; v < vectors * VL; v += VL) {
    const real *by_shift = (const real *)shifted + v;
    real *dz = (real *)d + v, *x = (real *)normed + v;
    const vreal mean = vdiv(column_sum(rows, by_shift, NULL), n), along = vdiv(column_sum(rows, by_shift, x), n);
    const vreal factor = vmul(vload((const real *)gamma + v), vload((const real *)scale + v));
    for (ptrdiff_t r = 0; r < rows * PANEL; r += PANEL) {
      const vreal dy = vload(by_shift + r), value = vload(x + r);
      vstore(x + r, vmul(value, dy));
      vstore(dz + r, vmul(vfnma(value, along, vsub(dy, mean)), factor));
    }
  }
}

static void normalise_fixed(ptrdiff_t rows, int vectors, double epsilon, const void *gamma, const void *mean,
                            const void *variance, void *c, void *normed) {
  for (ptrdiff_t v = 0; v < vectors * VL; v += VL)
    scale_columns(rows, vload((const real *)mean + v), inverse_root(vload((const real *)variance + v), epsilon),
                  vload((const real *)gamma + v), (real *)c + v, normed ? (real *)normed + v : NULL);
}

static void pull_back_fixed(ptrdiff_t rows, int vectors, double epsilon, const void *gamma, const void *variance,
                            const void *shifted, void *normed, void *d) {
  for (ptrdiff_t v = 0; v < vectors * VL; v += VL) {
    const real *by_shift = (const real *)shifted + v;
    real *dz = (real *)d + v, *x = (real *)normed + v;
    const vreal scale = inverse_root(vload((const real *)variance + v), epsilon);
    const vreal factor = vmul(vload((const real *)gamma + v), scale);
    for (ptrdiff_t r = 0; r < rows * PANEL; r += PANEL) {
      const vreal dy = vload(by_shift + r);
      vstore(x + r, vmul(vload(x + r), dy));
      vstore(dz + r, vmul(dy, factor));
    }
  }
}
