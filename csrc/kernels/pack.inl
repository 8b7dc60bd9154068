/* Between row-major matrices and panels of the same dtype, and from panels to those of the transpose. Included by
 * isa/instantiate.inl, after gather.inl. */

static void pack(ptrdiff_t rows, ptrdiff_t columns, const void *in, ptrdiff_t row_stride, void *panels,
                 ptrdiff_t stride) {
  const int source = FM_REAL_IS_FLOAT ? FM_SOURCE_float32 : FM_SOURCE_float64;
  const ptrdiff_t item = (ptrdiff_t)sizeof(real);
  const ptrdiff_t last = columns / PANEL, used = columns % PANEL;
  if (used)
    for (ptrdiff_t r = 0; r < rows; r++)
      for (ptrdiff_t c = used; c < PANEL; c++) ((real *)panels)[last * stride + r * PANEL + c] = 0;
  gather_rows(source, item, rows, columns, NULL, rows, 0, in, row_stride * item, item, NULL, NULL, panels, stride);
}

static void unpack(ptrdiff_t rows, ptrdiff_t columns, const void *panels, ptrdiff_t stride, void *out,
                   ptrdiff_t row_stride) {
  for (ptrdiff_t c = 0; c < columns; c += PANEL) {
    const real *block = (const real *)panels + c / PANEL * stride;
    const size_t bytes = sizeof(real) * (size_t)(columns - c < PANEL ? columns - c : PANEL);
    if (bytes == sizeof(real)) /* a call for each number would cost more than the network */
      for (ptrdiff_t r = 0; r < rows; r++) ((real *)out)[r * row_stride + c] = block[r * PANEL];
    else
      for (ptrdiff_t r = 0; r < rows; r++) memcpy((real *)out + r * row_stride + c, block + r * PANEL, bytes);
  }
}

/* Full VL x VL squares go through registers, ragged edges one by one. */
static void transpose(ptrdiff_t rows, ptrdiff_t columns, const void *in, void *out) {
  const real *from = (const real *)in;
  real *to = (real *)out;
  for (ptrdiff_t r = 0; r < rows; r += VL)
    for (ptrdiff_t c = 0; c < columns; c += VL) {
      const ptrdiff_t high = rows - r < VL ? rows - r : VL, wide = columns - c < VL ? columns - c : VL;
      if (high == VL && wide == VL) {
        vtranspose(from + r * PANEL + c, PANEL, to + c * PANEL + r, PANEL);
        continue;
      }
      for (ptrdiff_t i = 0; i < high; i++)
        for (ptrdiff_t j = 0; j < wide; j++) to[(c + j) * PANEL + r + i] = from[(r + i) * PANEL + c + j];
    }
}
