/* A moving average of the parameters. Included by isa/instantiate.inl. Mirror: reference/update.py. */

/* average += share (w - average). */
static void average(ptrdiff_t n, const void *w, double share, void *to) {
  const real *weight = (const real *)w;
  real *mean = (real *)to;
  const vreal part = vset1((real)share);
  for (ptrdiff_t i = 0; i < n; i += VL) {
    const vreal old = vload(mean + i);
    vstore(mean + i, vfma(part, vsub(vload(weight + i), old), old));
  }
}
