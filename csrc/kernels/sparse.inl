/* Products with sparse rows: a row is the entries that are stored of it, their columns in increasing order. Each sum
 * has the order of the dense one, whose terms of 0 change nothing. Needs real_from. Included by isa/instantiate.inl. */

/* Entries of a row, converted; those whose columns are none of the matrix's are left out. How many there are. */
FM_INLINE ptrdiff_t load_entries(const int source, const ptrdiff_t item, ptrdiff_t n, const int32_t *columns,
                                 const void *values, ptrdiff_t n_columns, int32_t *to_columns, void *to_values) {
  const char *p = (const char *)values;
  ptrdiff_t count = 0;
  for (ptrdiff_t i = 0; i < n; i++, p += item) {
    const int32_t column = columns[i]; /* read once: another thread may be writing it */
    if (column < 0 || column >= n_columns) continue;
    to_columns[count] = column;
    ((real *)to_values)[count++] = real_from(source, p);
  }
  return count;
}

#define FM_DEFINE_ENTRIES(name, type)                                                                           \
  static ptrdiff_t entries_##name(ptrdiff_t n, const int32_t *columns, const void *values, ptrdiff_t n_columns, \
                                  int32_t *to_columns, void *to_values) {                                       \
    return load_entries(FM_SOURCE_##name, (ptrdiff_t)sizeof(type), n, columns, values, n_columns, to_columns,   \
                        to_values);                                                                             \
  }
FM_SOURCES(FM_DEFINE_ENTRIES)
#undef FM_DEFINE_ENTRIES

enum { ENTRY_PANELS = 4 }; /* at once */

FM_INLINE void row_of_entries(const int vectors, ptrdiff_t n, const int32_t *columns, const real *values, const real *b,
                              ptrdiff_t b_stride, real *c, ptrdiff_t c_stride) {
  vreal sum[2 * ENTRY_PANELS];
  for (int v = 0; v < vectors; v++) sum[v] = vzero();
  for (ptrdiff_t i = 0; i < n; i++) {
    const vreal left = vset1(values[i]);
    const real *right = b + (ptrdiff_t)columns[i] * PANEL;
    for (int v = 0; v < vectors; v++) sum[v] = vfma(left, vload(right + (v / 2) * b_stride + (v % 2) * VL), sum[v]);
  }
  for (int v = 0; v < vectors; v++) vstore(c + (v / 2) * c_stride + (v % 2) * VL, sum[v]);
}

static void gemm_entries(ptrdiff_t n, const int32_t *columns, const void *values, const void *b, ptrdiff_t b_stride,
                         ptrdiff_t vectors, void *c, ptrdiff_t c_stride) {
  const real *x = (const real *)values, *right = (const real *)b;
  real *out = (real *)c;
  for (; vectors >= 2 * ENTRY_PANELS; vectors -= 2 * ENTRY_PANELS) {
    row_of_entries(2 * ENTRY_PANELS, n, columns, x, right, b_stride, out, c_stride);
    right += ENTRY_PANELS * b_stride;
    out += ENTRY_PANELS * c_stride;
  }
  for (; vectors >= 2; vectors -= 2, right += b_stride, out += c_stride)
    row_of_entries(2, n, columns, x, right, b_stride, out, c_stride);
  if (vectors) {
    row_of_entries(1, n, columns, x, right, b_stride, out, c_stride);
    vstore(out + VL, vzero());
  }
}

/* The entries that stand in one vector of a row are that vector, with zeros, as a dense row has them. */
static void dots_entries(ptrdiff_t n, const int32_t *columns, const void *values, const void *b, ptrdiff_t b_stride,
                         ptrdiff_t n_outputs, void *c) {
  const real *x = (const real *)values, *weights = (const real *)b;
  real *out = (real *)c;
  lane_sums sums[FM_DOT_COLUMNS];
  memset(out, 0, sizeof(real) * PANEL);
  for (ptrdiff_t o = 0; o < n_outputs; o++) sums[o] = lane_sums_zero();
  for (ptrdiff_t i = 0, end; i < n; i = end) {
    const ptrdiff_t first = columns[i] / VL * VL;
    real left[VL] = {0}, right[VL] = {0};
    for (end = i; end < n && columns[end] - first < VL; end++) left[columns[end] - first] = x[end];
    const int32_t *column = columns + i;
    const int found = (int)(end - i); /* at most VL */
    for (ptrdiff_t o = 0; o < n_outputs; o++) {
      for (int j = 0; j < found; j++) right[column[j] - first] = weights[o * PANEL + at(column[j], b_stride)];
      lane_sums_fma(&sums[o], first, vload(left), vload(right));
    }
  }
  for (ptrdiff_t o = 0; o < n_outputs; o++) out[o] = lane_sums_total(&sums[o]);
}

static void add_entries(ptrdiff_t n, const int32_t *rows, const int32_t *columns, const void *values, const void *d,
                        int vectors, void *g) {
  const real *x = (const real *)values, *right = (const real *)d;
  for (ptrdiff_t i = 0; i < n; i++) {
    const vreal left = vset1(x[i]);
    real *sum = (real *)g + (ptrdiff_t)columns[i] * PANEL;
    for (int v = 0; v < vectors; v++)
      vstore(sum + v * VL, vfma(left, vload(right + (ptrdiff_t)rows[i] * PANEL + v * VL), vload(sum + v * VL)));
  }
}
