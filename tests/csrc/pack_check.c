/* Between row-major matrices and panels: gather, finite, pack, unpack, transpose, against plain C and the scalar table.
 */
#include "guard.h"

enum { SOURCE, LAYOUT, ORDERED, SCALED }; /* the axes of what reads rows from outside */

static ptrdiff_t size_of_source(int source) {
#define FM_SIZE(name, type) sizeof(type),
  static const size_t SIZES[] = {FM_SOURCES(FM_SIZE)};
#undef FM_SIZE
  return (ptrdiff_t)SIZES[source];
}

/* What the source holds at p, in plain C; float16 by its definition. */
static double source_number(int source, const unsigned char *p) {
  if (source == FM_SOURCE_float16) {
    uint16_t half;
    memcpy(&half, p, sizeof half);
    const int exponent = half >> 10 & 31, fraction = half & 1023;
    const double magnitude = exponent == 31  ? (fraction ? NAN : INFINITY)
                             : exponent == 0 ? ldexp(fraction, -24)
                                             : ldexp(1024 + fraction, exponent - 25);
    return half >> 15 ? -magnitude : magnitude;
  }
#define FM_VALUE(name, type)         \
  if (source == FM_SOURCE_##name) {  \
    type value;                      \
    memcpy(&value, p, sizeof value); \
    return (double)value;            \
  }
  FM_SOURCES(FM_VALUE)
#undef FM_VALUE
  abort();
}

/* The same as the gather has it without a scale: rounded to the dtype. */
static double source_value(int source, const unsigned char *p) { return rounded(source_number(source, p)); }

/* A strided matrix of any source: contiguous, columns apart at odd addresses, or both strides negative. */
enum { CONTIGUOUS, APART, BACKWARDS, LAYOUTS };

static const char *layout_name(int layout) {
  static const char *const NAMES[] = {"contiguous", "apart", "backwards"};
  return NAMES[layout];
}

typedef struct {
  array *memory;
  unsigned char *first;
  ptrdiff_t row_stride, column_stride;
} strided;

static strided new_strided(int source, ptrdiff_t rows, ptrdiff_t columns, int layout) {
  const ptrdiff_t item = size_of_source(source), column_stride = layout == CONTIGUOUS ? item : item + 1;
  const ptrdiff_t row_stride = columns * column_stride + (layout == CONTIGUOUS ? 0 : 3);
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
  if (layout == BACKWARDS) {
    x.first += (rows - 1) * row_stride + (columns - 1) * column_stride;
    x.row_stride = -row_stride;
    x.column_stride = -column_stride;
  }
  return x;
}

static void check_gather(trial t, result *out) {
  const int source = t.at[SOURCE], layout = t.at[LAYOUT], ordered = t.at[ORDERED], scaled = t.at[SCALED];
  const ptrdiff_t rows = 2 * t.rows + 1; /* of the source */
  const strided x = new_strided(source, rows, t.columns, layout);
  const ptrdiff_t more = ordered ? 3 : 0, ahead = ordered && layout == CONTIGUOUS ? 2 : 0;
  array *order = new_array(t.rows + more, sizeof(int64_t));
  for (ptrdiff_t r = 0; r < t.rows + more; r++) ((int64_t *)(void *)order->data)[r] = below(rows);
  array *numbers = new_array(2 * t.columns, sizeof(double));
  double *shift = (double *)(void *)numbers->data, *scale = shift + t.columns;
  for (ptrdiff_t c = 0; c < t.columns; c++) {
    shift[c] = (double)below(1000) / 7;
    scale[c] = (double)(1 + below(1000)) / 300;
  }
  const matrix m = new_matrix(t.rows, t.columns);
  for (ptrdiff_t p = 0; p < m.panels; p++)
    for (ptrdiff_t r = 0; r < t.rows; r++) allow(m.memory, p * m.stride + (GUARD_ROWS + r) * T->panel, width_of(m, p));
  seal_all();
  T->gather[source](t.rows, t.columns, ordered ? (const int64_t *)(const void *)order->data : NULL, t.rows + more,
                    ahead, x.first, x.row_stride, x.column_stride, scaled ? shift : NULL, scaled ? scale : NULL,
                    panel_of(m, 0), m.stride);
  check_all();
  for (ptrdiff_t r = 0; r < t.rows; r++)
    for (ptrdiff_t c = 0; c < t.columns; c++) {
      const ptrdiff_t from = ordered ? (ptrdiff_t)((int64_t *)(void *)order->data)[r] : r;
      const double value = source_number(source, x.first + from * x.row_stride + c * x.column_stride);
      expect(at(m, r, c), rounded(scaled ? (value - shift[c]) * scale[c] : value));
    }
  append_matrix(out, m);
}

