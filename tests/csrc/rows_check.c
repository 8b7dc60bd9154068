/* Sums in fixed order, against plain C and the scalar table; random numbers against the scalar table alone: what they
 * should be is in tests/test_random.py. */
#include "guard.h"

enum { ACCUMULATE }; /* the axis of sum_rows */

static void check_sum_squares(trial t, result *out) {
  const matrix a = new_matrix(t.rows, t.columns);
  fill(a, ordinary);
  dirty_padding(a);
  seal_all();
  const double got = T->sum_squares(t.rows, t.columns, panel_of(a, 0), a.stride);
  check_all();
  double total = 0;
  for (ptrdiff_t r = 0; r < t.rows; r++) {
    double lane[FM_REDUCE_LANES] = {0};
    for (ptrdiff_t c = 0; c < t.columns; c++)
      lane[c % FM_REDUCE_LANES] = rounded(lane[c % FM_REDUCE_LANES] + rounded(at(a, r, c) * at(a, r, c)));
    total += tree(lane);
  }
  expect(got, total);
  append(out, got);
}

static void check_sum_rows(trial t, result *out) {
  const int accumulate = t.at[ACCUMULATE];
  const matrix b = new_matrix(t.rows, t.columns);
  fill(b, ordinary);
  const ptrdiff_t n = b.panels * T->panel;
  array *sums = new_reals(n);
  for (ptrdiff_t c = 0; accumulate && c < n; c++) put(sums->data, c, c < t.columns ? ordinary() : 0.0);
  allow(sums, 0, n);
  seal_all();
  T->sum_rows(t.rows, b.panels, panel_of(b, 0), b.stride, accumulate, sums->data);
  check_all();
  for (ptrdiff_t c = t.columns; c < n; c++) expect(get(sums->data, c), 0.0);
  append_array(out, sums, t.columns);
}

static void check_add(trial t, result *out) {
  const ptrdiff_t used = t.rows * t.columns, n = (used + T->lanes - 1) / T->lanes * T->lanes;
  array *x = new_reals(n), *sums = new_reals(n), *before = new_reals(n);
  for (ptrdiff_t i = 0; i < n; i++) {
    put(x->data, i, i < used ? ordinary() : 0.0);
    put(before->data, i, i < used ? ordinary() : 0.0);
    put(sums->data, i, get(before->data, i));
  }
  allow(sums, 0, n);
  seal_all();
  T->add(n, x->data, sums->data);
  check_all();
  for (ptrdiff_t i = 0; i < n; i++) expect(get(sums->data, i), rounded(get(before->data, i) + get(x->data, i)));
  append_array(out, sums, used);
}

/* Blocks beyond 2^32, so that all words of the counter change. */
static void check_philox(trial t, result *out) {
  const ptrdiff_t blocks = t.rows * t.columns;
  array *words = new_array(4 * blocks, sizeof(uint32_t));
  allow(words, 0, 4 * blocks);
  seal_all();
  T->philox(0x9E3779B97F4A7C15u, 3, 7, 0xFFFFFFFFu, blocks, (uint32_t *)words->data);
  check_all();
  for (ptrdiff_t i = 0; i < 4 * blocks; i++) append_bits(out, ((const uint32_t *)words->data)[i]);
}

static const check CHECKS[] = {
    {"sum_rows", check_sum_rows, 2, {{"accumulate", 2, NULL}}},
    {"add", check_add, 2, {{0}}},
    {"sum_squares", check_sum_squares, 2, {{0}}},
    {"philox", check_philox, 2, {{0}}},
};

int main(void) { return run_checks(CHECKS, sizeof CHECKS / sizeof *CHECKS); }
