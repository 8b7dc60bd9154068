/* What the programs beside it share. A check runs one kernel of a table on ragged shapes; its results are held against
 * those of the scalar table bit for bit, and in the check itself against a few lines of plain C where those can say
 * what is right. All memory a kernel sees lies between poisoned margins, gaps and guard rows that must stay as they
 * were (after dav1d's checkasm). Includes kernels.h and the C library only.
 *
 * Panels are as wide as the ISA likes, so results are compared row-major, after unpack. Under AddressSanitizer the
 * margins shrink to nothing and every buffer ends where its allocation ends, so reads are checked too. */
#ifndef FASTMLP_GUARD_H
#define FASTMLP_GUARD_H

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
static long passed, failed;
static int spoiled; /* whether the running check has already been counted as failed */
static int skipped; /* whether it has nothing to say of what it was given */

static inline void describe(char *text, size_t room);

static inline void fail(const char *how) {
  char what[200];
  if (spoiled) return;
  spoiled = 1;
  if (++failed > 20) return;
  describe(what, sizeof what);
  printf("FAILED %s %s %s: %s\n", T->isa, T->dtype, what, how);
}

static inline int skip_if(int unfit) { return skipped = unfit; }

/* Random numbers: the same for every table, since each run of a check starts from the check's own seed. ---------- */

static uint64_t random_state;

