/* What is done to a gradient before an optimizer sees it, and to weights of which it sees nothing: penalties, clipping,
 * decay. Included by isa/instantiate.inl. Mirror: reference/optimizer.py. */

/* g += l1 sign(w) + l2 w, the gradient of l1 |w| + l2 / 2 w^2. */
static void regularise(ptrdiff_t n, const void *w, double l1, double l2, void *g) {
  const real *weight = (const real *)w;
  real *gradient = (real *)g;
  const vreal first = vset1((real)l1), second = vset1((real)l2);
  if (l1 == 0) {
    for (ptrdiff_t i = 0; i < n; i += VL) vstore(gradient + i, vfma(second, vload(weight + i), vload(gradient + i)));
    return;
  }
  for (ptrdiff_t i = 0; i < n; i += VL) {
    const vreal at = vload(weight + i);
    vstore(gradient + i, vfma(second, at, vfma(first, vsign(at), vload(gradient + i))));
  }
}

/* g *= factor. */
static void scale(ptrdiff_t n, double factor, void *g) {
  real *gradient = (real *)g;
  const vreal by = vset1((real)factor);
  for (ptrdiff_t i = 0; i < n; i += VL) vstore(gradient + i, vmul(by, vload(gradient + i)));
}

/* g = min(max(g, -most), most); NaN stays. */
static void limit(ptrdiff_t n, double most, void *g) {
  real *gradient = (real *)g;
  const vreal above = vset1((real)most), below = vset1((real)-most);
  for (ptrdiff_t i = 0; i < n; i += VL) vstore(gradient + i, vmin(above, vmax(below, vload(gradient + i))));
}

/* w -= share w. */
static void shrink(ptrdiff_t n, double share, void *w) {
  real *weight = (real *)w;
  const vreal lost = vset1((real)share);
  for (ptrdiff_t i = 0; i < n; i += VL) vstore(weight + i, vfnma(lost, vload(weight + i), vload(weight + i)));
}
