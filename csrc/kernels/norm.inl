/* Normalisation of rows and of a batch's columns. Included by isa/instantiate.inl, after reduce.inl.
 * Mirror: reference/norm.py. */

/* ---- Layer normalisation (Ba, Kiros and Hinton, "Layer normalization", 2016) of a block of rows ------------------ */

/* The sum of the products of two rows. */
FM_INLINE real row_dot(ptrdiff_t n, const real *a, const real *b, ptrdiff_t stride) {
  lane_sums sums = lane_sums_zero();
  for (ptrdiff_t c = 0; c < n; c += VL)
    lane_sums_fma(&sums, c, vfirst(vload(a + at(c, stride)), n - c), vfirst(vload(b + at(c, stride)), n - c));
  return lane_sums_total(&sums);
}

FM_INLINE real row_sum(ptrdiff_t n, const real *row, ptrdiff_t stride) {
  lane_sums sums = lane_sums_zero();
  for (ptrdiff_t c = 0; c < n; c += VL) lane_sums_add(&sums, c, vfirst(vload(row + at(c, stride)), n - c));
  return lane_sums_total(&sums);
}

/* row -= mean, in place, and 0 behind its end; returns 1 / sqrt(variance + epsilon). */
FM_INLINE real center_row(ptrdiff_t n, real epsilon, real *row, ptrdiff_t stride) {
  const vreal mean = vset1(row_sum(n, row, stride) / (real)n);
  for (ptrdiff_t c = 0; c < n; c += VL) {
    real *x = row + at(c, stride);
    vstore(x, vfirst(vsub(vload(x), mean), n - c));
  }
  const real variance = row_dot(n, row, row, stride) / (real)n;
  return vlargest(vdiv(vset1(1), vsqrt(vset1(variance + epsilon))));
}

static void normalise_rows(ptrdiff_t rows, ptrdiff_t columns, double epsilon, const void *gamma, void *c,
                           ptrdiff_t stride, void *normed, void *scale) {
  const real *gains = (const real *)gamma;
  for (ptrdiff_t r = 0; r < rows; r++) {
    real *row = (real *)c + r * PANEL, *kept = normed ? (real *)normed + r * PANEL : NULL;
    const real inverse = center_row(columns, (real)epsilon, row, stride);
    if (kept) ((real *)scale)[r] = inverse;
    for (ptrdiff_t j = 0; j < columns; j += VL) {
      const vreal x = vmul(vload(row + at(j, stride)), vset1(inverse));
      if (kept) vstore(kept + at(j, stride), x);
      vstore(row + at(j, stride), vmul(vload(gains + j), x));
    }
  }
}

/* With g = gamma dE/dy: dE/dz = (g - mean of g - x mean of g x) / sqrt(variance + epsilon), x being what was normed. */
static void pull_back_rows(ptrdiff_t rows, ptrdiff_t columns, const void *gamma, const void *scale, void *d,
                           ptrdiff_t stride, void *normed, void *shifted) {
  const real *gains = (const real *)gamma;
  for (ptrdiff_t r = 0; r < rows; r++) {
    real *row = (real *)d + r * PANEL, *x = (real *)normed + r * PANEL, *by_shift = (real *)shifted + r * PANEL;
    for (ptrdiff_t j = 0; j < columns; j += VL) {
      const vreal dy = vfirst(vload(row + at(j, stride)), columns - j);
      vstore(by_shift + at(j, stride), dy);
      vstore(row + at(j, stride), vmul(vload(gains + j), dy));
    }
    const vreal mean = vset1(row_sum(columns, row, stride) / (real)columns);
    const vreal along = vset1(row_dot(columns, row, x, stride) / (real)columns);
    const vreal inverse = vset1(((const real *)scale)[r]);
    for (ptrdiff_t j = 0; j < columns; j += VL) {
      real *g = row + at(j, stride), *by_gain = x + at(j, stride);
      const vreal dz = vmul(vfnma(vload(by_gain), along, vsub(vload(g), mean)), inverse);
      vstore(g, vfirst(dz, columns - j));
      vstore(by_gain, vmul(vload(by_gain), vload(by_shift + at(j, stride))));
    }
  }
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

static void pull_back_batch(ptrdiff_t rows, int vectors, const void *gamma, const void *scale, void *d, void *normed,
                            void *shifted) {
  const vreal n = vset1((real)rows);
  for (ptrdiff_t v = 0; v < vectors * VL; v += VL) {
    real *dz = (real *)d + v, *x = (real *)normed + v, *by_shift = (real *)shifted + v;
    const vreal mean = vdiv(column_sum(rows, dz, NULL), n), along = vdiv(column_sum(rows, dz, x), n);
    const vreal factor = vmul(vload((const real *)gamma + v), vload((const real *)scale + v));
    for (ptrdiff_t r = 0; r < rows * PANEL; r += PANEL) {
      const vreal dy = vload(dz + r), value = vload(x + r);
      vstore(by_shift + r, dy);
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
                            void *d, void *normed, void *shifted) {
  for (ptrdiff_t v = 0; v < vectors * VL; v += VL) {
    real *dz = (real *)d + v, *x = (real *)normed + v, *by_shift = (real *)shifted + v;
    const vreal scale = inverse_root(vload((const real *)variance + v), epsilon);
    const vreal factor = vmul(vload((const real *)gamma + v), scale);
    for (ptrdiff_t r = 0; r < rows * PANEL; r += PANEL) {
      const vreal dy = vload(dz + r);
      vstore(by_shift + r, dy);
      vstore(x + r, vmul(vload(x + r), dy));
      vstore(dz + r, vmul(dy, factor));
    }
  }
}
