/* The register tile, written once: FM_TILE_ROWS rows by one panel of accumulators, a broadcast from the left operand
 * against one row of a right-hand panel per step of k. Sums run k = 0, 1, 2, ... in one fused multiply-add each, so the
 * bits do not depend on how rows are cut into tiles. Included by isa/instantiate.inl. */

/* How the left operand lies. BY_ROW: row r, step k at a[(k / PANEL) a_stride + r PANEL + k % PANEL] (a matrix in
 * panels). DOWN: at a[k PANEL + r] (the transpose of a block). */
enum { BY_ROW, DOWN };

/* One tile. rows, vectors and orientation are constants wherever this is inlined: the accumulators live in registers.
 */
FM_INLINE void tile(const int rows, const int vectors, const int orientation, ptrdiff_t k, const real *FM_RESTRICT a,
                    ptrdiff_t a_stride, const real *FM_RESTRICT b, int accumulate, real *FM_RESTRICT c) {
  vreal sum[FM_TILE_ROWS][2];
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < vectors; v++) sum[r][v] = accumulate ? vload(c + r * PANEL + v * VL) : vzero();
  const ptrdiff_t run = orientation == BY_ROW ? PANEL : k; /* steps of k until the left operand jumps */
  for (ptrdiff_t done = 0; done < k; done += run, a += a_stride) {
    const ptrdiff_t steps = k - done < run ? k - done : run;
    for (ptrdiff_t i = 0; i < steps; i++, b += PANEL) {
      vreal right[2];
      for (int v = 0; v < vectors; v++) right[v] = vload(b + v * VL);
      for (int r = 0; r < rows; r++) {
        const vreal left = vset1(orientation == BY_ROW ? a[r * PANEL + i] : a[i * PANEL + r]);
        for (int v = 0; v < vectors; v++) sum[r][v] = vfma(left, right[v], sum[r][v]);
      }
    }
  }
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < 2; v++) vstore(c + r * PANEL + v * VL, v < vectors ? sum[r][v] : vzero());
}

/* Every height up to FM_TILE_ROWS has its case. */
_Static_assert(FM_TILE_ROWS >= 4 && FM_TILE_ROWS <= 8, "tile_of has no case for some heights of the register tile");
FM_INLINE void tile_of(int rows, const int vectors, const int orientation, ptrdiff_t k, const real *a,
                       ptrdiff_t a_stride, const real *b, int accumulate, real *c) {
  switch (rows) {
    case 1: tile(1, vectors, orientation, k, a, a_stride, b, accumulate, c); break;
    case 2: tile(2, vectors, orientation, k, a, a_stride, b, accumulate, c); break;
    case 3: tile(3, vectors, orientation, k, a, a_stride, b, accumulate, c); break;
    case 4: tile(4, vectors, orientation, k, a, a_stride, b, accumulate, c); break;
    case 5:
      if (FM_TILE_ROWS >= 5) tile(5, vectors, orientation, k, a, a_stride, b, accumulate, c);
      break;
    case 6:
      if (FM_TILE_ROWS >= 6) tile(6, vectors, orientation, k, a, a_stride, b, accumulate, c);
      break;
    case 7:
      if (FM_TILE_ROWS >= 7) tile(7, vectors, orientation, k, a, a_stride, b, accumulate, c);
      break;
    case 8:
      if (FM_TILE_ROWS >= 8) tile(8, vectors, orientation, k, a, a_stride, b, accumulate, c);
      break;
    default: break;
  }
}

/* Rows are shared out evenly over as few tiles as there can be: a tile of one or two rows waits for its own latency. */
FM_INLINE void tiles(ptrdiff_t rows, const int vectors, const int orientation, ptrdiff_t k, const real *a,
                     ptrdiff_t a_stride, const real *b, int accumulate, real *c) {
  const ptrdiff_t count = (rows + FM_TILE_ROWS - 1) / FM_TILE_ROWS;
  const int even = rows % FM_TILE_ROWS == 0; /* spares a small product its slowest instruction */
  const ptrdiff_t least = even ? FM_TILE_ROWS : rows / count, larger = even ? 0 : rows - least * count;
  for (ptrdiff_t i = 0; i < count; i++) {
    const ptrdiff_t n = least + (i < larger);
    tile_of((int)n, vectors, orientation, k, a, a_stride, b, accumulate, c);
    a += orientation == BY_ROW ? n * PANEL : n;
    c += n * PANEL;
  }
}

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

/* The row kernel: with one to three rows the tile is made wide instead of high, over several panels. */
enum { MAX_FEW_ROWS = 3, MAX_FEW_PANELS = 4 };

FM_INLINE void few(const int rows, const int panels, ptrdiff_t k, const real *FM_RESTRICT a, ptrdiff_t a_stride,
                   const real *FM_RESTRICT b, ptrdiff_t b_stride, int accumulate, real *FM_RESTRICT c,
                   ptrdiff_t c_stride) {
  vreal sum[MAX_FEW_ROWS][2 * MAX_FEW_PANELS];
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < 2 * panels; v++)
      sum[r][v] = accumulate ? vload(c + (v / 2) * c_stride + r * PANEL + (v % 2) * VL) : vzero();
  for (ptrdiff_t done = 0; done < k; done += PANEL, a += a_stride) {
    const ptrdiff_t steps = k - done < PANEL ? k - done : PANEL;
    for (ptrdiff_t i = 0; i < steps; i++, b += PANEL) {
      for (int v = 0; v < 2 * panels; v++) {
        const vreal right = vload(b + (v / 2) * b_stride + (v % 2) * VL);
        for (int r = 0; r < rows; r++) sum[r][v] = vfma(vset1(a[r * PANEL + i]), right, sum[r][v]);
      }
    }
  }
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < 2 * panels; v++) vstore(c + (v / 2) * c_stride + r * PANEL + (v % 2) * VL, sum[r][v]);
}

FM_INLINE void few_panels(const int rows, const int at_once, ptrdiff_t k, const real *a, ptrdiff_t a_stride,
                          const real *b, ptrdiff_t b_stride, ptrdiff_t panels, int accumulate, real *c,
                          ptrdiff_t c_stride) {
  for (; panels >= at_once; panels -= at_once, b += at_once * b_stride, c += at_once * c_stride)
    few(rows, at_once, k, a, a_stride, b, b_stride, accumulate, c, c_stride);
  for (; panels > 0; panels--, b += b_stride, c += c_stride)
    few(rows, 1, k, a, a_stride, b, b_stride, accumulate, c, c_stride);
}

static void gemm_few(ptrdiff_t rows, ptrdiff_t k, const void *a, ptrdiff_t a_stride, const void *b, ptrdiff_t b_stride,
                     ptrdiff_t panels, int accumulate, void *c, ptrdiff_t c_stride) {
  const real *left = (const real *)a, *right = (const real *)b;
  real *out = (real *)c;
  switch (rows) {
    case 1: few_panels(1, 4, k, left, a_stride, right, b_stride, panels, accumulate, out, c_stride); break;
    case 2: few_panels(2, 2, k, left, a_stride, right, b_stride, panels, accumulate, out, c_stride); break;
    case 3: few_panels(3, 2, k, left, a_stride, right, b_stride, panels, accumulate, out, c_stride); break;
    default: break;
  }
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
