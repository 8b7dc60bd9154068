/* Gaussian noise by random numbers that lie beside what it is added to. Included by isa/instantiate.inl. Mirror:
 * reference/noise.py. */

/* The normal quantile of (k + 1/2) / 2^32, where k is of two numbers of 16 bits, to 7e-6 of it: x p(s) with u the
 * smaller of that and its complement, x = 1 - 2 u and s = sqrt(2 - log(4 u (1 - u))), in which the polynomial is nearly
 * minimax. The complement is taken of the bits, where it is exact. */
FM_INLINE vreal normal_quantile(vreal high, vreal low) {
  static const real c[] = {(real)0.0543384223, (real)-0.018807666, (real)-0.182562965, (real)0.127285939,
                           (real)0.175008802,  (real)-0.260975186, (real)0.142050041,  (real)-0.015773506,
                           (real)-0.106603133, (real)2.71157609,   (real)3.71438024};
  const vmask upper = vle(vset1(32768), high);
  const vreal most = vset1(65535);
  const vreal first = vselect(upper, vsub(most, high), high), second = vselect(upper, vsub(most, low), low);
  const vreal u = vmul(vfma(vadd(second, vset1((real)0.5)), vset1((real)0x1p-16), first), vset1((real)0x1p-16));
  const vreal product = vmul(vmul(vset1(4), u), vsub(vset1(1), u));
  const vreal s = vsqrt(vsub(vset1(2), vmin(vzero(), vlog(product))));
  const vreal t = vmul(vsub(s, vset1((real)3.13094671)), vset1((real)0.582501713));
  vreal p = vset1(c[0]);
  for (size_t i = 1; i < sizeof c / sizeof *c; i++) p = vfma(p, t, vset1(c[i]));
  const vreal magnitude = vmul(vfnma(vset1(2), u, vset1(1)), p);
  return vselect(upper, magnitude, vsub(vzero(), magnitude));
}

/* c += deviation times a normal number for each element of a block of rows. */
static void add_noise(ptrdiff_t rows, int vectors, const uint16_t *high, const uint16_t *low, double deviation,
                      void *c) {
  const vreal d = vset1((real)deviation);
  real *block = (real *)c;
  for (ptrdiff_t r = 0; r < rows; r++, high += PANEL, low += PANEL, block += PANEL)
    for (ptrdiff_t v = 0; v < vectors * VL; v += VL)
      vstore(block + v, vfma(d, normal_quantile(vload_u16(high + v), vload_u16(low + v)), vload(block + v)));
}
