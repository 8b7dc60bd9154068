/* Maxout, the largest of several linear pieces (Goodfellow et al. 2013): column p units + o of a row of signals is
 * piece p of unit o. Included by isa/instantiate.inl. Mirror: spec/activations/maxout.py. */

/* Zeros from a column of a row to its panel's end. */
FM_INLINE void clear_from(ptrdiff_t column, real *row, ptrdiff_t stride) {
  for (; column % PANEL != 0; column++) row[at(column, stride)] = 0;
}

/* The first `units` columns become the largest piece of each unit, the first of those that are equal, or NaN where one
 * is. Where `kept` is not NULL, it gets 1 for the pieces that are taken and 0 for the others, all of them. */
static void maxout(ptrdiff_t rows, ptrdiff_t units, ptrdiff_t pieces, void *a, ptrdiff_t stride, void *kept) {
  const int whole = units % VL == 0; /* or pieces begin in the middle of vectors */
  for (ptrdiff_t r = 0; r < rows; r++) {
    real *row = (real *)a + r * PANEL, *slopes = kept == NULL ? NULL : (real *)kept + r * PANEL;
    for (ptrdiff_t o = 0; o < units; o += whole ? VL : 1) {
      if (whole) {
        vreal best = vload(row + at(o, stride)), which = vzero();
        for (ptrdiff_t p = 1; p < pieces; p++) {
          const vreal z = vload(row + at(p * units + o, stride)), piece = vset1((real)p);
          const vmask number = veq(z, z), larger = vlt(best, z);
          which = vselect(number, vselect(larger, piece, which), piece);
          best = vselect(number, vselect(larger, z, best), z);
        }
        for (ptrdiff_t p = 0; p < (slopes == NULL ? 0 : pieces); p++)
          vstore(slopes + at(p * units + o, stride), vselect(veq(which, vset1((real)p)), vset1(1), vzero()));
        vstore(row + at(o, stride), best);
      } else {
        real best = row[at(o, stride)];
        ptrdiff_t which = 0;
        for (ptrdiff_t p = 1; p < pieces; p++) {
          const real z = row[at(p * units + o, stride)];
          if (best < z || z != z) best = z, which = p;
        }
        for (ptrdiff_t p = 0; p < (slopes == NULL ? 0 : pieces); p++) slopes[at(p * units + o, stride)] = p == which;
        row[at(o, stride)] = best;
      }
    }
    clear_from(units, row, stride);
  }
}

/* d, of derivatives by the outputs in its first columns, becomes those by all signals. */
static void maxout_backward(ptrdiff_t rows, ptrdiff_t units, ptrdiff_t pieces, const void *kept, void *d,
                            ptrdiff_t stride) {
  const int whole = units % VL == 0;
  for (ptrdiff_t r = 0; r < rows; r++) {
    real *row = (real *)d + r * PANEL;
    const real *slopes = (const real *)kept + r * PANEL;
    for (ptrdiff_t p = pieces - 1; p >= 0; p--) { /* the first, whose place is that of the outputs, last */
      if (whole)
        for (ptrdiff_t o = 0; o < units; o += VL)
          vstore(row + at(p * units + o, stride),
                 vmul(vload(slopes + at(p * units + o, stride)), vload(row + at(o, stride))));
      else
        for (ptrdiff_t o = 0; o < units; o++)
          row[at(p * units + o, stride)] = slopes[at(p * units + o, stride)] * row[at(o, stride)];
    }
    clear_from(pieces * units, row, stride);
  }
}
