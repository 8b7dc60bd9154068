/* Sums and largest of rows and of columns, in orders that no ISA changes. Included by isa/instantiate.inl. */

/* Where column c of a row lies, seen from the row's first element in the first panel. */
FM_INLINE ptrdiff_t at(ptrdiff_t column, ptrdiff_t stride) { return column / PANEL * stride + column % PANEL; }

/* A sum over the columns of a row: column c goes to partial sum c % FM_REDUCE_LANES, and those are added in one fixed
 * tree, so that the bits do not depend on the vector length. */
enum { LANE_VECTORS = FM_REDUCE_LANES / VL };
_Static_assert(FM_REDUCE_LANES % VL == 0, "partial sums are whole vectors");
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

enum { SUM_PANELS = 4 }; /* at once */

FM_INLINE void sum_panels(const int panels, ptrdiff_t rows, const real *b, ptrdiff_t b_stride, int accumulate,
                          real *out) {
  vreal sum[2 * SUM_PANELS];
  for (int v = 0; v < 2 * panels; v++) sum[v] = accumulate ? vload(out + v * VL) : vzero();
  for (ptrdiff_t r = 0; r < rows; r++)
    for (int v = 0; v < 2 * panels; v++)
      sum[v] = vadd(sum[v], vload(b + (v / 2) * b_stride + r * PANEL + (v % 2) * VL));
  for (int v = 0; v < 2 * panels; v++) vstore(out + v * VL, sum[v]);
}

static void sum_rows(ptrdiff_t rows, ptrdiff_t panels, const void *b, ptrdiff_t b_stride, int accumulate, void *out) {
  const real *block = (const real *)b;
  real *sums = (real *)out;
  for (; panels >= SUM_PANELS; panels -= SUM_PANELS, block += SUM_PANELS * b_stride, sums += SUM_PANELS * PANEL)
    sum_panels(SUM_PANELS, rows, block, b_stride, accumulate, sums);
  for (; panels > 0; panels--, block += b_stride, sums += PANEL) sum_panels(1, rows, block, b_stride, accumulate, sums);
}

static void add(ptrdiff_t n, const void *x, void *out) {
  const real *more = (const real *)x;
  real *sum = (real *)out;
  for (ptrdiff_t i = 0; i < n; i += VL) vstore(sum + i, vadd(vload(sum + i), vload(more + i)));
}
