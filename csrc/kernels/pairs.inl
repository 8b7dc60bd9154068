/* Products of pairs of bfloat16, by the register tile, and the rounding that makes them. FM_BFLOAT16 says that vdot is
 * an instruction. Included by isa/instantiate.inl for float32, and by the files of isa/pairs.def, after tile.inl.
 *
 * Pairs lie where floats do, and are moved as such. Where vdot is made of float32's instructions, the processor's mode
 * is another one around a product, whose sums must not be moved out of it: they stay in functions of their own. */
#ifndef FM_BFLOAT16
#define FM_BFLOAT16 0
#endif

#if FM_BFLOAT16
#define FM_IN_MODE static
#else
#define FM_IN_MODE FM_APART
#endif

FM_IN_MODE void rows_of_pairs(ptrdiff_t rows, ptrdiff_t pairs, const real *a, ptrdiff_t a_stride, const real *b,
                              int vectors, int accumulate, real *c) {
  if (vectors == 2)
    tiles(rows, 2, PAIRS_BY_ROW, pairs, a, a_stride, b, accumulate, c);
  else
    tiles(rows, 1, PAIRS_BY_ROW, pairs, a, a_stride, b, accumulate, c);
}

static void pairs_gemm_rows(ptrdiff_t rows, ptrdiff_t pairs, const void *a, ptrdiff_t a_stride, const void *b,
                            int vectors, int accumulate, void *c) {
  const unsigned before = fm_flush_on();
  rows_of_pairs(rows, pairs, (const real *)a, a_stride, (const real *)b, vectors, accumulate, (real *)c);
  fm_flush_back(before);
}

FM_IN_MODE void few_pairs(ptrdiff_t rows, ptrdiff_t pairs, const real *a, ptrdiff_t a_stride, const real *b,
                          ptrdiff_t b_stride, ptrdiff_t panels, int accumulate, real *c, ptrdiff_t c_stride) {
  few_of(rows, PAIRS_BY_ROW, pairs, a, a_stride, b, b_stride, panels, accumulate, c, c_stride);
}

static void pairs_gemm_few(ptrdiff_t rows, ptrdiff_t pairs, const void *a, ptrdiff_t a_stride, const void *b,
                           ptrdiff_t b_stride, ptrdiff_t panels, int accumulate, void *c, ptrdiff_t c_stride) {
  const unsigned before = fm_flush_on();
  few_pairs(rows, pairs, (const real *)a, a_stride, (const real *)b, b_stride, panels, accumulate, (real *)c, c_stride);
  fm_flush_back(before);
}

FM_IN_MODE void columns_of_pairs(ptrdiff_t rows, ptrdiff_t pairs, const real *a, const real *b, int vectors,
                                 int accumulate, real *c) {
  if (vectors == 2)
    tiles(rows, 2, PAIRS_DOWN, pairs, a, 0, b, accumulate, c);
  else
    tiles(rows, 1, PAIRS_DOWN, pairs, a, 0, b, accumulate, c);
}

static void pairs_gemm_columns(ptrdiff_t rows, ptrdiff_t pairs, const void *a, const void *b, int vectors,
                               int accumulate, void *c) {
  const unsigned before = fm_flush_on();
  columns_of_pairs(rows, pairs, (const real *)a, (const real *)b, vectors, accumulate, (real *)c);
  fm_flush_back(before);
}

/* Two vectors of a row; what is beyond its columns is 0. */
FM_INLINE void load_row(const real *row, ptrdiff_t columns, vreal to[2]) {
  for (int v = 0; v < 2; v++) {
    to[v] = vload(row + v * VL);
    if (columns < (v + 1) * VL) to[v] = vfirst(to[v], columns - v * VL);
  }
}

static void round_rows(ptrdiff_t rows, ptrdiff_t columns, const void *block, void *along, void *down) {
  const real *from = (const real *)block;
  real *by_row = (real *)along, *by_column = (real *)down;
  for (ptrdiff_t r = 0; r < rows; r += 2, from += 2 * PANEL) {
    vreal first[2], second[2] = {vzero(), vzero()};
    load_row(from, columns, first);
    if (r + 1 < rows) load_row(from + PANEL, columns, second);
    if (by_row) {
      vstore(by_row + r * VL, vpair_along(first[0], first[1]));
      if (r + 1 < rows) vstore(by_row + (r + 1) * VL, vpair_along(second[0], second[1]));
    }
    if (by_column)
      for (int v = 0; v < 2; v++) vstore(by_column + r / 2 * PANEL + v * VL, vpair(first[v], second[v]));
  }
}

/* Full VL x VL squares of pairs go through registers, ragged edges one by one. */
static void round_tile(ptrdiff_t rows, ptrdiff_t columns, const void *tile, void *down, void *transposed) {
  real along[PANEL * VL], *to = (real *)transposed;
  round_rows(rows, columns, tile, transposed ? along : NULL, down);
  if (!transposed) return;
  for (ptrdiff_t r = 0; r < rows; r += VL) {
    if (rows - r >= VL && columns > PANEL - 2) {
      vtranspose(along + r * VL, VL, to + r, PANEL);
      continue;
    }
    for (ptrdiff_t i = r; i < rows && i < r + VL; i++)
      for (ptrdiff_t j = 0; j < (columns + 1) / 2; j++) to[j * PANEL + i] = along[i * VL + j];
  }
}

FM_IN_MODE void dots_of_loop(ptrdiff_t iterations, real *sink) {
  vreal sum[FM_TILE_ROWS][2];
  const vreal left = vload(sink), right = vload(sink + VL);
  for (int r = 0; r < FM_TILE_ROWS; r++)
    for (int v = 0; v < 2; v++) sum[r][v] = vset1((real)(2 * r + v));
  for (ptrdiff_t i = 0; i < iterations; i++)
    for (int r = 0; r < FM_TILE_ROWS; r++)
      for (int v = 0; v < 2; v++) sum[r][v] = vdot(left, right, sum[r][v]);
  vreal total = vzero();
  for (int r = 0; r < FM_TILE_ROWS; r++)
    for (int v = 0; v < 2; v++) total = vadd(total, sum[r][v]);
  vstore(sink, total);
}

/* As fma_loop: what the processor can do at best. */
static double dot_loop(ptrdiff_t iterations, void *sink) {
  const unsigned before = fm_flush_on();
  dots_of_loop(iterations, (real *)sink);
  fm_flush_back(before);
  return (double)iterations * FM_TILE_ROWS * 2 * VL * 4;
}

static const fm_pairs pairs_table = {
    .name = FM_ISA_NAME,
    .native = FM_BFLOAT16,
    .gemm_rows = pairs_gemm_rows,
    .gemm_few = pairs_gemm_few,
    .gemm_columns = pairs_gemm_columns,
    .round_rows = round_rows,
    .round_tile = round_tile,
    .dot_loop = dot_loop,
};