static inline uint64_t random_bits(void) { /* splitmix64 */
  uint64_t z = random_state += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

static inline double uniform(double low, double high) {
  return low + (high - low) * ((double)(random_bits() >> 11) * 0x1p-53);
}

static inline ptrdiff_t below(ptrdiff_t n) { return (ptrdiff_t)(random_bits() % (uint64_t)n); }

/* Mostly ordinary numbers; now and then what breaks a kernel. */
static inline double awkward(void) {
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

static inline void *allocate(size_t bytes) {
  void *p = malloc(bytes ? bytes : 1);
  if (!p) {
    puts("out of memory");
    exit(2);
  }
  return p;
}

static inline array *new_array(ptrdiff_t n, size_t item) {
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

static inline void allow(array *a, ptrdiff_t first, ptrdiff_t n) {
  memset(a->writable + MARGIN + (size_t)first * a->item, 0xFF, (size_t)n * a->item);
}

static inline void seal_all(void) {
  for (int i = 0; i < n_arrays; i++) memcpy(arrays[i].before, arrays[i].memory, arrays[i].bytes);
}

static inline void check_all(void) {
  for (int i = 0; i < n_arrays; i++) {
    const array *a = &arrays[i];
    uint64_t changed = 0; /* many bytes at a time, and without a branch: there are a billion */
    size_t j = 0;
    for (uint64_t m, b, w; j + sizeof m <= a->bytes; j += sizeof m) {
      memcpy(&m, a->memory + j, sizeof m);
      memcpy(&b, a->before + j, sizeof b);
      memcpy(&w, a->writable + j, sizeof w);
      changed |= (m ^ b) & ~w;
    }
    for (; j < a->bytes; j++) changed |= (uint64_t)((a->memory[j] ^ a->before[j]) & ~a->writable[j]);
    if (changed) fail("wrote where it may not");
  }
}

static inline void free_all(void) {
  for (; n_arrays > 0; n_arrays--) {
    const array *a = &arrays[n_arrays - 1];
    free(a->memory);
    free(a->before);
    free(a->writable);
  }
}

static inline double get(const void *data, ptrdiff_t i) {
  return T->itemsize == 4 ? (double)((const float *)data)[i] : ((const double *)data)[i];
}

static inline void put(void *data, ptrdiff_t i, double x) {
  if (T->itemsize == 4)
    ((float *)data)[i] = (float)x;
  else
    ((double *)data)[i] = x;
}

static inline array *new_reals(ptrdiff_t n) { return new_array(n, (size_t)T->itemsize); }

/* Matrices in panels, with guard rows above and below each panel and a gap after it. ------------------------------- */

typedef struct {
  array *memory;
  ptrdiff_t rows, columns, panels, stride;
} matrix;

static inline ptrdiff_t round_up(ptrdiff_t n, ptrdiff_t unit) { return (n + unit - 1) / unit * unit; }

static inline matrix new_matrix(ptrdiff_t rows, ptrdiff_t columns) {
  matrix m = {NULL, rows, columns, round_up(columns, T->panel) / T->panel, 0};
  m.stride = (rows + 2 * GUARD_ROWS) * T->panel + GAP;
  m.memory = new_reals(m.panels * m.stride);
  return m;
}

/* Where panel p of the matrix begins. */
static inline void *panel_of(matrix m, ptrdiff_t p) {
  return m.memory->data + (size_t)((p * m.stride + GUARD_ROWS * T->panel) * T->itemsize);
}

static inline void *block_of(matrix m, ptrdiff_t p, ptrdiff_t row) {
  return (unsigned char *)panel_of(m, p) + (size_t)(row * T->panel * T->itemsize);
}

static inline ptrdiff_t width_of(matrix m, ptrdiff_t p) {
  return m.columns - p * T->panel < T->panel ? m.columns - p * T->panel : T->panel;
}

static inline int vectors_of(matrix m, ptrdiff_t p) { return width_of(m, p) > T->lanes ? 2 : 1; }

/* A kernel may write all rows of the first `columns` columns, up to whole vectors. */
static inline void allow_matrix(matrix m, ptrdiff_t columns) {
  const ptrdiff_t end = round_up(columns, T->lanes);
  for (ptrdiff_t p = 0; p < m.panels; p++)
    for (ptrdiff_t r = 0; r < m.rows; r++) {
      const ptrdiff_t width = end - p * T->panel < T->panel ? end - p * T->panel : T->panel;
      if (width > 0) allow(m.memory, p * m.stride + (GUARD_ROWS + r) * T->panel, width);
    }
}

static inline double at(matrix m, ptrdiff_t r, ptrdiff_t c) { return get(block_of(m, c / T->panel, r), c % T->panel); }

/* Values row by row, the same for every table; the padding is zero. */
static inline void fill(matrix m, double (*value)(void)) {
  for (ptrdiff_t r = 0; r < m.rows; r++)
    for (ptrdiff_t c = 0; c < m.panels * T->panel; c++)
      put(block_of(m, c / T->panel, r), c % T->panel, c < m.columns ? value() : 0.0);
}

/* Outputs leave the padding as their activation made it: f(0) need not be 0. */
static inline void dirty_padding(matrix m) {
  const uint64_t state = random_state; /* each ISA has its own amount of padding, and all go on from here alike */
  for (ptrdiff_t r = 0; r < m.rows; r++)
    for (ptrdiff_t c = m.columns; c < m.panels * T->panel; c++)
      put(block_of(m, c / T->panel, r), c % T->panel, uniform(0.5, 1));
  random_state = state;
}

static inline void copy_matrix(matrix to, matrix from) {
  for (ptrdiff_t p = 0; p < to.panels; p++)
    memcpy(panel_of(to, p), panel_of(from, p), (size_t)(to.rows * T->panel * T->itemsize));
}

static inline double ordinary(void) { return uniform(-1, 1); }
static inline double share(void) { return uniform(0, 1); }

/* Padding that is written must be zero, or products would carry it into their results. */
static inline void check_padding(matrix m, ptrdiff_t columns) {
  for (ptrdiff_t r = 0; r < m.rows; r++)
    for (ptrdiff_t c = m.columns; c < columns; c++)
      if (at(m, r, c) != 0) fail("padding is not zero");
}

/* Results: bits, appended by the run of each table and then compared. ---------------------------------------------- */

typedef struct {
  uint64_t *bits;
  ptrdiff_t n, room;
} result;

static inline void append_bits(result *out, uint64_t bits) {
  if (out->n == out->room) {
    out->room = out->room ? 2 * out->room : 1024;
    out->bits = realloc(out->bits, (size_t)out->room * sizeof *out->bits);
    if (!out->bits) exit(2);
  }
  out->bits[out->n++] = bits;
}

/* float to double is exact, so doubles stand for both dtypes; one NaN is as good as another. */
static inline void append(result *out, double x) {
  uint64_t bits = 0x7FF8000000000000u;
  if (x == x) memcpy(&bits, &x, sizeof bits);
  append_bits(out, bits);
}

static inline void append_matrix(result *out, matrix m) {
  for (ptrdiff_t r = 0; r < m.rows; r++)
    for (ptrdiff_t c = 0; c < m.columns; c++) append(out, at(m, r, c));
}

static inline void append_array(result *out, const array *a, ptrdiff_t n) {
  for (ptrdiff_t i = 0; i < n; i++) append(out, get(a->data, i));
}

static inline void expect(double got, double right) {
  if (got != right && !(got != got && right != right)) fail("differs from plain C");
}

/* Arithmetic as the dtype does it. --------------------------------------------------------------------------------- */

static inline double fused(double a, double b, double c) {
  return T->itemsize == 4 ? (double)fmaf((float)a, (float)b, (float)c) : fma(a, b, c);
}

/* The fixed tree of sums along a row: FM_REDUCE_LANES interleaved partial sums, then halves added to halves. */
static inline double rounded(double x) { return T->itemsize == 4 ? (double)(float)x : x; }

static inline double tree(double *lane) {
  for (int half = FM_REDUCE_LANES / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) lane[i] = rounded(lane[i] + lane[i + half]);
  return lane[0];
}

/* The checks. ------------------------------------------------------------------------------------------------------ */

enum { MAX_AXES = 6 };

/* What else than its size a check varies, by name: entries of a list, or numbers from 0 on. */
typedef struct {
  const char *name;
  int count;
  const char *(*name_of)(int); /* NULL: numbers */
} axis;

typedef struct {
  ptrdiff_t rows, k, columns;
  int at[MAX_AXES]; /* place on each axis */
} trial;

typedef struct {
  const char *name;
  void (*run)(trial, result *); /* appends its results */
  int sizes;                    /* 1: a single shape; 2: rows and columns; 3: k too */
  axis axes[MAX_AXES];
} check;

static inline int variants_of(const check *c) {
  int n = 1;
  for (int i = 0; i < MAX_AXES && c->axes[i].count; i++) n *= c->axes[i].count;
  return n;
}

/* The variant of that number: the last axis turns fastest. */
static inline void choose(const check *c, int variant, trial *t) {
  int i = 0;
  while (i < MAX_AXES && c->axes[i].count) i++;
  while (i-- > 0) {
    t->at[i] = variant % c->axes[i].count;
    variant /= c->axes[i].count;
  }
}

static const check *running; /* the check that runs, and its trial */
static trial running_on;

static inline void describe(char *text, size_t room) {
  const check *c = running;
  const trial *t = &running_on;
  size_t n = (size_t)snprintf(text, room, "%s, rows %td k %td columns %td", c->name, t->rows, t->k, t->columns);
  for (int i = 0; i < MAX_AXES && c->axes[i].count && n < room; i++)
    if (c->axes[i].name_of)
      n += (size_t)snprintf(text + n, room - n, ", %s %s", c->axes[i].name, c->axes[i].name_of(t->at[i]));
    else
      n += (size_t)snprintf(text + n, room - n, ", %s %d", c->axes[i].name, t->at[i]);
}

/* Fails where results are not those of the scalar table, bit for bit. */
static inline void compare(const result *got, const result *right) {
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
}

/* The running check on one table. `right` is NULL for the scalar table. */
static inline void run(const fm_kernels *table, uint64_t seed, const result *right, result *got) {
  T = table;
  got->n = 0;
  skipped = spoiled = 0;
  random_state = seed;
  running->run(running_on, got);
  free_all();
  if (right) compare(got, right);
  if (!spoiled && !skipped) passed++;
}

/* One trial on all tables of the dtype: the scalar one first, since the others are held against it. */
static inline void check_tables(const check *c, trial t, int variant, int dtype, result *right, result *got) {
  const uint64_t seed =
      (uint64_t)t.rows << 40 ^ (uint64_t)t.k << 24 ^ (uint64_t)t.columns << 8 ^ (uint64_t)(unsigned)variant;
  choose(c, variant, &t);
  running = c;
  running_on = t;
  run(fm_kernel_table(FM_ISA_scalar, dtype), seed, NULL, right);
  for (int isa = 0; isa < FM_ISA_COUNT; isa++) {
    const fm_kernels *table = fm_kernel_table(isa, dtype);
    if (table && isa != FM_ISA_scalar) run(table, seed, right, got);
  }
}

static inline void check_shapes(const check *c, int dtype, result *right, result *got) {
  static const ptrdiff_t ROWS[] = {1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 33};
  static const ptrdiff_t STEPS[] = {1, 2, 5, 31, 33, 70};
  static const ptrdiff_t COLUMNS[] = {1, 2, 3, 7, 8, 9, 16, 17, 31, 32, 33, 47, 64, 70};
  const int n_rows = c->sizes >= 2 ? sizeof ROWS / sizeof *ROWS : 1;
  const int n_columns = c->sizes >= 2 ? sizeof COLUMNS / sizeof *COLUMNS : 1;
  const int n_steps = c->sizes >= 3 ? sizeof STEPS / sizeof *STEPS : 1;
  for (int r = 0; r < n_rows; r++)
    for (int k = 0; k < n_steps; k++)
      for (int j = 0; j < n_columns; j++)
        for (int variant = 0; variant < variants_of(c); variant++)
          check_tables(c, (trial){ROWS[r], STEPS[k], COLUMNS[j], {0}}, variant, dtype, right, got);
}

/* The whole of a program: all checks on all tables that this processor can run. */
static inline int run_checks(const check *checks, size_t n) {
  result right = {NULL, 0, 0}, got = {NULL, 0, 0};
  for (int dtype = 0; dtype < FM_DTYPE_COUNT; dtype++) {
    for (int isa = 0; isa < FM_ISA_COUNT; isa++)
      printf("%s %s: %s\n", fm_isa_name(isa), fm_dtype_name(dtype),
             fm_kernel_table(isa, dtype) ? "checked" : "this processor cannot run it");
    for (size_t i = 0; i < n; i++) check_shapes(&checks[i], dtype, &right, &got);
  }
  free(right.bits);
  free(got.bits);
  printf("%ld passed, %ld failed\n", passed, failed);
  return failed ? 1 : 0;
}

#endif
