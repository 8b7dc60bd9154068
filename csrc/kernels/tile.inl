/* The register tile, written once: FM_TILE_ROWS rows by one panel of accumulators, a broadcast from the left operand
 * against one row of a right-hand panel per step of k. Sums run k = 0, 1, 2, ... in one fused multiply-add each, so the
 * bits do not depend on how rows are cut into tiles. Included by isa/instantiate.inl.
 *
 * Where both operands hold pairs (pairs.inl), a step of k is one of them: two terms of the sum. */

/* How the left operand lies. BY_ROW: row r, step k at a[(k / PANEL) a_stride + r PANEL + k % PANEL] (a matrix in
 * panels). DOWN: at a[k PANEL + r] (the transpose of a block). Pairs along a row are half as many as its columns. */
enum { BY_ROW, DOWN, PAIRS_BY_ROW, PAIRS_DOWN };

FM_INLINE ptrdiff_t left_width(const int orientation) { return orientation == PAIRS_BY_ROW ? VL : PANEL; }

FM_INLINE vreal multiply_add(const int orientation, vreal left, vreal right, vreal sum) {
#if FM_REAL_IS_FLOAT
  if (orientation == PAIRS_BY_ROW || orientation == PAIRS_DOWN) return vdot(left, right, sum);
#endif
  (void)orientation;
  return vfma(left, right, sum);
}

/* One tile. rows, vectors and orientation are constants wherever this is inlined: the accumulators live in registers.
 */
FM_INLINE void tile(const int rows, const int vectors, const int orientation, ptrdiff_t k, const real *FM_RESTRICT a,
                    ptrdiff_t a_stride, const real *FM_RESTRICT b, int accumulate, real *FM_RESTRICT c) {
  vreal sum[FM_TILE_ROWS][2];
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < vectors; v++) sum[r][v] = accumulate ? vload(c + r * PANEL + v * VL) : vzero();
  const int by_row = orientation == BY_ROW || orientation == PAIRS_BY_ROW;
  const ptrdiff_t width = left_width(orientation);
  const ptrdiff_t run = by_row ? width : k; /* steps of k until the left operand jumps */
  for (ptrdiff_t done = 0; done < k; done += run, a += a_stride) {
    const ptrdiff_t steps = k - done < run ? k - done : run;
    for (ptrdiff_t i = 0; i < steps; i++, b += PANEL) {
      vreal right[2];
      for (int v = 0; v < vectors; v++) right[v] = vload(b + v * VL);
      for (int r = 0; r < rows; r++) {
        const vreal left = vset1(by_row ? a[r * width + i] : a[i * width + r]);
        for (int v = 0; v < vectors; v++) sum[r][v] = multiply_add(orientation, left, right[v], sum[r][v]);
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
    a += orientation == BY_ROW || orientation == PAIRS_BY_ROW ? n * left_width(orientation) : n;
    c += n * PANEL;
  }
}

/* The row kernel: with one to three rows the tile is made wide instead of high, over several panels. */
enum { MAX_FEW_ROWS = 3, MAX_FEW_PANELS = 4 };

FM_INLINE void few(const int rows, const int panels, const int orientation, ptrdiff_t k, const real *FM_RESTRICT a,
                   ptrdiff_t a_stride, const real *FM_RESTRICT b, ptrdiff_t b_stride, int accumulate,
                   real *FM_RESTRICT c, ptrdiff_t c_stride) {
  vreal sum[MAX_FEW_ROWS][2 * MAX_FEW_PANELS];
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < 2 * panels; v++)
      sum[r][v] = accumulate ? vload(c + (v / 2) * c_stride + r * PANEL + (v % 2) * VL) : vzero();
  const ptrdiff_t width = left_width(orientation);
  for (ptrdiff_t done = 0; done < k; done += width, a += a_stride) {
    const ptrdiff_t steps = k - done < width ? k - done : width;
    for (ptrdiff_t i = 0; i < steps; i++, b += PANEL) {
      for (int v = 0; v < 2 * panels; v++) {
        const vreal right = vload(b + (v / 2) * b_stride + (v % 2) * VL);
        for (int r = 0; r < rows; r++) sum[r][v] = multiply_add(orientation, vset1(a[r * width + i]), right, sum[r][v]);
      }
    }
  }
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < 2 * panels; v++) vstore(c + (v / 2) * c_stride + r * PANEL + (v % 2) * VL, sum[r][v]);
}

FM_INLINE void few_panels(const int rows, const int at_once, const int orientation, ptrdiff_t k, const real *a,
                          ptrdiff_t a_stride, const real *b, ptrdiff_t b_stride, ptrdiff_t panels, int accumulate,
                          real *c, ptrdiff_t c_stride) {
  for (; panels >= at_once; panels -= at_once, b += at_once * b_stride, c += at_once * c_stride)
    few(rows, at_once, orientation, k, a, a_stride, b, b_stride, accumulate, c, c_stride);
  for (; panels > 0; panels--, b += b_stride, c += c_stride)
    few(rows, 1, orientation, k, a, a_stride, b, b_stride, accumulate, c, c_stride);
}

FM_INLINE void few_of(ptrdiff_t rows, const int orientation, ptrdiff_t k, const real *a, ptrdiff_t a_stride,
                      const real *b, ptrdiff_t b_stride, ptrdiff_t panels, int accumulate, real *c,
                      ptrdiff_t c_stride) {
  switch (rows) {
    case 1: few_panels(1, 4, orientation, k, a, a_stride, b, b_stride, panels, accumulate, c, c_stride); break;
    case 2: few_panels(2, 2, orientation, k, a, a_stride, b, b_stride, panels, accumulate, c, c_stride); break;
    case 3: few_panels(3, 2, orientation, k, a, a_stride, b, b_stride, panels, accumulate, c, c_stride); break;
    default: break;
  }
}
