/* What keeps weights small: a penalty's part of their gradient, before an optimizer sees it, or a decay of their own,
 * of which it sees nothing. Included by isa/instantiate.inl. Mirror: reference/optimizer.py. */

/* g += l2 w, the gradient of l2 / 2 times the sum of the squares of w. */
static void regularise(ptrdiff_t n, const void *w, double l2, void *g) {
  const real *weight = (const real *)w;
  real *gradient = (real *)g;
  const vreal decay = vset1((real)l2);
  for (ptrdiff_t i = 0; i < n; i += VL) vstore(gradient + i, vfma(decay, vload(weight + i), vload(gradient + i)));
}

/* w -= share w. */
static void shrink(ptrdiff_t n, double share, void *w) {
  real *weight = (real *)w;
  const vreal lost = vset1((real)share);
  for (ptrdiff_t i = 0; i < n; i += VL) vstore(weight + i, vfnma(lost, vload(weight + i), vload(weight + i)));
}
