/* Products of bfloat16, csrc/kernels/pairs.inl, and the rounding of their operands, against a few lines of plain C and
 * against the scalar table. An ISA's table is checked with every way of multiplying pairs that this processor has. */
#include "guard.h"

enum { PAIRS, ACCUMULATE }; /* the axes */
enum { EMULATED, NATIVE };

static const char *way_of(int native) { return native ? "by an instruction" : "emulated"; }

/* The pairs under test; NULL where the processor has no instruction, or floats are doubles. */
static const fm_pairs *pairs_under_test(int native) {
  for (int isa = 0; isa < FM_ISA_COUNT; isa++)
    if (T->pairs && fm_kernel_table(isa, FM_DTYPE_float32) == T) {
      const fm_pairs *found = fm_pairs_table(isa, native);
      return native && !found ? T->pairs : found;
    }
  return NULL;
}

static uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* The nearest bfloat16, ties to even, as a float: by division, not by bits. */
static float nearest(float x) {
  if (x != x) return float_of((bits_of(x) | 0x00400000u) & 0xFFFF0000u);
  if (fabsf(x) < 0x1p-126f) return copysignf(0, x);
  if (isinf(x)) return x;
  int exponent;
  const double m = frexp(x, &exponent), rounded = ldexp(nearbyint(ldexp(m, 8)), exponent - 8);
  return fabs(rounded) >= 0x1p128 ? copysignf(INFINITY, x) : (float)rounded;
}

static float half_of(const void *memory, ptrdiff_t pair, int upper) {
  uint32_t word;
  memcpy(&word, (const char *)memory + 4 * pair, sizeof word);
  return float_of(upper ? word & 0xFFFF0000u : word << 16);
}

/* Numbers of every kind: any bits at all, those near the limits, ordinary ones. */
static double any_bits(void) {
  static const uint32_t EDGES[] = {0x00000000, 0x00000001, 0x007FFFFF, 0x00800000, 0x7F7F7FFF, 0x7F7F8000,
                                   0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FC00000, 0x3F808000, 0x3F818000,
                                   0x3F808001, 0x3F807FFF, 0x007F8000, 0x00808000};
  const ptrdiff_t kind = below(4);
  const uint32_t sign = (uint32_t)below(2) << 31;
  float x = kind == 0 ? (float)uniform(-2, 2) : float_of((uint32_t)random_bits());
  if (kind == 1) x = float_of(EDGES[below((ptrdiff_t)(sizeof EDGES / sizeof *EDGES))] | sign);
  return (double)x;
}

static void put_numbers(matrix m) {
  for (ptrdiff_t r = 0; r < m.rows; r++)
    for (ptrdiff_t c = 0; c < m.columns; c++) put(block_of(m, c / T->panel, r), c % T->panel, any_bits());
}

/* All bits count, also those of NaN, and are known in plain C: nothing is held against the scalar table. */
static void check_round_rows(trial t, result *out) {
  const fm_pairs *P = pairs_under_test(t.at[PAIRS]);
  (void)out;
  if (skip_if(!P || t.columns > T->panel)) return;
  const ptrdiff_t n = (t.rows + 1) / 2;
  const matrix m = new_matrix(t.rows, t.columns);
  array *along = new_reals(t.rows * T->panel / 2), *down = new_reals(n * T->panel);
  fill(m, ordinary);
  put_numbers(m);
  dirty_padding(m);
  allow(along, 0, t.rows * T->panel / 2);
  allow(down, 0, n * T->panel);
  seal_all();
  P->round_rows(t.rows, t.columns, panel_of(m, 0), along->data, down->data);
  check_all();
  for (ptrdiff_t r = 0; r < t.rows; r++)
    for (ptrdiff_t c = 0; c < T->panel; c++) {
      const float right = c < t.columns ? nearest((float)at(m, r, c)) : 0.0f;
      if (bits_of(half_of(along->data, r * T->panel / 2 + c / 2, (int)(c % 2))) != bits_of(right)) fail("along a row");
      if (bits_of(half_of(down->data, r / 2 * T->panel + c, (int)(r % 2))) != bits_of(right)) fail("down a column");
    }
  for (ptrdiff_t c = 0; t.rows % 2 && c < T->panel; c++)
    if (bits_of(half_of(down->data, (n - 1) * T->panel + c, 1))) fail("the last row's partner is not 0");
}

