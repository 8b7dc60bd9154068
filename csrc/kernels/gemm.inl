/* The three products of matrices in panels, by the register tile. Included by isa/instantiate.inl, after tile.inl and
 * reduce.inl. */

static void gemm_rows(ptrdiff_t rows, ptrdiff_t k, const void *a, ptrdiff_t a_stride, const void *b, int vectors,
                      int accumulate, void *c) {
  if (vectors == 2)
    tiles(rows, 2, BY_ROW, k, (const real *)a, a_stride, (const real *)b, accumulate, (real *)c);
  else
    tiles(rows, 1, BY_ROW, k, (const real *)a, a_stride, (const real *)b, accumulate, (real *)c);
}

static void gemm_columns(ptrdiff_t rows, ptrdiff_t k, const void *a, const void *b, int vectors, int accumulate,
                         void *c) {
  if (vectors == 2)
    tiles(rows, 2, DOWN, k, (const real *)a, 0, (const real *)b, accumulate, (real *)c);
  else
    tiles(rows, 1, DOWN, k, (const real *)a, 0, (const real *)b, accumulate, (real *)c);
}

static void gemm_few(ptrdiff_t rows, ptrdiff_t k, const void *a, ptrdiff_t a_stride, const void *b, ptrdiff_t b_stride,
                     ptrdiff_t panels, int accumulate, void *c, ptrdiff_t c_stride) {
  few_of(rows, BY_ROW, k, (const real *)a, a_stride, (const real *)b, b_stride, panels, accumulate, (real *)c,
         c_stride);
}

/* Products with so few columns that vectors along them would be mostly padding: each element a sum along k, in
 * interleaved partial sums and one fixed tree, as other sums along a row are. */
enum { DOT_ROWS = 4 };

FM_INLINE void dots(const int rows, ptrdiff_t k, const real *FM_RESTRICT a, ptrdiff_t a_stride,
                    const real *FM_RESTRICT b, ptrdiff_t b_stride, real *FM_RESTRICT c) {
  lane_sums sums[DOT_ROWS];
  for (int r = 0; r < rows; r++) sums[r] = lane_sums_zero();
  for (ptrdiff_t i = 0; i < k; i += VL) {
    const vreal right = vfirst(vload(b + at(i, b_stride)), k - i);
    for (int r = 0; r < rows; r++) lane_sums_fma(&sums[r], i, vload(a + r * PANEL + at(i, a_stride)), right);
  }
  for (int r = 0; r < rows; r++) c[r * PANEL] = lane_sums_total(&sums[r]);
}

static void gemm_dots(ptrdiff_t rows, ptrdiff_t k, const void *a, ptrdiff_t a_stride, const void *b, ptrdiff_t b_stride,
                      ptrdiff_t columns, void *c) {
  const real *left = (const real *)a, *right = (const real *)b;
  real *out = (real *)c;
  memset(out, 0, sizeof(real) * (size_t)(rows * PANEL));
  for (ptrdiff_t o = 0; o < columns; o++, right += PANEL, out++) {
    ptrdiff_t r = 0;
    for (; r + DOT_ROWS <= rows; r += DOT_ROWS)
      dots(DOT_ROWS, k, left + r * PANEL, a_stride, right, b_stride, out + r * PANEL);
    for (; r < rows; r++) dots(1, k, left + r * PANEL, a_stride, right, b_stride, out + r * PANEL);
  }
}

/* Multiply-adds of a full register tile with both operands in registers: what the processor can do at best. */
static double fma_loop(ptrdiff_t iterations, void *sink) {
  vreal sum[FM_TILE_ROWS][2];
  const vreal left = vload((const real *)sink), right = vload((const real *)sink + VL);
  for (int r = 0; r < FM_TILE_ROWS; r++) /* all different, or a compiler may see that one chain would do */
    for (int v = 0; v < 2; v++) sum[r][v] = vset1((real)(2 * r + v));
  for (ptrdiff_t i = 0; i < iterations; i++)
    for (int r = 0; r < FM_TILE_ROWS; r++)
      for (int v = 0; v < 2; v++) sum[r][v] = vfma(left, right, sum[r][v]);
  vreal total = vzero();
  for (int r = 0; r < FM_TILE_ROWS; r++)
    for (int v = 0; v < 2; v++) total = vadd(total, sum[r][v]);
  vstore((real *)sink, total);
  return (double)iterations * FM_TILE_ROWS * 2 * VL * 2;
}
