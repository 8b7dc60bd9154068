/* The products of sparse rows, csrc/kernels/sparse.inl, against sums over their entries in plain C and against the
 * scalar table. */
#include "guard.h"

typedef struct {
  ptrdiff_t n;
  array *rows, *columns, *values;
} entries;

static int32_t number(const array *a, ptrdiff_t i) { return ((const int32_t *)(const void *)a->data)[i]; }

/* Some entries of a matrix, row by row, their columns rising; of its last row all. */
static entries new_entries(ptrdiff_t rows, ptrdiff_t columns) {
  entries e = {0, new_array(rows * columns, sizeof(int32_t)), new_array(rows * columns, sizeof(int32_t)),
               new_reals(rows * columns)};
  for (ptrdiff_t r = 0; r < rows; r++)
    for (ptrdiff_t c = 0; c < columns; c++) {
      if (below(3) && r < rows - 1) continue;
      ((int32_t *)(void *)e.rows->data)[e.n] = (int32_t)r;
      ((int32_t *)(void *)e.columns->data)[e.n] = (int32_t)c;
      put(e.values->data, e.n++, ordinary());
    }
  return e;
}

/* Where the entries of a row begin, or end with those of all rows before the next. */
static ptrdiff_t begin_of(entries e, ptrdiff_t row) {
  ptrdiff_t i = 0;
  while (i < e.n && number(e.rows, i) < row) i++;
  return i;
}

static const int32_t *columns_at(entries e, ptrdiff_t i) { return (const int32_t *)(const void *)e.columns->data + i; }

static const void *value_at(entries e, ptrdiff_t i) { return e.values->data + (size_t)(i * T->itemsize); }

static void check_gemm_entries(trial t, result *out) {
  const entries e = new_entries(t.rows, t.k);
  const matrix b = new_matrix(t.k, t.columns), c = new_matrix(t.rows, t.columns);
  fill(b, ordinary);
  allow_matrix(c, c.panels * T->panel);
  seal_all();
  for (ptrdiff_t r = 0; r < t.rows; r++) {
    const ptrdiff_t i = begin_of(e, r);
    T->gemm_entries(begin_of(e, r + 1) - i, columns_at(e, i), value_at(e, i), panel_of(b, 0), b.stride,
                    (t.columns + T->lanes - 1) / T->lanes, block_of(c, 0, r), c.stride);
  }
  check_all();
  check_padding(c, c.panels * T->panel);
  for (ptrdiff_t r = 0; r < t.rows; r++) {
    const ptrdiff_t first = begin_of(e, r), end = begin_of(e, r + 1);
    for (ptrdiff_t j = 0; j < t.columns; j++) {
      double sum = 0;
      for (ptrdiff_t i = first; i < end; i++) sum = fused(get(e.values->data, i), at(b, number(e.columns, i), j), sum);
      expect(at(c, r, j), sum);
    }
  }
  append_matrix(out, c);
}

static void check_dots_entries(trial t, result *out) {
  if (skip_if(t.columns > FM_DOT_COLUMNS)) return;
  const entries e = new_entries(t.rows, t.k);
  const matrix b = new_matrix(t.columns, t.k), c = new_matrix(t.rows, t.columns);
  fill(b, ordinary);
  dirty_padding(b);
  allow_matrix(c, c.panels * T->panel);
  seal_all();
  for (ptrdiff_t p = 0; p < c.panels; p++)
    for (ptrdiff_t r = 0; r < t.rows; r++) {
      const ptrdiff_t i = begin_of(e, r);
      T->dots_entries(begin_of(e, r + 1) - i, columns_at(e, i), value_at(e, i), block_of(b, 0, p * T->panel), b.stride,
                      width_of(c, p), block_of(c, p, r));
    }
  check_all();
  check_padding(c, c.panels * T->panel);
  for (ptrdiff_t r = 0; r < t.rows; r++)
    for (ptrdiff_t j = 0; j < t.columns; j++) {
      double lane[FM_REDUCE_LANES] = {0};
      for (ptrdiff_t i = begin_of(e, r); i < begin_of(e, r + 1); i++) {
        const ptrdiff_t k = number(e.columns, i);
        lane[k % FM_REDUCE_LANES] = fused(get(e.values->data, i), at(b, j, k), lane[k % FM_REDUCE_LANES]);
      }
      expect(at(c, r, j), tree(lane));
    }
  append_matrix(out, c);
}

/* g (k x columns) += a^T d, a the entries and d with as many rows; a block has as many columns as a panel. */
static void check_add_entries(trial t, result *out) {
  if (skip_if(t.k > 2)) return; /* the narrowest panel */
  const entries e = new_entries(t.rows, t.k);
  const matrix d = new_matrix(t.rows, t.columns), g = new_matrix(t.k, t.columns), start = new_matrix(t.k, t.columns);
  fill(d, ordinary);
  fill(start, ordinary);
  copy_matrix(g, start);
  allow_matrix(g, g.panels * T->panel);
  seal_all();
  for (ptrdiff_t p = 0; p < g.panels; p++)
    T->add_entries(e.n, (const int32_t *)(const void *)e.rows->data, columns_at(e, 0), e.values->data, panel_of(d, p),
                   vectors_of(d, p), panel_of(g, p));
  check_all();
  check_padding(g, g.columns);
  for (ptrdiff_t k = 0; k < t.k; k++)
    for (ptrdiff_t j = 0; j < t.columns; j++) {
      double sum = at(start, k, j);
      for (ptrdiff_t i = 0; i < e.n; i++)
        if (number(e.columns, i) == k) sum = fused(get(e.values->data, i), at(d, number(e.rows, i), j), sum);
      expect(at(g, k, j), sum);
    }
  append_matrix(out, g);
}

/* Of columns that are none of the matrix's, nothing is taken; integers and doubles become the dtype's. */
static void check_entries(trial t, result *out) {
  const ptrdiff_t n = t.columns;
  array *columns = new_array(n, sizeof(int32_t)), *values = new_array(n, sizeof(int16_t));
  array *to_columns = new_array(n, sizeof(int32_t)), *to_values = new_reals(n);
  ptrdiff_t good = 0;
  for (ptrdiff_t i = 0; i < n; i++) {
    const ptrdiff_t kind = below(4);
    const int32_t column = (int32_t)(kind == 0 ? -1 - below(9) : kind == 1 ? n + below(9) : i);
    const int16_t value = (int16_t)(below(2000) - 1000);
    ((int32_t *)(void *)columns->data)[i] = column;
    memcpy(values->data + 2 * i, &value, 2);
    good += kind > 1;
  }
  allow(to_columns, 0, good);
  allow(to_values, 0, good);
  seal_all();
  const ptrdiff_t found = T->entries[FM_SOURCE_int16](n, (const int32_t *)(const void *)columns->data, values->data, n,
                                                      (int32_t *)(void *)to_columns->data, to_values->data);
  check_all();
  expect((double)found, (double)good);
  for (ptrdiff_t i = 0, to = 0; i < n; i++) {
    int16_t value;
    memcpy(&value, values->data + 2 * i, 2);
    if (number(columns, i) != i) continue;
    expect(number(to_columns, to), (double)i);
    expect(get(to_values->data, to++), value);
  }
  append_array(out, to_values, good);
}

static const check CHECKS[] = {
    {"gemm_entries", check_gemm_entries, 3, {{0}}},
    {"dots_entries", check_dots_entries, 3, {{0}}},
    {"add_entries", check_add_entries, 3, {{0}}},
    {"entries", check_entries, 2, {{0}}},
};

int main(void) { return run_checks(CHECKS, sizeof CHECKS / sizeof *CHECKS); }