static void check_round_tile(trial t, result *out) {
  const fm_pairs *P = pairs_under_test(t.at[PAIRS]);
  (void)out;
  if (skip_if(!P || t.columns > T->panel || t.rows > T->panel)) return;
  const ptrdiff_t high = (t.rows + 1) / 2, wide = (t.columns + 1) / 2;
  const matrix m = new_matrix(t.rows, t.columns);
  array *down = new_reals(high * T->panel), *transposed = new_reals(wide * T->panel);
  fill(m, ordinary);
  put_numbers(m);
  allow(down, 0, high * T->panel);
  for (ptrdiff_t r = 0; r < wide; r++) allow(transposed, r * T->panel, t.rows);
  seal_all();
  P->round_tile(t.rows, t.columns, panel_of(m, 0), down->data, transposed->data);
  check_all();
  for (ptrdiff_t r = 0; r < t.rows; r++)
    for (ptrdiff_t c = 0; c < 2 * wide; c++) {
      const float right = c < t.columns ? nearest((float)at(m, r, c)) : 0.0f;
      if (bits_of(half_of(transposed->data, c / 2 * T->panel + r, (int)(c % 2))) != bits_of(right))
        fail("in the transpose");
      if (c < t.columns && bits_of(half_of(down->data, r / 2 * T->panel + c, (int)(r % 2))) != bits_of(right))
        fail("down a column");
    }
}

/* Factors whose products, and sums of them, are ordinary, or near where floats become denormal, or overflow. */
static double factor(void) {
  switch (below(6)) {
    case 0: return ldexp(uniform(-1, 1), -62 - (int)below(10));
    case 1: return ldexp(uniform(-1, 1), 60 + (int)below(8));
    case 2: return 0.0;
    default: return uniform(-1, 1);
  }
}

static double tiny(void) {
  return below(3) == 0 ? copysign(0x1p-126, uniform(-1, 1)) : ldexp(uniform(-1, 1), -120 - (int)below(12));
}

/* a b + c with one rounding to 24 bits, whatever the exponent; then what is below the least normal number is 0. */
static float flushed(float a, float b, float c) {
  const float sum = fmaf(a, b, c);
  if (fabsf(sum) > 0x1p-125f || sum != sum) return sum;
  const float scaled = fmaf(a * 0x1p60f, b, c * 0x1p60f);
  return fabsf(scaled) < 0x1p-66f ? copysignf(0, scaled) : sum;
}

static float at_pair(matrix m, ptrdiff_t r, ptrdiff_t c) {
  return r < m.rows && c < m.columns ? (float)at(m, r, c) : 0;
}

/* Sums begin with the second of the first pair's products. */
static void expect_pairs(matrix a, int transposed, matrix b, matrix start, matrix c, int accumulate, ptrdiff_t k) {
  for (ptrdiff_t i = 0; i < c.rows; i++)
    for (ptrdiff_t j = 0; j < c.columns; j++) {
      float sum = accumulate ? (float)at(start, i, j) : 0.0f;
      for (ptrdiff_t p = 0; p < k; p += 2)
        for (ptrdiff_t q = p + 1; q >= p; q--) {
          const float left = transposed ? at_pair(a, q, i) : at_pair(a, i, q);
          sum = flushed(left, at_pair(b, q, j), sum);
        }
      expect(at(c, i, j), (double)sum);
    }
}

/* Already rounded, so that plain C can take the matrix itself. */
static void fill_rounded(matrix m, double (*value)(void)) {
  fill(m, value);
  for (ptrdiff_t r = 0; r < m.rows; r++)
    for (ptrdiff_t c = 0; c < m.columns; c++)
      put(block_of(m, c / T->panel, r), c % T->panel, nearest((float)at(m, r, c)));
}

static void fill_start(matrix m) {
  fill(m, tiny);
  for (ptrdiff_t r = 0; r < m.rows; r++)
    for (ptrdiff_t c = 0; c < m.columns; c++)
      if (fabs(at(m, r, c)) < 0x1p-126) put(block_of(m, c / T->panel, r), c % T->panel, 0.0);
}

/* Pairs of a whole matrix: panels `n` words apart. */
static array *rounded_matrix(const fm_pairs *P, matrix m, int along, ptrdiff_t *n) {
  *n = along ? m.rows * T->panel / 2 : (m.rows + 1) / 2 * T->panel;
  array *a = new_reals(m.panels * *n);
  for (ptrdiff_t p = 0; p < m.panels; p++) {
    void *to = a->data + (size_t)(p * *n * T->itemsize);
    P->round_rows(m.rows, width_of(m, p), panel_of(m, p), along ? to : NULL, along ? NULL : to);
  }
  return a;
}

static void *words(const array *a, ptrdiff_t first) { return a->data + (size_t)(first * T->itemsize); }

/* An eighth of the shapes, of which there are many for so many tables. */
static int left_out(trial t) { return (t.rows + t.k + t.columns) % 8 != 0; }

