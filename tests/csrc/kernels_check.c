/* Every kernel of every table that this processor can run, on ragged sizes, against the scalar table bit for bit and,
 * where a few lines of C can say what is right, against those. All memory a kernel sees lies between poisoned margins,
 * gaps and guard rows that must stay as they were (after dav1d's checkasm). Includes kernels.h and the C library only.
 *
 * Panels are as wide as the ISA likes, so results are compared row-major, after unpack. Under AddressSanitizer the
 * margins shrink to nothing and every buffer ends where its allocation ends, so reads are checked too. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

#if defined(__SANITIZE_ADDRESS__)
enum { MARGIN = 0, GUARD_ROWS = 0, GAP = 0 };
#else
enum { MARGIN = 256, GUARD_ROWS = 3, GAP = 5 }; /* bytes, rows, elements */
#endif
enum { MAX_ARRAYS = 16, ALIGNMENT = 64 };

static const fm_kernels *T; /* the table under test */
static const char *what;    /* the kernel under test */
static long passed, failed;
static int spoiled; /* whether the running check has already been counted as failed */

static void fail(const char *how) {
  if (spoiled) return;
  spoiled = 1;
  if (++failed <= 20) printf("FAILED %s %s %s: %s\n", T->isa, T->dtype, what, how);
}

/* Random numbers: the same for every table, since each run of a check starts from the check's own seed. ---------- */

static uint64_t random_state;

