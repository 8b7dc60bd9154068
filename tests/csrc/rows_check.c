/* Sums in fixed order, normalisation and dropout, against plain C and the scalar table; random numbers against the
 * scalar table alone: what they should be is in tests/reference/test_random.py. */
#include "guard.h"

enum { ACCUMULATE }; /* the axis of sum_rows */

static void check_sum_row(trial t, result *out) {
  const matrix a = new_matrix(1, t.columns);
  fill(a, ordinary);
  seal_all();
  const double got = T->sum_row(t.columns, panel_of(a, 0), a.stride);
  check_all();
  double wanted = 0;
  for (ptrdiff_t j = 0; j < t.columns; j++) wanted += at(a, 0, j);
  if (fabs(got - wanted) > 1e-4 * (double)t.columns) fail("sum_row");
  append(out, got);
}

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

/* l1 |x| + l2 x^2 of rows [r, r + n) of a column, n a power of two, in a tree of neighbours. */
static double column_tree(matrix x, ptrdiff_t r, ptrdiff_t n, ptrdiff_t column, double l1, double l2) {
  if (n > 2)
    return rounded(column_tree(x, r, n / 2, column, l1, l2) + column_tree(x, r + n / 2, n / 2, column, l1, l2));
  const double a = r < x.rows ? fabs(at(x, r, column)) : 0, b = r + 1 < x.rows ? fabs(at(x, r + 1, column)) : 0;
  return fused(b, fused(l2, b, l1), rounded(a * fused(l2, a, l1)));
}

static double matrix_tree(matrix x, double l1, double l2) {
  double lane[FM_REDUCE_LANES] = {0};
  ptrdiff_t n = 2;
  while (n < x.rows) n *= 2;
  for (ptrdiff_t c = 0; c < x.columns; c++)
    lane[c % FM_REDUCE_LANES] = rounded(lane[c % FM_REDUCE_LANES] + column_tree(x, 0, n, c, l1, l2));
  return tree(lane);
}

static void check_sum_penalties(trial t, result *out) {
  enum { FIRST, SECOND };
  const double l1 = t.at[FIRST] * 0.75, l2 = t.at[SECOND] * 0.375;
  const matrix x = new_matrix(t.rows * t.k, t.columns);
  fill(x, ordinary);
  dirty_padding(x);
  seal_all();
  const double got = T->sum_penalties(x.rows, t.columns, panel_of(x, 0), x.stride, l1, l2);
  check_all();
  expect(got, matrix_tree(x, l1, l2));
  append(out, got);
}

