/* The products, csrc/kernels/gemm.inl, against sums in plain C and against the scalar table. */
#include "guard.h"

enum { ACCUMULATE }; /* the axis */

/* Sums run k = 0, 1, 2, ..., one fused multiply-add each, whatever the ISA. */
static void expect_product(matrix a, int a_transposed, matrix b, matrix start, matrix c, int accumulate) {
  for (ptrdiff_t i = 0; i < c.rows; i++)
    for (ptrdiff_t j = 0; j < c.columns; j++) {
      double sum = accumulate ? at(start, i, j) : 0.0;
      for (ptrdiff_t k = 0; k < b.rows; k++) sum = fused(a_transposed ? at(a, k, i) : at(a, i, k), at(b, k, j), sum);
      expect(at(c, i, j), sum);
    }
}

static void check_gemm_rows(trial t, result *out) {
  const int accumulate = t.at[ACCUMULATE];
  const matrix a = new_matrix(t.rows, t.k), b = new_matrix(t.k, t.columns), c = new_matrix(t.rows, t.columns);
  const matrix start = new_matrix(t.rows, t.columns);
  fill(a, ordinary);
  fill(b, ordinary);
  fill(start, ordinary);
  if (accumulate) copy_matrix(c, start);
  allow_matrix(c, c.panels * T->panel);
  seal_all();
  for (ptrdiff_t p = 0; p < b.panels; p++)
    T->gemm_rows(t.rows, t.k, panel_of(a, 0), a.stride, panel_of(b, p), vectors_of(b, p), accumulate, panel_of(c, p));
  check_all();
  check_padding(c, c.panels * T->panel);
  expect_product(a, 0, b, start, c, accumulate);
  append_matrix(out, c);
}

static void check_gemm_few(trial t, result *out) {
  const int accumulate = t.at[ACCUMULATE];
  if (skip_if(t.rows > 3)) return;
  const matrix a = new_matrix(t.rows, t.k), b = new_matrix(t.k, t.columns), c = new_matrix(t.rows, t.columns);
  const matrix start = new_matrix(t.rows, t.columns);
  fill(a, ordinary);
  fill(b, ordinary);
  fill(start, ordinary);
  if (accumulate) copy_matrix(c, start);
  allow_matrix(c, c.panels * T->panel);
  seal_all();
  T->gemm_few(t.rows, t.k, panel_of(a, 0), a.stride, panel_of(b, 0), b.stride, b.panels, accumulate, panel_of(c, 0),
              c.stride);
  check_all();
  check_padding(c, c.panels * T->panel);
  expect_product(a, 0, b, start, c, accumulate);
  append_matrix(out, c);
}

/* c (rows x columns) = a^T b with k rows in both: each panel of a gives a block of rows of c. */
static void check_gemm_columns(trial t, result *out) {
  const int accumulate = t.at[ACCUMULATE];
  const matrix a = new_matrix(t.k, t.rows), b = new_matrix(t.k, t.columns), c = new_matrix(t.rows, t.columns);
  const matrix start = new_matrix(t.rows, t.columns);
  fill(a, ordinary);
  fill(b, ordinary);
  fill(start, ordinary);
  if (accumulate) copy_matrix(c, start);
  allow_matrix(c, c.panels * T->panel);
  seal_all();
  for (ptrdiff_t p = 0; p < a.panels; p++)
    for (ptrdiff_t q = 0; q < b.panels; q++)
      T->gemm_columns(width_of(a, p), t.k, panel_of(a, p), panel_of(b, q), vectors_of(b, q), accumulate,
                      block_of(c, q, p * T->panel));
  check_all();
  check_padding(c, c.panels * T->panel);
  expect_product(a, 1, b, start, c, accumulate);
  append_matrix(out, c);
}

/* c (rows x columns) = a (rows x k) times the transpose of b (columns x k). */
static void check_gemm_dots(trial t, result *out) {
  if (skip_if(t.columns > FM_DOT_COLUMNS)) return;
  const matrix a = new_matrix(t.rows, t.k), b = new_matrix(t.columns, t.k), c = new_matrix(t.rows, t.columns);
  fill(a, ordinary);
  fill(b, ordinary);
  dirty_padding(a);
  dirty_padding(b);
  allow_matrix(c, c.panels * T->panel);
  seal_all();
  for (ptrdiff_t p = 0; p < c.panels; p++)
    T->gemm_dots(t.rows, t.k, panel_of(a, 0), a.stride, block_of(b, 0, p * T->panel), b.stride, width_of(c, p),
                 panel_of(c, p));
  check_all();
  check_padding(c, c.panels * T->panel);
  for (ptrdiff_t i = 0; i < t.rows; i++)
    for (ptrdiff_t j = 0; j < t.columns; j++) {
      double lane[FM_REDUCE_LANES] = {0};
      for (ptrdiff_t k = 0; k < t.k; k++)
        lane[k % FM_REDUCE_LANES] = fused(at(a, i, k), at(b, j, k), lane[k % FM_REDUCE_LANES]);
      expect(at(c, i, j), tree(lane));
    }
  append_matrix(out, c);
}

/* Its flops depend on the tile; what it must do is count them and keep to two vectors of memory. */
static void check_fma_loop(trial t, result *out) {
  (void)out;
  array *sink = new_reals(2 * T->lanes);
  for (ptrdiff_t i = 0; i < 2 * T->lanes; i++) put(sink->data, i, 0.0);
  allow(sink, 0, 2 * T->lanes);
  seal_all();
  const double flops = T->fma_loop(t.rows, sink->data);
  check_all();
  expect(flops, (double)(t.rows * T->tile_rows * T->panel * 2));
}

static const check CHECKS[] = {
    {"gemm_rows", check_gemm_rows, 3, {{"accumulate", 2, NULL}}},
    {"gemm_few", check_gemm_few, 3, {{"accumulate", 2, NULL}}},
    {"gemm_columns", check_gemm_columns, 3, {{"accumulate", 2, NULL}}},
    {"gemm_dots", check_gemm_dots, 3, {{0}}},
    {"fma_loop", check_fma_loop, 2, {{0}}},
};

int main(void) { return run_checks(CHECKS, sizeof CHECKS / sizeof *CHECKS); }
