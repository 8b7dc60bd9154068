/* Rows from outside: (shuffled) rows of any source dtype, converted and gathered into panels, and the check for finite
 * numbers. Included by isa/instantiate.inl. */

/* IEEE binary16: shift the exponent and fraction into place and let one exact multiplication rebias the exponent, which
 * also normalises subnormals; infinity and NaN keep an exponent of all ones. */
FM_INLINE float float_of_half(uint16_t half) {
  const uint32_t magnitude = (uint32_t)(half & 0x7FFFu) << 13;
  float scaled;
  uint32_t bits;
  memcpy(&scaled, &magnitude, sizeof scaled);
  scaled *= 0x1p112f;
  memcpy(&bits, &scaled, sizeof bits);
  bits |= (half & 0x7C00u) == 0x7C00u ? 0x7F800000u : 0u;
  bits |= (uint32_t)(half & 0x8000u) << 16;
  memcpy(&scaled, &bits, sizeof scaled);
  return scaled;
}

/* memcpy: rows of a strided array need not be aligned. `source` is a constant wherever these are inlined. */
#define FM_NUMBER_OF_float64(x) (x)
#define FM_NUMBER_OF_float32(x) (x)
#define FM_NUMBER_OF_float16(x) float_of_half(x)
#define FM_NUMBER_OF_uint8(x) (x)
#define FM_NUMBER_OF_int16(x) (x)
#define FM_NUMBER_OF_int32(x) (x)
#define FM_NUMBER_OF_int64(x) (x)
#define FM_LOAD_CASE(name, type)             \
  case FM_SOURCE_##name: {                   \
    type value;                              \
    memcpy(&value, p, sizeof value);         \
    return (real)FM_NUMBER_OF_##name(value); \
  }
#define FM_LOAD_DOUBLE_CASE(name, type)        \
  case FM_SOURCE_##name: {                     \
    type value;                                \
    memcpy(&value, p, sizeof value);           \
    return (double)FM_NUMBER_OF_##name(value); \
  }
FM_INLINE real real_from(const int source, const char *p) {
  switch (source) { FM_SOURCES(FM_LOAD_CASE) default : return 0; }
}
FM_INLINE double double_from(const int source, const char *p) {
  switch (source) { FM_SOURCES(FM_LOAD_DOUBLE_CASE) default : return 0; }
}
#undef FM_LOAD_CASE
#undef FM_LOAD_DOUBLE_CASE

/* Numbers of `item` bytes that lie apart, one after the other. */
FM_APART void close_up(ptrdiff_t n, ptrdiff_t item, const char *x, ptrdiff_t apart, char *out) {
  for (ptrdiff_t j = 0; j < n; j++, x += apart, out += item) {
    switch (item) {
      case 1: *out = *x; break;
      case 2: memcpy(out, x, 2); break;
      case 4: memcpy(out, x, 4); break;
      default: memcpy(out, x, 8); break;
    }
  }
}

/* `later` is a row that will be gathered soon, whose elements follow each other, or NULL. (x - shift) * scale is made
 * of doubles: a float32 would lose what is small beside a large mean. */
FM_INLINE void gather_row(const int source, const ptrdiff_t item, ptrdiff_t columns, const char *x,
                          ptrdiff_t column_stride, const double *shift, const double *scale, const char *later,
                          real *out, ptrdiff_t stride) {
  char together[8 * PANEL];
  for (ptrdiff_t c = 0; c < columns; c += PANEL, out += stride, x += PANEL * column_stride) {
    const ptrdiff_t n = columns - c < PANEL ? columns - c : PANEL;
    const char *from = x;
    if (later) {
      for (ptrdiff_t i = c * item; i < (c + n) * item; i += 64) FM_PREFETCH(later + i);
      if (c + n == columns) FM_PREFETCH(later + columns * item - 1); /* a row need not begin with a cache line */
    }
    if (column_stride != item) {
      close_up(n, item, x, column_stride, together);
      from = together;
    }
    if (shift)
      for (ptrdiff_t j = 0; j < n; j++)
        out[j] = (real)((double_from(source, from + j * item) - shift[c + j]) * scale[c + j]);
    else
      for (ptrdiff_t j = 0; j < n; j++) out[j] = real_from(source, from + j * item);
  }
}