/* The blocks' sums, made apart, add up to those of the whole. */
static void check_sum_columns(trial t, result *out) {
  const matrix x = new_matrix(t.rows * t.k, t.columns);
  const matrix sums = new_matrix(round_up(x.rows, T->panel) / T->panel, t.columns);
  fill(x, ordinary);
  dirty_padding(x);
  allow_matrix(sums, x.panels * T->panel);
  seal_all();
  for (ptrdiff_t p = 0; p < x.panels; p++)
    for (ptrdiff_t r = 0; r < x.rows; r += T->panel)
      T->square_columns(x.rows - r < T->panel ? x.rows - r : T->panel, block_of(x, p, r),
                        block_of(sums, p, r / T->panel));
  check_all();
  const double got = T->sum_columns(sums.rows, t.columns, panel_of(sums, 0), sums.stride);
  expect(got, matrix_tree(x, 0, 1));
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

/* Random numbers beside a matrix of so many rows and columns, in panels; those behind `columns` may be anything. */
static array *new_numbers(matrix m) { return new_array(m.panels * m.stride, sizeof(uint16_t)); }

static uint16_t *numbers_at(const array *numbers, matrix m, ptrdiff_t r, ptrdiff_t c) {
  return (uint16_t *)numbers->data + c / T->panel * m.stride + (GUARD_ROWS + r) * T->panel + c % T->panel;
}

static void check_random_rows(trial t, result *out) {
  const fm_row_keys keys = {0x9E3779B97F4A7C15u, 4, (uint32_t)t.k, 0xFFFFFFFFFu, t.k == 5 ? 0xFFFFFFFE : t.k};
  const matrix m = new_matrix(t.rows, t.columns);
  array *numbers = new_numbers(m);
  for (ptrdiff_t p = 0; p < m.panels; p++) allow(numbers, p * m.stride + GUARD_ROWS * T->panel, t.rows * T->panel);
  seal_all();
  T->random_rows(&keys, t.rows, t.columns, numbers_at(numbers, m, 0, 0), m.stride);
  check_all();
  for (ptrdiff_t r = 0; r < t.rows; r++)
    for (ptrdiff_t c = 0; c < t.columns; c++) append_bits(out, *numbers_at(numbers, m, r, c));
}

static void check_drop(trial t, result *out) {
  enum { THRESHOLD, KEEPS_BEFORE };
  static const double THRESHOLDS[] = {0, 1, 13107, 32768, 65535, 65536};
  const double threshold = THRESHOLDS[t.at[THRESHOLD]], scale = 1.25;
  const matrix x = new_matrix(t.rows, t.columns), c = new_matrix(t.rows, t.columns),
               before = new_matrix(t.rows, t.columns);
  array *numbers = new_numbers(x);
  fill(x, awkward);
  copy_matrix(c, x);
  memset(numbers->data, 0, (size_t)(x.panels * x.stride) * sizeof(uint16_t));
  for (ptrdiff_t r = 0; r < t.rows; r++)
    for (ptrdiff_t j = 0; j < t.columns; j++)
      *numbers_at(numbers, x, r, j) = (uint16_t)(below(4) ? random_bits() : (uint64_t)threshold - (uint64_t)below(2));
  allow_matrix(c, t.columns);
  if (t.at[KEEPS_BEFORE]) allow_matrix(before, t.columns);
  seal_all();
  for (ptrdiff_t p = 0; p < c.panels; p++)
    T->drop(t.rows, vectors_of(c, p), numbers_at(numbers, x, 0, p * T->panel), threshold, scale, panel_of(c, p),
            t.at[KEEPS_BEFORE] ? panel_of(before, p) : NULL);
  check_all();
  for (ptrdiff_t r = 0; r < t.rows; r++)
    for (ptrdiff_t j = 0; j < t.columns; j++) {
      expect(at(c, r, j), rounded(at(x, r, j) * (*numbers_at(numbers, x, r, j) >= threshold ? scale : 0)));
      if (t.at[KEEPS_BEFORE]) expect(at(before, r, j), at(x, r, j));
    }
  append_matrix(out, c);
}

/* The quantiles are held against others in tests/reference/test_random.py; here, that all numbers have one. */
static void check_add_noise(trial t, result *out) {
  enum { DEVIATION };
  static const double DEVIATIONS[] = {0.5, 1e-3};
  const double deviation = DEVIATIONS[t.at[DEVIATION]];
  const matrix c = new_matrix(t.rows, t.columns);
  array *halves[] = {new_numbers(c), new_numbers(c)};
  fill(c, ordinary);
  for (int half = 0; half < 2; half++) {
    memset(halves[half]->data, 0, (size_t)(c.panels * c.stride) * sizeof(uint16_t));
    for (ptrdiff_t r = 0; r < t.rows; r++)
      for (ptrdiff_t j = 0; j < t.columns; j++)
        *numbers_at(halves[half], c, r, j) =
            (uint16_t)(below(3) ? random_bits() : 0x7FFFu + 0x8000u * (uint64_t)below(3));
  }
  allow_matrix(c, t.columns);
  seal_all();
  for (ptrdiff_t p = 0; p < c.panels; p++)
    T->add_noise(t.rows, vectors_of(c, p), numbers_at(halves[0], c, 0, p * T->panel),
                 numbers_at(halves[1], c, 0, p * T->panel), deviation, panel_of(c, p));
  check_all();
  for (ptrdiff_t r = 0; r < t.rows; r++)
    for (ptrdiff_t j = 0; j < t.columns; j++)
      if (!(fabs(at(c, r, j)) < 1 + 6.5 * deviation)) fail("noise beyond the largest quantile");
  append_matrix(out, c);
}

/* The sum of a row's products with another's, or of the row, in the fixed tree. */
static double along_row(matrix x, matrix y, ptrdiff_t r, int products) {
  double lane[FM_REDUCE_LANES] = {0};
  for (ptrdiff_t c = 0; c < x.columns; c++) {
    double *sum = &lane[c % FM_REDUCE_LANES];
    *sum = products ? fused(at(x, r, c), at(y, r, c), *sum) : rounded(*sum + at(x, r, c));
  }
  return tree(lane);
}

static void set(matrix m, ptrdiff_t r, ptrdiff_t c, double x) { put(block_of(m, c / T->panel, r), c % T->panel, x); }

static void check_normalise_rows(trial t, result *out) {
  enum { KEEPS };
  const double epsilon = rounded(1e-5);
  const matrix z = new_matrix(t.rows, t.columns), c = new_matrix(t.rows, t.columns), x = new_matrix(t.rows, t.columns),
               gamma = new_matrix(1, t.columns);
  array *scale = new_reals(t.rows), *gains = new_reals(gamma.panels * T->panel);
  fill(z, ordinary);
  fill(gamma, ordinary);
  for (ptrdiff_t j = 0; j < gamma.panels * T->panel; j++) put(gains->data, j, j < t.columns ? at(gamma, 0, j) : 0);
  dirty_padding(z);
  copy_matrix(c, z);
  allow_matrix(c, t.columns);
  if (t.at[KEEPS]) {
    allow_matrix(x, t.columns);
    allow(scale, 0, t.rows);
  }
  seal_all();
  T->normalise_rows(t.rows, t.columns, 1e-5, gains->data, panel_of(c, 0), c.stride, t.at[KEEPS] ? panel_of(x, 0) : NULL,
                    t.at[KEEPS] ? scale->data : NULL);
  check_all();
  check_padding(c, round_up(t.columns, T->lanes));
  for (ptrdiff_t r = 0; r < t.rows; r++) {
    const double mean = rounded(along_row(z, z, r, 0) / (double)t.columns);
    for (ptrdiff_t j = 0; j < t.columns; j++) set(z, r, j, rounded(at(z, r, j) - mean));
    const double variance = rounded(along_row(z, z, r, 1) / (double)t.columns);
    const double inverse = rounded(1 / rounded(sqrt(rounded(variance + epsilon))));
    if (t.at[KEEPS]) expect(get(scale->data, r), inverse);
    for (ptrdiff_t j = 0; j < t.columns; j++) {
      const double normed = rounded(at(z, r, j) * inverse);
      if (t.at[KEEPS]) expect(at(x, r, j), normed);
      expect(at(c, r, j), rounded(at(gamma, 0, j) * normed));
    }
  }
  append_matrix(out, c);
}

static void check_pull_back_rows(trial t, result *out) {
  const matrix d = new_matrix(t.rows, t.columns), x = new_matrix(t.rows, t.columns), g = new_matrix(t.rows, t.columns),
               shifted = new_matrix(t.rows, t.columns), normed = new_matrix(t.rows, t.columns),
               gamma = new_matrix(1, t.columns), dz = new_matrix(t.rows, t.columns);
  array *scale = new_reals(t.rows), *gains = new_reals(gamma.panels * T->panel);
  fill(d, ordinary);
  fill(x, ordinary);
  fill(gamma, ordinary);
  for (ptrdiff_t j = 0; j < gamma.panels * T->panel; j++) put(gains->data, j, j < t.columns ? at(gamma, 0, j) : 0);
  for (ptrdiff_t r = 0; r < t.rows; r++) put(scale->data, r, share());
  copy_matrix(normed, x);
  copy_matrix(shifted, d);
  dirty_padding(shifted);
  allow_matrix(dz, t.columns);
  allow_matrix(normed, t.columns);
  seal_all();
  T->pull_back_rows(t.rows, t.columns, gains->data, scale->data, panel_of(shifted, 0), dz.stride, panel_of(normed, 0),
                    panel_of(dz, 0));
  check_all();
  check_padding(dz, round_up(t.columns, T->lanes));
  check_padding(normed, round_up(t.columns, T->lanes));
  for (ptrdiff_t r = 0; r < t.rows; r++) {
    for (ptrdiff_t j = 0; j < t.columns; j++) set(g, r, j, rounded(at(gamma, 0, j) * at(d, r, j)));
    const double mean = rounded(along_row(g, g, r, 0) / (double)t.columns);
    const double along = rounded(along_row(g, x, r, 1) / (double)t.columns);
    for (ptrdiff_t j = 0; j < t.columns; j++) {
      const double rest = fused(-at(x, r, j), along, rounded(at(g, r, j) - mean));
      expect(at(dz, r, j), rounded(rest * get(scale->data, r)));
      expect(at(normed, r, j), rounded(at(x, r, j) * at(d, r, j)));
    }
  }
  append_matrix(out, dz);
}

enum { BATCH_FACTOR = 5 }; /* so that a batch is up to 165 rows, in three blocks */

/* The sum of a column, or of its products with another's, in blocks of 64 rows. */
static double down_column(matrix x, matrix y, ptrdiff_t c, int products) {
  double total = 0, sum = 0;
  for (ptrdiff_t r = 0; r < x.rows; r++) {
    sum = products ? fused(at(x, r, c), at(y, r, c), sum) : rounded(sum + at(x, r, c));
    if (r % 64 == 63 || r == x.rows - 1) {
      total = rounded(total + sum);
      sum = 0;
    }
  }
  return total;
}

static double inverse_root_of(double variance) { return rounded(1 / rounded(sqrt(rounded(variance + rounded(1e-5))))); }

/* A row of numbers, one for each column, as a vector of parameters lies. */
static array *new_row(matrix like, double (*value)(void)) {
  array *row = new_reals(like.panels * T->panel);
  for (ptrdiff_t j = 0; j < like.panels * T->panel; j++) put(row->data, j, value && j < like.columns ? value() : 0);
  return row;
}

static void *from(const array *row, ptrdiff_t panel) { return row->data + (size_t)(panel * T->panel * T->itemsize); }

static void check_normalise_columns(trial t, result *out) {
  enum { FIXED, KEEPS };
  const ptrdiff_t rows = t.rows * BATCH_FACTOR, end = round_up(t.columns, T->lanes);
  const matrix z = new_matrix(rows, t.columns), c = new_matrix(rows, t.columns), x = new_matrix(rows, t.columns);
  const array *gamma = new_row(z, ordinary), *kept_mean = new_row(z, ordinary), *kept_variance = new_row(z, share);
  array *mean = new_row(z, NULL), *variance = new_row(z, NULL), *scale = new_row(z, NULL);
  const int keeps = t.at[KEEPS] || !t.at[FIXED];
  fill(z, ordinary);
  copy_matrix(c, z);
  allow_matrix(c, t.columns);
  if (keeps) allow_matrix(x, t.columns);
  if (!t.at[FIXED]) {
    allow(mean, 0, end);
    allow(variance, 0, end);
    allow(scale, 0, end);
  }
  seal_all();
  for (ptrdiff_t p = 0; p < c.panels; p++) {
    void *normed = keeps ? panel_of(x, p) : NULL;
    if (t.at[FIXED])
      T->normalise_fixed(rows, vectors_of(c, p), 1e-5, from(gamma, p), from(kept_mean, p), from(kept_variance, p),
                         panel_of(c, p), normed);
    else
      T->normalise_batch(rows, vectors_of(c, p), 1e-5, from(gamma, p), panel_of(c, p), normed, from(mean, p),
                         from(variance, p), from(scale, p));
  }
  check_all();
  for (ptrdiff_t j = 0; j < t.columns; j++) {
    double middle = get(kept_mean->data, j), spread = get(kept_variance->data, j);
    if (!t.at[FIXED]) {
      middle = rounded(down_column(z, z, j, 0) / (double)rows);
      double total = 0, sum = 0;
      for (ptrdiff_t r = 0; r < rows; r++) {
        const double off = rounded(at(z, r, j) - middle);
        sum = fused(off, off, sum);
        if (r % 64 == 63 || r == rows - 1) {
          total = rounded(total + sum);
          sum = 0;
        }
      }
      spread = rounded(total / (double)rows);
      expect(get(mean->data, j), middle);
      expect(get(variance->data, j), spread);
      expect(get(scale->data, j), inverse_root_of(spread));
    }
    for (ptrdiff_t r = 0; r < rows; r++) {
      const double normed = rounded(rounded(at(z, r, j) - middle) * inverse_root_of(spread));
      if (keeps) expect(at(x, r, j), normed);
      expect(at(c, r, j), rounded(get(gamma->data, j) * normed));
    }
  }
  append_matrix(out, c);
}

static void check_pull_back_columns(trial t, result *out) {
  enum { FIXED };
  const ptrdiff_t rows = t.rows * BATCH_FACTOR;
  const matrix d = new_matrix(rows, t.columns), x = new_matrix(rows, t.columns), dz = new_matrix(rows, t.columns),
               normed = new_matrix(rows, t.columns), shifted = new_matrix(rows, t.columns);
  const array *gamma = new_row(d, ordinary), *given = new_row(d, share); /* a variance, or what it was scaled by */
  fill(d, ordinary);
  fill(x, ordinary);
  copy_matrix(normed, x);
  copy_matrix(shifted, d);
  allow_matrix(dz, t.columns);
  allow_matrix(normed, t.columns);
  seal_all();
  for (ptrdiff_t p = 0; p < d.panels; p++) {
    if (t.at[FIXED])
      T->pull_back_fixed(rows, vectors_of(d, p), 1e-5, from(gamma, p), from(given, p), panel_of(shifted, p),
                         panel_of(normed, p), panel_of(dz, p));
    else
      T->pull_back_batch(rows, vectors_of(d, p), from(gamma, p), from(given, p), panel_of(shifted, p),
                         panel_of(normed, p), panel_of(dz, p));
  }
  check_all();
  check_padding(dz, round_up(t.columns, T->lanes));
  for (ptrdiff_t j = 0; j < t.columns; j++) {
    const double scale = t.at[FIXED] ? inverse_root_of(get(given->data, j)) : get(given->data, j);
    const double mean = t.at[FIXED] ? 0 : rounded(down_column(d, d, j, 0) / (double)rows);
    const double along = t.at[FIXED] ? 0 : rounded(down_column(d, x, j, 1) / (double)rows);
    const double factor = rounded(get(gamma->data, j) * scale);
    for (ptrdiff_t r = 0; r < rows; r++) {
      const double rest = fused(-at(x, r, j), along, rounded(at(d, r, j) - mean));
      expect(at(dz, r, j), rounded(rest * factor));
      expect(at(normed, r, j), rounded(at(x, r, j) * at(d, r, j)));
    }
  }
  append_matrix(out, dz);
}

static const check CHECKS[] = {
    {"sum_rows", check_sum_rows, 2, {{"accumulate", 2, NULL}}},
    {"add", check_add, 2, {{0}}},
    {"sum_row", check_sum_row, 1, {{0}}},
    {"sum_squares", check_sum_squares, 2, {{0}}},
    {"sum_penalties", check_sum_penalties, 3, {{"l1", 2, NULL}, {"l2", 2, NULL}}},
    {"sum_columns", check_sum_columns, 3, {{0}}},
    {"normalise_rows", check_normalise_rows, 2, {{"keeps", 2, NULL}}},
    {"pull_back_rows", check_pull_back_rows, 2, {{0}}},
    {"normalise_columns", check_normalise_columns, 2, {{"fixed", 2, NULL}, {"keeps", 2, NULL}}},
    {"pull_back_columns", check_pull_back_columns, 2, {{"fixed", 2, NULL}}},
    {"philox", check_philox, 2, {{0}}},
    {"random_rows", check_random_rows, 3, {{0}}},
    {"add_noise", check_add_noise, 2, {{"deviation", 2, NULL}}},
    {"drop", check_drop, 2, {{"threshold", 6, NULL}, {"before", 2, NULL}}},
};

int main(void) { return run_checks(CHECKS, sizeof CHECKS / sizeof *CHECKS); }
