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

static double sum_row(ptrdiff_t columns, const void *row, ptrdiff_t stride) {
  lane_sums sums = lane_sums_zero();
  for (ptrdiff_t c = 0; c < columns; c += VL)
    lane_sums_add(&sums, c, vfirst(vload((const real *)row + at(c, stride)), columns - c));
  return (double)lane_sums_total(&sums);
}

/* ---- Sums over a whole matrix -----------------------------------------------------------------------------------
 *
 * Each column is added up in a tree: its rows in pairs of neighbours, those sums in pairs, and so on, as if the rows
 * were a power of two and those that are not there zeros. A panel's height and width are powers of two on every ISA, so
 * a block of PANEL rows is a subtree: the blocks' sums can be made apart, of whatever height, and no bit shows it. The
 * columns' sums then go through the tree of all sums along a row. */

/* l1 |x| + l2 x^2, added up over at most PANEL rows of VL columns. */
FM_INLINE vreal penalty_of_block(ptrdiff_t rows, const real *x, vreal l1, vreal l2) {
  vreal leaf[PANEL / 2];
  for (ptrdiff_t i = 0; i < PANEL / 2; i++) {
    const vreal a = 2 * i < rows ? vabs(vload(x + 2 * i * PANEL)) : vzero();
    const vreal b = 2 * i + 1 < rows ? vabs(vload(x + (2 * i + 1) * PANEL)) : vzero();
    leaf[i] = vfma(b, vfma(l2, b, l1), vmul(a, vfma(l2, a, l1)));
  }
  for (int n = PANEL / 4; n > 0; n /= 2)
    for (int i = 0; i < n; i++) leaf[i] = vadd(leaf[2 * i], leaf[2 * i + 1]);
  return leaf[0];
}

FM_APART vreal penalty_of_rows(ptrdiff_t rows, const real *x, vreal l1, vreal l2) {
  return rows == PANEL ? penalty_of_block(PANEL, x, l1, l2) : penalty_of_block(rows, x, l1, l2);
}

/* Leaves under the left one of the two branches of a tree with n of them, more than `least`, which is a power of two.
 */
FM_INLINE ptrdiff_t left_of(ptrdiff_t n, ptrdiff_t least) {
  ptrdiff_t left = least;
  while (2 * left < n) left *= 2;
  return left;
}

FM_APART vreal penalty_of_columns(ptrdiff_t rows, const real *x, vreal l1, vreal l2) {
  if (rows <= PANEL) return penalty_of_rows(rows, x, l1, l2);
  const ptrdiff_t left = left_of(rows, PANEL);
  return vadd(penalty_of_columns(left, x, l1, l2), penalty_of_columns(rows - left, x + left * PANEL, l1, l2));
}

/* The sum of l1 |x| + l2 x^2 over a matrix. */
static double sum_penalties(ptrdiff_t rows, ptrdiff_t columns, const void *matrix, ptrdiff_t stride, double l1,
                            double l2) {
  const real *x = (const real *)matrix;
  const vreal first = vset1((real)l1), second = vset1((real)l2);
  lane_sums sums = lane_sums_zero();
  for (ptrdiff_t c = 0; c < columns; c += VL)
    lane_sums_add(&sums, c, vfirst(penalty_of_columns(rows, x + at(c, stride), first, second), columns - c));
  return (double)lane_sums_total(&sums);
}

/* The sums of squares of a block's columns, one row of a panel. */
static void square_columns(ptrdiff_t rows, const void *block, void *out) {
  const real *x = (const real *)block;
  real *sums = (real *)out;
  for (ptrdiff_t c = 0; c < PANEL; c += VL) vstore(sums + c, penalty_of_rows(rows, x + c, vzero(), vset1(1)));
}

FM_APART vreal sum_of_columns(ptrdiff_t blocks, const real *sums) {
  if (blocks > 4) {
    const ptrdiff_t left = left_of(blocks, 4);
    return vadd(sum_of_columns(left, sums), sum_of_columns(blocks - left, sums + left * PANEL));
  }
  vreal total = vload(sums);
  if (blocks > 1) total = vadd(total, vload(sums + PANEL));
  if (blocks == 3) total = vadd(total, vload(sums + 2 * PANEL));
  if (blocks == 4) total = vadd(total, vadd(vload(sums + 2 * PANEL), vload(sums + 3 * PANEL)));
  return total;
}

/* The sum of squares of a matrix whose blocks of PANEL rows have gone through square_columns. */
static double sum_columns(ptrdiff_t blocks, ptrdiff_t columns, const void *squares, ptrdiff_t stride) {
  const real *sums = (const real *)squares;
  lane_sums total = lane_sums_zero();
  for (ptrdiff_t c = 0; c < columns; c += VL)
    lane_sums_add(&total, c, vfirst(sum_of_columns(blocks, sums + at(c, stride)), columns - c));
  return (double)lane_sums_total(&total);
}

/* ---- Sums of rows ------------------------------------------------------------------------------------------------ */

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