FM_INLINE void gather_rows(const int source, const ptrdiff_t item, ptrdiff_t rows, ptrdiff_t columns,
                           const int64_t *order, ptrdiff_t known, ptrdiff_t ahead, const void *x, ptrdiff_t row_stride,
                           ptrdiff_t column_stride, const double *shift, const double *scale, void *panels,
                           ptrdiff_t stride) {
  if (!ahead) ahead = known = rows;
  for (ptrdiff_t r = 0; r < rows; r++) {
    const ptrdiff_t from = order ? (ptrdiff_t)order[r] : r;
    const char *later = r + ahead < known ? (const char *)x + (ptrdiff_t)order[r + ahead] * row_stride : NULL;
    gather_row(source, item, columns, (const char *)x + from * row_stride, column_stride, shift, scale, later,
               (real *)panels + r * PANEL, stride);
  }
}

/* The exponent bits of a floating-point source; an integer has none and is always finite. */
#define FM_EXPONENT_float64 0x7FF0000000000000u
#define FM_EXPONENT_float32 0x7F800000u
#define FM_EXPONENT_float16 0x7C00u
#define FM_EXPONENT_uint8 0u
#define FM_EXPONENT_int16 0u
#define FM_EXPONENT_int32 0u
#define FM_EXPONENT_int64 0u

FM_INLINE int finite_item(const ptrdiff_t item, const uint64_t exponent, const char *p) {
  if (item == 8) {
    uint64_t bits;
    memcpy(&bits, p, sizeof bits);
    return (bits & exponent) != exponent;
  }
  if (item == 4) {
    uint32_t bits;
    memcpy(&bits, p, sizeof bits);
    return (bits & (uint32_t)exponent) != (uint32_t)exponent;
  }
  uint16_t bits;
  memcpy(&bits, p, sizeof bits);
  return (bits & (uint16_t)exponent) != (uint16_t)exponent;
}

FM_INLINE int finite_rows(const ptrdiff_t item, const uint64_t exponent, ptrdiff_t rows, ptrdiff_t columns,
                          const void *x, ptrdiff_t row_stride, ptrdiff_t column_stride) {
  if (exponent == 0) return 1;
  if (column_stride == item && row_stride == columns * item) { /* one long row */
    columns *= rows;
    rows = 1;
  }
  for (ptrdiff_t r = 0; r < rows; r++) {
    const char *row = (const char *)x + r * row_stride;
    int all = 1;
    if (column_stride == item)
      for (ptrdiff_t c = 0; c < columns; c++) all &= finite_item(item, exponent, row + c * item);
    else
      for (ptrdiff_t c = 0; c < columns; c++) all &= finite_item(item, exponent, row + c * column_stride);
    if (!all) return 0;
  }
  return 1;
}

#define FM_DEFINE_SOURCE(name, type)                                                                                   \
  static void gather_##name(ptrdiff_t rows, ptrdiff_t columns, const int64_t *order, ptrdiff_t known, ptrdiff_t ahead, \
                            const void *x, ptrdiff_t row_stride, ptrdiff_t column_stride, const double *shift,         \
                            const double *scale, void *panels, ptrdiff_t stride) {                                     \
    gather_rows(FM_SOURCE_##name, (ptrdiff_t)sizeof(type), rows, columns, order, known, ahead, x, row_stride,          \
                column_stride, shift, scale, panels, stride);                                                          \
  }                                                                                                                    \
  static int finite_##name(ptrdiff_t rows, ptrdiff_t columns, const void *x, ptrdiff_t row_stride,                     \
                           ptrdiff_t column_stride) {                                                                  \
    return finite_rows((ptrdiff_t)sizeof(type), FM_EXPONENT_##name, rows, columns, x, row_stride, column_stride);      \
  }
FM_SOURCES(FM_DEFINE_SOURCE)
#undef FM_DEFINE_SOURCE