static uint64_t random_bits(void) { /* splitmix64 */
  uint64_t z = random_state += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

static double uniform(double low, double high) {
  return low + (high - low) * ((double)(random_bits() >> 11) * 0x1p-53);
}

static ptrdiff_t below(ptrdiff_t n) { return (ptrdiff_t)(random_bits() % (uint64_t)n); }

/* Mostly ordinary numbers; now and then what breaks a kernel. */
static double awkward(void) {
  static const double SPECIAL[] = {0.0,       -0.0, INFINITY, -INFINITY, NAN,    1.0,   -1.0,   0x1p-149, -0x1p-149,
                                   0x1p-126,  88.8, -88.8,    104.0,     -104.0, 709.9, -746.0, 1e30,     -1e30,
                                   0x1p-1074, 0.5,  -0.5,     1e-5,      -1e-5,  20.0,  -20.0};
  const ptrdiff_t kind = below(8);
  if (kind == 0) return SPECIAL[below((ptrdiff_t)(sizeof SPECIAL / sizeof *SPECIAL))];
  if (kind == 1) return ldexp(uniform(-1, 1), (int)below(200) - 100);
  return uniform(-6, 6);
}

/* Guarded memory. ------------------------------------------------------------------------------------------------- */

typedef struct {
  unsigned char *memory, *before, *writable, *data;
  size_t bytes, item;
} array;

static array arrays[MAX_ARRAYS];
static int n_arrays;

static void *allocate(size_t bytes) {
  void *p = malloc(bytes ? bytes : 1);
  if (!p) {
    puts("out of memory");
    exit(2);
  }
  return p;
}

static array *new_array(ptrdiff_t n, size_t item) {
  if (n_arrays == MAX_ARRAYS) abort();
  array *a = &arrays[n_arrays++];
  a->item = item;
  a->bytes = (size_t)n * item + 2 * MARGIN;
  a->memory = allocate(a->bytes);
  a->before = allocate(a->bytes);
  a->writable = allocate(a->bytes);
  a->data = a->memory + MARGIN;
  memset(a->writable, 0, a->bytes);
  memset(a->memory, 0xA5, a->bytes);
  for (size_t i = 0; item >= 4 && i < a->bytes / 4; i++) { /* a NaN, in either dtype */
    static const uint32_t POISON = 0x7FFCBAD0u;
    memcpy(a->memory + 4 * i, &POISON, 4);
  }
  return a;
}

static void allow(array *a, ptrdiff_t first, ptrdiff_t n) {
  memset(a->writable + MARGIN + (size_t)first * a->item, 1, (size_t)n * a->item);
}

static void seal_all(void) {
  for (int i = 0; i < n_arrays; i++) memcpy(arrays[i].before, arrays[i].memory, arrays[i].bytes);
}

static void check_all(void) {
  for (int i = 0; i < n_arrays; i++) {
    const array *a = &arrays[i];
    for (size_t j = 0; j < a->bytes; j++)
      if (!a->writable[j] && a->memory[j] != a->before[j]) {
        fail("wrote where it may not");
        break;
      }
  }
}

static void free_all(void) {
  for (; n_arrays > 0; n_arrays--) {
    const array *a = &arrays[n_arrays - 1];
    free(a->memory);
    free(a->before);
    free(a->writable);
  }
}

static double get(const void *data, ptrdiff_t i) {
  return T->itemsize == 4 ? (double)((const float *)data)[i] : ((const double *)data)[i];
}

static void put(void *data, ptrdiff_t i, double x) {
  if (T->itemsize == 4)
    ((float *)data)[i] = (float)x;
  else
    ((double *)data)[i] = x;
}

static array *new_reals(ptrdiff_t n) { return new_array(n, (size_t)T->itemsize); }

/* Matrices in panels, with guard rows above and below each panel and a gap after it. ------------------------------- */

typedef struct {
  array *memory;
  ptrdiff_t rows, columns, panels, stride;
} matrix;

static ptrdiff_t round_up(ptrdiff_t n, ptrdiff_t unit) { return (n + unit - 1) / unit * unit; }

static matrix new_matrix(ptrdiff_t rows, ptrdiff_t columns) {
  matrix m = {NULL, rows, columns, round_up(columns, T->panel) / T->panel, 0};
  m.stride = (rows + 2 * GUARD_ROWS) * T->panel + GAP;
  m.memory = new_reals(m.panels * m.stride);
  return m;
}

/* Where panel p of the matrix begins. */
static void *panel_of(matrix m, ptrdiff_t p) {
  return m.memory->data + (size_t)((p * m.stride + GUARD_ROWS * T->panel) * T->itemsize);
}

static void *block_of(matrix m, ptrdiff_t p, ptrdiff_t row) {
  return (unsigned char *)panel_of(m, p) + (size_t)(row * T->panel * T->itemsize);
}

static ptrdiff_t width_of(matrix m, ptrdiff_t p) {
  return m.columns - p * T->panel < T->panel ? m.columns - p * T->panel : T->panel;
}

static int vectors_of(matrix m, ptrdiff_t p) { return width_of(m, p) > T->lanes ? 2 : 1; }

/* A kernel may write all rows of the first `columns` columns, up to whole vectors. */
static void allow_matrix(matrix m, ptrdiff_t columns) {
  const ptrdiff_t end = round_up(columns, T->lanes);
  for (ptrdiff_t p = 0; p < m.panels; p++)
    for (ptrdiff_t r = 0; r < m.rows; r++) {
      const ptrdiff_t width = end - p * T->panel < T->panel ? end - p * T->panel : T->panel;
      if (width > 0) allow(m.memory, p * m.stride + (GUARD_ROWS + r) * T->panel, width);
    }
}

static double at(matrix m, ptrdiff_t r, ptrdiff_t c) { return get(block_of(m, c / T->panel, r), c % T->panel); }

/* Values row by row, the same for every table; the padding is zero. */
static void fill(matrix m, double (*value)(void)) {
  for (ptrdiff_t r = 0; r < m.rows; r++)
    for (ptrdiff_t c = 0; c < m.panels * T->panel; c++)
      put(block_of(m, c / T->panel, r), c % T->panel, c < m.columns ? value() : 0.0);
}

/* Outputs leave the padding as their activation made it: f(0) need not be 0. */
static void dirty_padding(matrix m) {
  const uint64_t state = random_state; /* each ISA has its own amount of padding, and all go on from here alike */
  for (ptrdiff_t r = 0; r < m.rows; r++)
    for (ptrdiff_t c = m.columns; c < m.panels * T->panel; c++)
      put(block_of(m, c / T->panel, r), c % T->panel, uniform(0.5, 1));
  random_state = state;
}

static double ordinary(void) { return uniform(-1, 1); }
static double share(void) { return uniform(0, 1); }

/* Padding that is written must be zero, or products would carry it into their results. */
static void check_padding(matrix m, ptrdiff_t columns) {
  for (ptrdiff_t r = 0; r < m.rows; r++)
    for (ptrdiff_t c = m.columns; c < columns; c++)
      if (at(m, r, c) != 0) fail("padding is not zero");
}

/* Results: bits, appended by the run of each table and then compared. ---------------------------------------------- */

typedef struct {
  uint64_t *bits;
  ptrdiff_t n, room;
} result;

static void append_bits(result *out, uint64_t bits) {
  if (out->n == out->room) {
    out->room = out->room ? 2 * out->room : 1024;
    out->bits = realloc(out->bits, (size_t)out->room * sizeof *out->bits);
    if (!out->bits) exit(2);
  }
  out->bits[out->n++] = bits;
}

/* float to double is exact, so doubles stand for both dtypes; one NaN is as good as another. */
static void append(result *out, double x) {
  uint64_t bits = 0x7FF8000000000000u;
  if (x == x) memcpy(&bits, &x, sizeof bits);
  append_bits(out, bits);
}

static void append_matrix(result *out, matrix m) {
  for (ptrdiff_t r = 0; r < m.rows; r++)
    for (ptrdiff_t c = 0; c < m.columns; c++) append(out, at(m, r, c));
}

static void append_array(result *out, const array *a, ptrdiff_t n) {
  for (ptrdiff_t i = 0; i < n; i++) append(out, get(a->data, i));
}

static void expect(double got, double right) {
  if (got != right && !(got != got && right != right)) fail("differs from plain C");
}

/* The checks: each runs one kernel of table T on one shape and appends its results. `variant` counts up what else is to
 * be varied, the enum entry first. ----------------------------------------------------------------------------------
 */

typedef struct {
  ptrdiff_t rows, k, columns;
  int variant;
} shape;

static double fused(double a, double b, double c) {
  return T->itemsize == 4 ? (double)fmaf((float)a, (float)b, (float)c) : fma(a, b, c);
}

/* Sums run k = 0, 1, 2, ..., one fused multiply-add each, whatever the ISA. */
static void expect_product(matrix a, int a_transposed, matrix b, matrix start, matrix c, int accumulate) {
  for (ptrdiff_t i = 0; i < c.rows; i++)
    for (ptrdiff_t j = 0; j < c.columns; j++) {
      double sum = accumulate ? at(start, i, j) : 0.0;
      for (ptrdiff_t k = 0; k < b.rows; k++) sum = fused(a_transposed ? at(a, k, i) : at(a, i, k), at(b, k, j), sum);
      expect(at(c, i, j), sum);
    }
}

static void copy_matrix(matrix to, matrix from) {
  for (ptrdiff_t p = 0; p < to.panels; p++)
    memcpy(panel_of(to, p), panel_of(from, p), (size_t)(to.rows * T->panel * T->itemsize));
}

static void check_gemm_rows(shape s, result *out) {
  const int accumulate = s.variant;
  const matrix a = new_matrix(s.rows, s.k), b = new_matrix(s.k, s.columns), c = new_matrix(s.rows, s.columns);
  const matrix start = new_matrix(s.rows, s.columns);
  fill(a, ordinary);
  fill(b, ordinary);
  fill(start, ordinary);
  if (accumulate) copy_matrix(c, start);
  allow_matrix(c, c.panels * T->panel);
  seal_all();
  for (ptrdiff_t p = 0; p < b.panels; p++)
    T->gemm_rows(s.rows, s.k, panel_of(a, 0), a.stride, panel_of(b, p), vectors_of(b, p), accumulate, panel_of(c, p));
  check_all();
  check_padding(c, c.panels * T->panel);
  expect_product(a, 0, b, start, c, accumulate);
  append_matrix(out, c);
}

static void check_gemm_few(shape s, result *out) {
  const int accumulate = s.variant;
  if (s.rows > 3) return;
  const matrix a = new_matrix(s.rows, s.k), b = new_matrix(s.k, s.columns), c = new_matrix(s.rows, s.columns);
  const matrix start = new_matrix(s.rows, s.columns);
  fill(a, ordinary);
  fill(b, ordinary);
  fill(start, ordinary);
  if (accumulate) copy_matrix(c, start);
  allow_matrix(c, c.panels * T->panel);
  seal_all();
  T->gemm_few(s.rows, s.k, panel_of(a, 0), a.stride, panel_of(b, 0), b.stride, b.panels, accumulate, panel_of(c, 0),
              c.stride);
  check_all();
  check_padding(c, c.panels * T->panel);
  expect_product(a, 0, b, start, c, accumulate);
  append_matrix(out, c);
}

/* c (rows x columns) = a^T b with k rows in both: each panel of a gives a block of rows of c. */
static void check_gemm_columns(shape s, result *out) {
  const int accumulate = s.variant;
  const matrix a = new_matrix(s.k, s.rows), b = new_matrix(s.k, s.columns), c = new_matrix(s.rows, s.columns);
  const matrix start = new_matrix(s.rows, s.columns);
  fill(a, ordinary);
  fill(b, ordinary);
  fill(start, ordinary);
  if (accumulate) copy_matrix(c, start);
  allow_matrix(c, c.panels * T->panel);
  seal_all();
  for (ptrdiff_t p = 0; p < a.panels; p++)
    for (ptrdiff_t q = 0; q < b.panels; q++)
      T->gemm_columns(width_of(a, p), s.k, panel_of(a, p), panel_of(b, q), vectors_of(b, q), accumulate,
                      block_of(c, q, p * T->panel));
  check_all();
  check_padding(c, c.panels * T->panel);
  expect_product(a, 1, b, start, c, accumulate);
  append_matrix(out, c);
}

/* The fixed tree of sums along a row: FM_REDUCE_LANES interleaved partial sums, then halves added to halves. */
static double rounded(double x) { return T->itemsize == 4 ? (double)(float)x : x; }

static double tree(double *lane) {
  for (int half = FM_REDUCE_LANES / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) lane[i] = rounded(lane[i] + lane[i + half]);
  return lane[0];
}

/* c (rows x columns) = a (rows x k) times the transpose of b (columns x k). */
static void check_gemm_dots(shape s, result *out) {
  if (s.columns > FM_DOT_COLUMNS) return;
  const matrix a = new_matrix(s.rows, s.k), b = new_matrix(s.columns, s.k), c = new_matrix(s.rows, s.columns);
  fill(a, ordinary);
  fill(b, ordinary);
  dirty_padding(a);
  dirty_padding(b);
  allow_matrix(c, c.panels * T->panel);
  seal_all();
  for (ptrdiff_t p = 0; p < c.panels; p++)
    T->gemm_dots(s.rows, s.k, panel_of(a, 0), a.stride, block_of(b, 0, p * T->panel), b.stride, width_of(c, p),
                 panel_of(c, p));
  check_all();
  check_padding(c, c.panels * T->panel);
  for (ptrdiff_t i = 0; i < s.rows; i++)
    for (ptrdiff_t j = 0; j < s.columns; j++) {
      double lane[FM_REDUCE_LANES] = {0};
      for (ptrdiff_t k = 0; k < s.k; k++)
        lane[k % FM_REDUCE_LANES] = fused(at(a, i, k), at(b, j, k), lane[k % FM_REDUCE_LANES]);
      expect(at(c, i, j), tree(lane));
    }
  append_matrix(out, c);
}

static void check_sum_squares(shape s, result *out) {
  const matrix a = new_matrix(s.rows, s.columns);
  fill(a, ordinary);
  dirty_padding(a);
  seal_all();
  const double got = T->sum_squares(s.rows, s.columns, panel_of(a, 0), a.stride);
  check_all();
  double total = 0;
  for (ptrdiff_t r = 0; r < s.rows; r++) {
    double lane[FM_REDUCE_LANES] = {0};
    for (ptrdiff_t c = 0; c < s.columns; c++)
      lane[c % FM_REDUCE_LANES] = rounded(lane[c % FM_REDUCE_LANES] + rounded(at(a, r, c) * at(a, r, c)));
    total += tree(lane);
  }
  expect(got, total);
  append(out, got);
}

static void check_sum_rows(shape s, result *out) {
  const int accumulate = s.variant;
  const matrix b = new_matrix(s.rows, s.columns);
  fill(b, ordinary);
  const ptrdiff_t n = b.panels * T->panel;
  array *sums = new_reals(n);
  for (ptrdiff_t c = 0; accumulate && c < n; c++) put(sums->data, c, c < s.columns ? ordinary() : 0.0);
  allow(sums, 0, n);
  seal_all();
  T->sum_rows(s.rows, b.panels, panel_of(b, 0), b.stride, accumulate, sums->data);
  check_all();
  for (ptrdiff_t c = s.columns; c < n; c++) expect(get(sums->data, c), 0.0);
  append_array(out, sums, s.columns);
}

static void check_add(shape s, result *out) {
  const ptrdiff_t used = s.rows * s.columns, n = (used + T->lanes - 1) / T->lanes * T->lanes;
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

static void check_activation_forward(shape s, result *out) {
  const int f = s.variant;
  const matrix z = new_matrix(s.rows, s.columns), bias = new_matrix(1, s.columns), c = new_matrix(s.rows, s.columns);
  fill(z, awkward);
  fill(bias, ordinary);
  copy_matrix(c, z);
  allow_matrix(c, s.columns);
  seal_all();
  for (ptrdiff_t p = 0; p < c.panels; p++)
    T->activation[f].forward(s.rows, vectors_of(c, p), panel_of(bias, p), 0.3, panel_of(c, p));
  check_all();
  for (ptrdiff_t r = 0; r < s.rows; r++)
    for (ptrdiff_t j = 0; j < s.columns; j++)
      if (isnan(at(z, r, j)) && !isnan(at(c, r, j))) fail("lost a NaN");
  append_matrix(out, c);
}

static void check_activation_backward(shape s, result *out) {
  const int f = s.variant;
  const matrix d = new_matrix(s.rows, s.columns), a = new_matrix(s.rows, s.columns);
  fill(d, ordinary);
  fill(a, awkward);
  allow_matrix(d, s.columns);
  seal_all();
  for (ptrdiff_t p = 0; p < d.panels; p++)
    T->activation[f].backward(s.rows, vectors_of(d, p), panel_of(a, p), 0.3, panel_of(d, p));
  check_all();
  append_matrix(out, d);
}

static void check_softmax_forward(shape s, result *out) {
  const matrix a = new_matrix(s.rows, s.columns);
  fill(a, s.variant ? awkward : ordinary);
  allow_matrix(a, s.columns);
  seal_all();
  T->softmax_forward(s.rows, s.columns, panel_of(a, 0), a.stride);
  check_all();
  append_matrix(out, a);
}

static void check_softmax_backward(shape s, result *out) {
  const matrix a = new_matrix(s.rows, s.columns), d = new_matrix(s.rows, s.columns);
  fill(a, share);
  fill(d, s.variant ? awkward : ordinary);
  allow_matrix(d, s.columns);
  seal_all();
  T->softmax_backward(s.rows, s.columns, panel_of(a, 0), a.stride, panel_of(d, 0), d.stride);
  check_all();
  if (!s.variant) check_padding(d, round_up(s.columns, T->lanes));
  append_matrix(out, d);
}

static void check_loss(shape s, result *out) {
  const int loss = s.variant / 8, clip = s.variant / 4 % 2, awkwardly = s.variant / 2 % 2, by_label = s.variant % 2;
  const fm_loss_kernel kernel = clip ? T->clipped_loss[loss] : T->loss[loss];
  const matrix a = new_matrix(s.rows, s.columns), d = new_matrix(s.rows, s.columns);
  const matrix target = new_matrix(s.rows, s.columns);
  /* Only a loss of class probabilities takes labels. */
  if (by_label && strcmp(fm_loss_output(loss), "softmax") != 0) return;
  array *labels = new_array(s.rows, sizeof(int32_t)), *scale = new_reals(s.rows);
  array *row_loss = new_array(s.rows, sizeof(double));
  fill(a, awkwardly ? awkward : ordinary);
  fill(target, share);
  dirty_padding(a);
  for (ptrdiff_t r = 0; r < s.rows; r++) {
    ((int32_t *)(void *)labels->data)[r] = (int32_t)below(s.columns);
    put(scale->data, r, share());
  }
  allow_matrix(a, s.columns);
  allow_matrix(d, s.columns);
  allow(row_loss, 0, s.rows);
  seal_all();
  kernel(s.rows, s.columns, panel_of(a, 0), a.stride, by_label ? NULL : panel_of(target, 0), target.stride,
         by_label ? (const int32_t *)(const void *)labels->data : NULL, scale->data, panel_of(d, 0), d.stride,
         (double *)(void *)row_loss->data);
  check_all();
  if (!awkwardly) check_padding(d, round_up(s.columns, T->lanes));
  append_matrix(out, a);
  append_matrix(out, d);
  for (ptrdiff_t r = 0; r < s.rows; r++) append(out, ((double *)(void *)row_loss->data)[r]);
}

/* A step's scalars are drawn at random; every other variant sets one of them to zero, since rules branch on that. */
static void check_optimizer(shape s, result *out) {
  enum { LANES_OF_ALL = 16 };
  const int rule = s.variant / (FM_MAX_SCALARS + 1), zeroed = s.variant % (FM_MAX_SCALARS + 1) - 1;
  const ptrdiff_t n = s.rows * LANES_OF_ALL;
  array *w = new_reals(n), *g = new_reals(n), *state[2] = {NULL, NULL};
  double scalars[FM_MAX_SCALARS];
  for (int i = 0; i < FM_MAX_SCALARS; i++) scalars[i] = i == zeroed ? 0.0 : uniform(1e-3, 1);
  for (ptrdiff_t i = 0; i < n; i++) {
    put(w->data, i, ordinary());
    put(g->data, i, ordinary());
  }
  allow(w, 0, n);
  for (int i = 0; i < fm_optimizer_states(rule); i++) {
    state[i] = new_reals(n);
    for (ptrdiff_t j = 0; j < n; j++) put(state[i]->data, j, share());
    allow(state[i], 0, n);
  }
  seal_all();
  T->optimizer[rule](n, w->data, g->data, state[0] ? state[0]->data : NULL, state[1] ? state[1]->data : NULL, scalars);
  check_all();
  append_array(out, w, n);
  for (int i = 0; i < fm_optimizer_states(rule); i++) append_array(out, state[i], n);
}

static ptrdiff_t size_of_source(int source) {
#define FM_SIZE(name, type) sizeof(type),
  static const size_t SIZES[] = {FM_SOURCES(FM_SIZE)};
#undef FM_SIZE
  return (ptrdiff_t)SIZES[source];
}

/* What the source holds at p, in plain C; float16 by its definition. */
static double source_value(int source, const unsigned char *p) {
  if (source == FM_SOURCE_float16) {
    uint16_t half;
    memcpy(&half, p, sizeof half);
    const int exponent = half >> 10 & 31, fraction = half & 1023;
    const double magnitude = exponent == 31  ? (fraction ? NAN : INFINITY)
                             : exponent == 0 ? ldexp(fraction, -24)
                                             : ldexp(1024 + fraction, exponent - 25);
    return half >> 15 ? -magnitude : magnitude;
  }
#define FM_VALUE(name, type)                                        \
  if (source == FM_SOURCE_##name) {                                 \
    type value;                                                     \
    memcpy(&value, p, sizeof value);                                \
    return T->itemsize == 4 ? (double)(float)value : (double)value; \
  }
  FM_SOURCES(FM_VALUE)
#undef FM_VALUE
  abort();
}

/* A strided matrix of any source: variants are contiguous, columns apart at odd addresses, and both strides negative.
 */
typedef struct {
  array *memory;
  unsigned char *first;
  ptrdiff_t row_stride, column_stride;
} strided;

static strided new_strided(int source, ptrdiff_t rows, ptrdiff_t columns, int layout) {
  const ptrdiff_t item = size_of_source(source), column_stride = layout == 0 ? item : item + 1;
  const ptrdiff_t row_stride = columns * column_stride + (layout == 0 ? 0 : 3);
  strided x = {new_array(rows * row_stride, 1), NULL, row_stride, column_stride};
  for (size_t i = MARGIN; i < x.memory->bytes - MARGIN; i++) x.memory->memory[i] = (unsigned char)random_bits();
  x.first = x.memory->data;
  for (ptrdiff_t r = 0; r < rows; r++)
    for (ptrdiff_t c = 0; c < columns; c++) { /* random bits are mostly huge or tiny: half of the floats ordinary */
      unsigned char *p = x.first + r * row_stride + c * column_stride;
      const double d = uniform(-9, 9);
      const float f = (float)d;
      if (random_bits() & 1) continue;
      if (source == FM_SOURCE_float64) memcpy(p, &d, sizeof d);
      if (source == FM_SOURCE_float32) memcpy(p, &f, sizeof f);
    }
  if (layout == 2) {
    x.first += (rows - 1) * row_stride + (columns - 1) * column_stride;
    x.row_stride = -row_stride;
    x.column_stride = -column_stride;
  }
  return x;
}

static void check_gather(shape s, result *out) {
  const int source = s.variant / 6, layout = s.variant / 2 % 3, ordered = s.variant % 2;
  const ptrdiff_t rows = 2 * s.rows + 1; /* of the source */
  const strided x = new_strided(source, rows, s.columns, layout);
  const ptrdiff_t more = ordered ? 3 : 0, ahead = ordered && layout == 0 ? 2 : 0;
  array *order = new_array(s.rows + more, sizeof(int64_t));
  for (ptrdiff_t r = 0; r < s.rows + more; r++) ((int64_t *)(void *)order->data)[r] = below(rows);
  const matrix m = new_matrix(s.rows, s.columns);
  for (ptrdiff_t p = 0; p < m.panels; p++)
    for (ptrdiff_t r = 0; r < s.rows; r++) allow(m.memory, p * m.stride + (GUARD_ROWS + r) * T->panel, width_of(m, p));
  seal_all();
  T->gather[source](s.rows, s.columns, ordered ? (const int64_t *)(const void *)order->data : NULL, s.rows + more,
                    ahead, x.first, x.row_stride, x.column_stride, panel_of(m, 0), m.stride);
  check_all();
  for (ptrdiff_t r = 0; r < s.rows; r++)
    for (ptrdiff_t c = 0; c < s.columns; c++) {
      const ptrdiff_t from = ordered ? (ptrdiff_t)((int64_t *)(void *)order->data)[r] : r;
      expect(at(m, r, c), source_value(source, x.first + from * x.row_stride + c * x.column_stride));
    }
  append_matrix(out, m);
}

/* Every float16 there is. */
static void check_gather_halves(shape s, result *out) {
  enum { SIDE = 256 };
  (void)s;
  array *x = new_array(SIDE * SIDE, sizeof(uint16_t));
  for (int i = 0; i < SIDE * SIDE; i++) ((uint16_t *)(void *)x->data)[i] = (uint16_t)i;
  const matrix m = new_matrix(SIDE, SIDE);
  allow_matrix(m, SIDE);
  seal_all();
  T->gather[FM_SOURCE_float16](SIDE, SIDE, NULL, SIDE, 0, x->data, SIDE * 2, 2, panel_of(m, 0), m.stride);
  check_all();
  for (ptrdiff_t i = 0; i < SIDE * SIDE; i++)
    expect(at(m, i / SIDE, i % SIDE), source_value(FM_SOURCE_float16, x->data + 2 * i));
  append_matrix(out, m);
}

static void check_finite(shape s, result *out) {
  const int source = s.variant / 3, layout = s.variant % 3;
  const strided x = new_strided(source, s.rows, s.columns, layout);
  seal_all();
  const int all = T->finite[source](s.rows, s.columns, x.first, x.row_stride, x.column_stride);
  check_all();
  int right = 1;
  for (ptrdiff_t r = 0; r < s.rows; r++)
    for (ptrdiff_t c = 0; c < s.columns; c++) {
      const unsigned char *p = x.first + r * x.row_stride + c * x.column_stride;
      /* Asked of the source itself: a large float64 becomes infinite in float32, and yet is finite. */
      if (source == FM_SOURCE_float64) {
        double d;
        memcpy(&d, p, sizeof d);
        right = right && isfinite(d);
      } else {
        right = right && isfinite(source_value(source, p));
      }
    }
  if (!all != !right) fail("differs from plain C");
  append_bits(out, (uint64_t)!all);
}

static void check_pack(shape s, result *out) {
  const ptrdiff_t row_stride = s.columns + (s.variant ? 3 : 0);
  array *in = new_reals(s.rows * row_stride), *back = new_reals(s.rows * row_stride);
  for (ptrdiff_t r = 0; r < s.rows; r++) {
    for (ptrdiff_t c = 0; c < s.columns; c++) put(in->data, r * row_stride + c, awkward());
    allow(back, r * row_stride, s.columns);
  }
  const matrix m = new_matrix(s.rows, s.columns);
  allow_matrix(m, m.panels * T->panel);
  seal_all();
  T->pack(s.rows, s.columns, in->data, row_stride, panel_of(m, 0), m.stride);
  T->unpack(s.rows, s.columns, panel_of(m, 0), m.stride, back->data, row_stride);
  check_all();
  check_padding(m, m.panels * T->panel);
  for (ptrdiff_t r = 0; r < s.rows; r++)
    for (ptrdiff_t c = 0; c < s.columns; c++) {
      expect(at(m, r, c), get(in->data, r * row_stride + c));
      expect(get(back->data, r * row_stride + c), get(in->data, r * row_stride + c));
    }
  append_matrix(out, m);
}

/* A whole matrix, one panel-sized block at a time. */
static void check_transpose(shape s, result *out) {
  const matrix in = new_matrix(s.rows, s.columns), turned = new_matrix(s.columns, s.rows);
  fill(in, awkward);
  for (ptrdiff_t p = 0; p < turned.panels; p++) /* no rounding up: a part of a block may touch its own part only */
    for (ptrdiff_t r = 0; r < turned.rows; r++)
      allow(turned.memory, p * turned.stride + (GUARD_ROWS + r) * T->panel, width_of(turned, p));
  seal_all();
  for (ptrdiff_t p = 0; p < in.panels; p++)
    for (ptrdiff_t q = 0; q < turned.panels; q++)
      T->transpose(width_of(turned, q), width_of(in, p), block_of(in, p, q * T->panel),
                   block_of(turned, q, p * T->panel));
  check_all();
  for (ptrdiff_t r = 0; r < s.rows; r++)
    for (ptrdiff_t c = 0; c < s.columns; c++) expect(at(turned, c, r), at(in, r, c));
  append_matrix(out, turned);
}

static void check_math(shape s, result *out) {
  const ptrdiff_t n = s.rows * s.columns;
  array *x = new_reals(n), *y = new_reals(n);
  for (ptrdiff_t i = 0; i < n; i++) put(x->data, i, awkward());
  allow(y, 0, n);
  seal_all();
  T->math[s.variant](n, x->data, y->data);
  check_all();
  append_array(out, y, n);
}

/* Blocks beyond 2^32, so that all words of the counter change. */
static void check_philox(shape s, result *out) {
  const ptrdiff_t blocks = s.rows * s.columns;
  array *words = new_array(4 * blocks, sizeof(uint32_t));
  allow(words, 0, 4 * blocks);
  seal_all();
  T->philox(0x9E3779B97F4A7C15u, 3, 7, 0xFFFFFFFFu, blocks, (uint32_t *)words->data);
  check_all();
  for (ptrdiff_t i = 0; i < 4 * blocks; i++) append_bits(out, ((const uint32_t *)words->data)[i]);
}

/* Its flops depend on the tile; what it must do is count them and keep to two vectors of memory. */
static void check_fma_loop(shape s, result *out) {
  (void)out;
  array *sink = new_reals(2 * T->lanes);
  for (ptrdiff_t i = 0; i < 2 * T->lanes; i++) put(sink->data, i, 0.0);
  allow(sink, 0, 2 * T->lanes);
  seal_all();
  const double flops = T->fma_loop(s.rows, sink->data);
  check_all();
  expect(flops, (double)(s.rows * T->tile_rows * T->panel * 2));
}

typedef struct {
  const char *name;
  void (*run)(shape, result *);
  int variants;
  const char *(*variant_name)(int); /* of the enum entry that a variant stands for */
  int per_name;                     /* variants for each */
  int sizes;                        /* 1: a single shape; 2: rows and columns; 3: k too */
} check;

static const check CHECKS[] = {
    {"gemm_rows", check_gemm_rows, 2, NULL, 1, 3},
    {"gemm_few", check_gemm_few, 2, NULL, 1, 3},
    {"gemm_columns", check_gemm_columns, 2, NULL, 1, 3},
    {"gemm_dots", check_gemm_dots, 1, NULL, 1, 3},
    {"sum_rows", check_sum_rows, 2, NULL, 1, 2},
    {"add", check_add, 1, NULL, 1, 2},
    {"sum_squares", check_sum_squares, 1, NULL, 1, 2},
    {"activation.forward", check_activation_forward, FM_ACTIVATION_COUNT, fm_activation_name, 1, 2},
    {"activation.backward", check_activation_backward, FM_ACTIVATION_COUNT, fm_activation_name, 1, 2},
    {"softmax_forward", check_softmax_forward, 2, NULL, 1, 2},
    {"softmax_backward", check_softmax_backward, 2, NULL, 1, 2},
    {"loss", check_loss, 8 * FM_LOSS_COUNT, fm_loss_name, 8, 2},
    {"optimizer", check_optimizer, (FM_MAX_SCALARS + 1) * FM_OPTIMIZER_COUNT, fm_optimizer_name, FM_MAX_SCALARS + 1, 2},
    {"gather", check_gather, 6 * FM_SOURCE_COUNT, fm_source_name, 6, 2},
    {"gather of all float16", check_gather_halves, 1, NULL, 1, 1},
    {"finite", check_finite, 3 * FM_SOURCE_COUNT, fm_source_name, 3, 2},
    {"pack, unpack", check_pack, 2, NULL, 1, 2},
    {"transpose", check_transpose, 1, NULL, 1, 2},
    {"philox", check_philox, 1, NULL, 1, 2},
    {"math", check_math, FM_MATH_COUNT, fm_math_name, 1, 2},
    {"fma_loop", check_fma_loop, 1, NULL, 1, 2},
};

static void run(const fm_kernels *table, const check *c, shape s, result *out) {
  T = table;
  out->n = 0;
  random_state = (uint64_t)s.rows << 40 ^ (uint64_t)s.k << 24 ^ (uint64_t)s.columns << 8 ^ (uint64_t)s.variant;
  c->run(s, out);
  free_all();
}

static void compare(const fm_kernels *table, const check *c, shape s, result *right, result *got) {
  char name[160];
  snprintf(name, sizeof name, "%s %s rows %td k %td columns %td variant %d", c->name,
           c->variant_name ? c->variant_name(s.variant / c->per_name) : "", s.rows, s.k, s.columns, s.variant);
  what = name;
  spoiled = 0;
  run(table, c, s, got);
  if (got->n != right->n) fail("another number of results");
  for (ptrdiff_t i = 0; i < got->n && i < right->n && !spoiled; i++)
    if (got->bits[i] != right->bits[i]) {
      char how[100];
      double a, b;
      memcpy(&a, &got->bits[i], sizeof a);
      memcpy(&b, &right->bits[i], sizeof b);
      snprintf(how, sizeof how, "result %td is %a, scalar has %a", i, a, b);
      fail(how);
    }
  if (!spoiled) passed++;
}

int main(void) {
  static const ptrdiff_t ROWS[] = {1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 33};
  static const ptrdiff_t STEPS[] = {1, 2, 5, 31, 33, 70};
  static const ptrdiff_t COLUMNS[] = {1, 2, 3, 7, 8, 9, 16, 17, 31, 32, 33, 47, 64, 70};
  const int n_rows = sizeof ROWS / sizeof *ROWS, n_steps = sizeof STEPS / sizeof *STEPS;
  const int n_columns = sizeof COLUMNS / sizeof *COLUMNS, n_checks = sizeof CHECKS / sizeof *CHECKS;
  result right = {NULL, 0, 0}, got = {NULL, 0, 0};

  for (int dtype = 0; dtype < FM_DTYPE_COUNT; dtype++) {
    const fm_kernels *scalar = NULL;
    for (int isa = 0; isa < fm_isa_count(); isa++)
      if (strcmp(fm_isa_name(isa), "scalar") == 0) scalar = fm_kernel_table(isa, dtype);
    if (!scalar) {
      puts("no scalar table");
      return 2;
    }
    for (int isa = 0; isa < fm_isa_count(); isa++)
      printf("%s %s: %s\n", fm_isa_name(isa), fm_dtype_name(dtype),
             fm_kernel_table(isa, dtype) ? "checked" : "this processor cannot run it");
    for (int i = 0; i < n_checks; i++) {
      const check *c = &CHECKS[i];
      for (int r = 0; r < (c->sizes >= 2 ? n_rows : 1); r++)
        for (int k = 0; k < (c->sizes >= 3 ? n_steps : 1); k++)
          for (int j = 0; j < (c->sizes >= 2 ? n_columns : 1); j++)
            for (int variant = 0; variant < c->variants; variant++) {
              const shape s = {ROWS[r], STEPS[k], COLUMNS[j], variant};
              what = c->name;
              spoiled = 1; /* scalar's own faults are counted when its turn comes */
              run(scalar, c, s, &right);
              for (int isa = 0; isa < fm_isa_count(); isa++) {
                const fm_kernels *table = fm_kernel_table(isa, dtype);
                if (table) compare(table, c, s, &right, &got);
              }
            }
    }
  }
  free(right.bits);
  free(got.bits);
  printf("%ld passed, %ld failed\n", passed, failed);
  return failed ? 1 : 0;
}