/* Every float16 there is. */
static void check_gather_halves(trial t, result *out) {
  enum { SIDE = 256 };
  (void)t;
  array *x = new_array(SIDE * SIDE, sizeof(uint16_t));
  for (int i = 0; i < SIDE * SIDE; i++) ((uint16_t *)(void *)x->data)[i] = (uint16_t)i;
  const matrix m = new_matrix(SIDE, SIDE);
  allow_matrix(m, SIDE);
  seal_all();
  T->gather[FM_SOURCE_float16](SIDE, SIDE, NULL, SIDE, 0, x->data, SIDE * 2, 2, NULL, NULL, panel_of(m, 0), m.stride);
  check_all();
  for (ptrdiff_t i = 0; i < SIDE * SIDE; i++)
    expect(at(m, i / SIDE, i % SIDE), source_value(FM_SOURCE_float16, x->data + 2 * i));
  append_matrix(out, m);
}

static void check_finite(trial t, result *out) {
  const int source = t.at[SOURCE], layout = t.at[LAYOUT];
  const strided x = new_strided(source, t.rows, t.columns, layout);
  seal_all();
  const int all = T->finite[source](t.rows, t.columns, x.first, x.row_stride, x.column_stride);
  check_all();
  int right = 1;
  for (ptrdiff_t r = 0; r < t.rows; r++)
    for (ptrdiff_t c = 0; c < t.columns; c++) {
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

static void check_pack(trial t, result *out) {
  enum { APART_BY_THREE };
  const ptrdiff_t row_stride = t.columns + (t.at[APART_BY_THREE] ? 3 : 0);
  array *in = new_reals(t.rows * row_stride), *back = new_reals(t.rows * row_stride);
  for (ptrdiff_t r = 0; r < t.rows; r++) {
    for (ptrdiff_t c = 0; c < t.columns; c++) put(in->data, r * row_stride + c, awkward());
    allow(back, r * row_stride, t.columns);
  }
  const matrix m = new_matrix(t.rows, t.columns);
  allow_matrix(m, m.panels * T->panel);
  seal_all();
  T->pack(t.rows, t.columns, in->data, row_stride, panel_of(m, 0), m.stride);
  T->unpack(t.rows, t.columns, panel_of(m, 0), m.stride, back->data, row_stride);
  check_all();
  check_padding(m, m.panels * T->panel);
  for (ptrdiff_t r = 0; r < t.rows; r++)
    for (ptrdiff_t c = 0; c < t.columns; c++) {
      expect(at(m, r, c), get(in->data, r * row_stride + c));
      expect(get(back->data, r * row_stride + c), get(in->data, r * row_stride + c));
    }
  append_matrix(out, m);
}

/* A whole matrix, one panel-sized block at a time. */
static void check_transpose(trial t, result *out) {
  const matrix in = new_matrix(t.rows, t.columns), turned = new_matrix(t.columns, t.rows);
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
  for (ptrdiff_t r = 0; r < t.rows; r++)
    for (ptrdiff_t c = 0; c < t.columns; c++) expect(at(turned, c, r), at(in, r, c));
  append_matrix(out, turned);
}

static const check CHECKS[] = {
    {"gather",
     check_gather,
     2,
     {{"from", FM_SOURCE_COUNT, fm_source_name},
      {"layout", LAYOUTS, layout_name},
      {"ordered", 2, NULL},
      {"scaled", 2, NULL}}},
    {"gather of all float16", check_gather_halves, 1, {{0}}},
    {"finite", check_finite, 2, {{"of", FM_SOURCE_COUNT, fm_source_name}, {"layout", LAYOUTS, layout_name}}},
    {"pack, unpack", check_pack, 2, {{"apart by three", 2, NULL}}},
    {"transpose", check_transpose, 2, {{0}}},
};

int main(void) { return run_checks(CHECKS, sizeof CHECKS / sizeof *CHECKS); }