static void multiply(trial t, int few, result *out) {
  const fm_pairs *P = pairs_under_test(t.at[PAIRS]);
  const int accumulate = t.at[ACCUMULATE];
  ptrdiff_t an, bn;
  if (skip_if(!P || (few ? t.rows > 3 : left_out(t)))) return;
  const matrix a = new_matrix(t.rows, t.k), b = new_matrix(t.k, t.columns), c = new_matrix(t.rows, t.columns);
  const matrix start = new_matrix(t.rows, t.columns);
  fill_rounded(a, factor);
  fill_rounded(b, factor);
  fill_start(start);
  if (accumulate) copy_matrix(c, start);
  const array *left = rounded_matrix(P, a, 1, &an), *right = rounded_matrix(P, b, 0, &bn);
  allow_matrix(c, c.panels * T->panel);
  seal_all();
  if (few)
    P->gemm_few(t.rows, (t.k + 1) / 2, left->data, an, right->data, bn, b.panels, accumulate, panel_of(c, 0), c.stride);
  for (ptrdiff_t p = 0; !few && p < b.panels; p++)
    P->gemm_rows(t.rows, (t.k + 1) / 2, left->data, an, words(right, p * bn), vectors_of(b, p), accumulate,
                 panel_of(c, p));
  check_all();
  check_padding(c, c.panels * T->panel);
  expect_pairs(a, 0, b, start, c, accumulate, t.k);
  append_matrix(out, c);
}

static void check_rows(trial t, result *out) { multiply(t, 0, out); }
static void check_few(trial t, result *out) { multiply(t, 1, out); }

static void check_columns(trial t, result *out) {
  const fm_pairs *P = pairs_under_test(t.at[PAIRS]);
  const int accumulate = t.at[ACCUMULATE];
  ptrdiff_t an, bn;
  if (skip_if(!P || left_out(t))) return;
  const matrix a = new_matrix(t.k, t.rows), b = new_matrix(t.k, t.columns), c = new_matrix(t.rows, t.columns);
  const matrix start = new_matrix(t.rows, t.columns);
  fill_rounded(a, factor);
  fill_rounded(b, factor);
  fill_start(start);
  if (accumulate) copy_matrix(c, start);
  const array *left = rounded_matrix(P, a, 0, &an), *right = rounded_matrix(P, b, 0, &bn);
  allow_matrix(c, c.panels * T->panel);
  seal_all();
  for (ptrdiff_t p = 0; p < a.panels; p++)
    for (ptrdiff_t q = 0; q < b.panels; q++)
      P->gemm_columns(width_of(a, p), (t.k + 1) / 2, words(left, p * an), words(right, q * bn), vectors_of(b, q),
                      accumulate, block_of(c, q, p * T->panel));
  check_all();
  check_padding(c, c.panels * T->panel);
  expect_pairs(a, 1, b, start, c, accumulate, t.k);
  append_matrix(out, c);
}

/* Single sums where what is denormal is decided by the last bit: a product beside the least normal number. */
static void check_limits(trial t, result *out) {
  const fm_pairs *P = pairs_under_test(t.at[PAIRS]);
  if (skip_if(!P)) return;
  for (int exponent = -156; exponent < -146; exponent++)
    for (int mantissa = 128; mantissa < 256; mantissa += 1 + (int)(t.columns % 3)) {
      const float small = (float)ldexp(mantissa, exponent + 60 - 7), scale = -0x1p-60f, start = 0x1p-126f;
      const uint32_t pair[2] = {bits_of(nearest(small)) & 0xFFFF0000u, bits_of(scale) & 0xFFFF0000u};
      float a[64] = {0}, b[64] = {0}, c[64] = {0};
      memcpy(&a[0], &pair[0], 4);
      memcpy(&b[0], &pair[1], 4);
      c[0] = start;
      P->gemm_rows(1, 1, a, 0, b, 1, 1, c);
      expect((double)c[0], (double)flushed(small, scale, start));
      append(out, (double)c[0]);
    }
}

static void check_dot_loop(trial t, result *out) {
  const fm_pairs *P = pairs_under_test(t.at[PAIRS]);
  (void)out;
  if (skip_if(!P)) return;
  array *sink = new_reals(2 * T->lanes);
  for (ptrdiff_t i = 0; i < 2 * T->lanes; i++) put(sink->data, i, 0.0);
  allow(sink, 0, 2 * T->lanes);
  seal_all();
  const double flops = P->dot_loop(t.rows, sink->data);
  check_all();
  expect(flops, (double)(t.rows * T->tile_rows * T->panel * 4));
}

#define BY_WAY \
  { "", 2, way_of }

int main(void) {
  static const check CHECKS[] = {
      {"round_rows", check_round_rows, 2, {BY_WAY}},
      {"round_tile", check_round_tile, 2, {BY_WAY}},
      {"pairs gemm_rows", check_rows, 3, {BY_WAY, {"accumulate", 2, NULL}}},
      {"pairs gemm_few", check_few, 3, {BY_WAY, {"accumulate", 2, NULL}}},
      {"pairs gemm_columns", check_columns, 3, {BY_WAY, {"accumulate", 2, NULL}}},
      {"pairs near the least normal number", check_limits, 1, {BY_WAY}},
      {"dot_loop", check_dot_loop, 1, {BY_WAY}},
  };
  return run_checks(CHECKS, sizeof CHECKS / sizeof *CHECKS);
}
