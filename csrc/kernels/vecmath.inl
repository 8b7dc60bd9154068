/* exp, log, tanh and their relatives on vectors, once for all ISAs, with the error bounds that math.def states.
 * Included by isa/instantiate.inl, after <math.h> and vec_<isa>.h. */

/* Everything is made of three kernels. Their polynomials are minimax in the relative error of what they are part of
 * (Remez exchange), the coefficients rounded one after the other while the rest was fitted again.
 *
 * exp: x = n ln 2 + r with |r| <= ln 2 / 2 (Cody and Waite 1980, ch. 6); thanks to fma and a full-precision ln2_high
 * the first step of the reduction is exact. e^r = 1 + r + r^2 q(r), and exp_tail holds q.
 *
 * log: with s = f / (2 + f) and z = s^2, log(1 + f) = 2 atanh(s) = f - s (f - z l(z)) (fdlibm, e_log.c): f is exact,
 * and only a correction carries the error of the division. log_tail holds l for 1 + f in [sqrt(1/2), sqrt(2)];
 * log_tail_wide for 1 + f in [1, 2], with which softplus needs no reduction.
 *
 * normal: with a = |x|, Phi(-a) = e^(-a^2 / 2) r q(t), r = 1 / (a + c) and t = (a - c) r = 2 a r - 1, a map of all
 * positive a to [-1, 1) under which the rest, a scaled complementary error function, is smooth (Schonfelder 1978). */
#if FM_REAL_IS_FLOAT
static const real exp_tail[] = {0x1.fffffep-2f, 0x1.5554aap-3f, 0x1.55579ap-5f, 0x1.122c38p-7f, 0x1.6ac10cp-10f};
static const real log_tail[] = {0x1.555568p-1f, 0x1.996c10p-2f, 0x1.30be34p-2f};
static const real log_tail_wide[] = {0x1.55550cp-1f, 0x1.99ce5ep-2f, 0x1.1eee8ap-2f, 0x1.1e0578p-2f};
static const real normal_tail_q[] = {0x1.84e44ap-1f,   -0x1.401104p-1f, 0x1.ac43d4p-2f,   -0x1.c39d5cp-3f,
                                     0x1.5d471ep-4f,   -0x1.3d539ep-6f, -0x1.8babdap-11f, 0x1.1e6decp-9f,
                                     -0x1.77ccc6p-12f, -0x1.e4249ep-13f};
static const real normal_centre = 4.25f, normal_end = 14.5f;
static const real log2_e = 0x1.715476p+0f, ln2_high = 0x1.62e430p-1f, ln2_low = -0x1.05c610p-29f;
static const real sqrt_half = 0x1.6a09e6p-1f;
static const real round_shift = 0x1.8p+23f; /* adding it leaves an integer in the low bits */
static const real exp_lowest = -104.5f;     /* below: e^x rounds to 0 */
static const real exp_highest = 89.0f;      /* above: it rounds to infinity */
static const real expm1_lowest = -18.0f;    /* below: e^x - 1 rounds to -1 */
static const real linear_below = 0x1p-30f;  /* e^x - 1 rounds to x */
static const real smallest_normal = 0x1p-126f, denormal_scale = 0x1p+24f, denormal_exponent = -24.0f;
static const real lowest_exponent = -126.0f;
#else
static const real exp_tail[] = {
    0x1.0000000000003p-1,  0x1.555555555553bp-3,  0x1.5555555552ad5p-5,  0x1.1111111118e62p-7,  0x1.6c16c17d4f2adp-10,
    0x1.a01a017446d94p-13, 0x1.a019ab2c723fep-16, 0x1.71de8be4a8f5ep-19, 0x1.289ec25022929p-22, 0x1.ae630c88da2dcp-26};
static const real log_tail[] = {0x1.555555555555dp-1, 0x1.999999998fd3cp-2, 0x1.2492493528c99p-2, 0x1.c71c5b8cd7cf3p-3,
                                0x1.7464700c6380cp-3, 0x1.39cd5ab992460p-3, 0x1.2d672bb54c55ep-3};
static const real log_tail_wide[] = {0x1.555555555564ap-1, 0x1.999999993e8aap-2, 0x1.2492495d1ca9cp-2,
                                     0x1.c71c5363167dap-3, 0x1.746177b264440p-3, 0x1.3ab546500f1acp-3,
                                     0x1.15d927a6c6788p-3, 0x1.99486af27eb95p-4, 0x1.67ca18c0f9ef9p-3};
static const real normal_tail_q[] = {
    0x1.80268b6d87866p-1,  -0x1.2d270844fc507p-1,  0x1.696910e54b010p-2,   -0x1.364e796e67c8fp-3,
    0x1.331cd053ed287p-5,  0x1.3246c5faf57c3p-10,  -0x1.10d157026e84cp-8,  0x1.3fc4db30efa05p-11,
    0x1.eca561fee2e39p-12, -0x1.eb9d995274a2bp-14, -0x1.25eb78aa45071p-14, 0x1.1e579678d0fc8p-16,
    0x1.be98916176e95p-17, -0x1.ba3b55c6e04cap-20, -0x1.7348b1959c7dcp-19, -0x1.5ab3333f83ee9p-23,
    0x1.1f411128bc081p-21, 0x1.4af37d92f8687p-23,  -0x1.4fca9126e6fc3p-24, -0x1.ad052c5d64035p-25,
    0x1.34d1f09ecce69p-28, 0x1.2e443a1aba065p-27,  0x1.7e7a76e40937ep-31,  -0x1.18627043f2009p-31};
static const real normal_centre = 3.75, normal_end = 38.75;
static const real log2_e = 0x1.71547652b82fep+0, ln2_high = 0x1.62e42fefa39efp-1, ln2_low = 0x1.abc9e3b39803fp-56;
static const real sqrt_half = 0x1.6a09e667f3bcdp-1;
static const real round_shift = 0x1.8p+52;
static const real exp_lowest = -746.0;
static const real exp_highest = 710.0;
static const real expm1_lowest = -40.0;
static const real linear_below = 0x1p-60;
static const real smallest_normal = 0x1p-1022, denormal_scale = 0x1p+54, denormal_exponent = -54.0;
static const real lowest_exponent = -1022.0;
#endif
enum { EXP_TAIL = sizeof exp_tail / sizeof exp_tail[0] };
enum { LOG_TAIL = sizeof log_tail / sizeof log_tail[0] };
enum { LOG_TAIL_WIDE = sizeof log_tail_wide / sizeof log_tail_wide[0] };
enum { NORMAL_TAIL = sizeof normal_tail_q / sizeof normal_tail_q[0] };

/* c[last] x^k + ... + c[last - k step], where the last index is the least that is not negative. */
FM_INLINE vreal horner(const real *c, int last, int step, vreal x) {
  vreal y = vset1(c[last]);
  for (int i = last - step; i >= 0; i -= step) y = vfma(y, x, vset1(c[i]));
  return y;
}

/* Callers have many independent vectors in flight, so what counts is the number of operations: Horner. But a long chain
 * fills the scheduler before it ends; that runs as two, odd and even powers, for one multiplication more. */
FM_INLINE vreal polynomial(const real *c, int count, vreal x) {
  if (count <= 5) return horner(c, count - 1, 1, x);
  const int last_odd = count / 2 * 2 - 1, last_even = (count - 1) / 2 * 2;
  const vreal x2 = vmul(x, x);
  return vfma(horner(c, last_odd, 2, x2), x, horner(c, last_even, 2, x2));
}

/* Returns r, and n as a real. The sum with round_shift rounds to an integer in the same instruction as the product. */
FM_INLINE vreal exp_reduce(vreal x, vreal *n) {
  *n = vsub(vfma(x, vset1(log2_e), vset1(round_shift)), vset1(round_shift));
  return vfnma(*n, vset1(ln2_low), vfnma(*n, vset1(ln2_high), x));
}

FM_INLINE vreal exp_reduced(vreal r, vreal n) {
  const vreal one = vset1(1), q = polynomial(exp_tail, EXP_TAIL, r);
  return vscale(vfma(vfma(q, r, one), r, one), n);
}

FM_INLINE vreal exp_bounded(vreal x) {
  vreal n;
  const vreal r = exp_reduce(x, &n);
  return exp_reduced(r, n);
}

/* Bounds come first in vmax and vmin so that NaN passes. */
FM_INLINE vreal exp_of_minus_abs(vreal x) { return exp_bounded(vmax(vset1(exp_lowest), vcopysign(x, vset1(-1)))); }

FM_INLINE vreal vexp(vreal x) { return exp_bounded(vmin(vset1(exp_highest), vmax(vset1(exp_lowest), x))); }

/* e^r - 1 and n, with which e^x - 1 = 2^n (e^r - 1) + (2^n - 1). */
FM_INLINE vreal expm1_reduced(vreal x, vreal *n) {
  const vreal r = exp_reduce(x, n);
  return vfma(polynomial(exp_tail, EXP_TAIL, r), vmul(r, r), r);
}

/* At half the size, because 2^n overflows where the result is still finite. */
FM_INLINE vreal vexpm1(vreal x) {
  vreal n;
  const vreal p = expm1_reduced(vmin(vset1(exp_highest), vmax(vset1(expm1_lowest), x)), &n);
  const vreal half_scale = vexp2i(vsub(n, vset1(1)));
  const vreal half = vfma(p, half_scale, vsub(half_scale, vset1((real)0.5)));
  return vselect(vlt(vabs(x), vset1(linear_below)), x, vadd(half, half));
}

/* tanh |x| = -t / (2 + t) with t = e^(-2 |x|) - 1: one division, no cancellation near 0 and no overflow. */
FM_INLINE vreal vtanh(vreal x) {
  vreal n;
  const vreal p = expm1_reduced(vmax(vset1(expm1_lowest), vmul(vabs(x), vset1(-2))), &n);
  const vreal scale = vexp2i(n);
  const vreal t = vfma(p, scale, vsub(scale, vset1(1)));
  return vcopysign(vdiv(t, vadd(vset1(2), t)), x);
}

/* 1 / (1 + e^-x), from e = e^-|x| so that nothing overflows and small results keep their digits. */
FM_INLINE vreal vlogistic(vreal x) {
  const vreal one = vset1(1), e = exp_of_minus_abs(x);
  return vdiv(vselect(vlt(x, vzero()), e, one), vadd(one, e));
}

/* t in log(1 + f) = f - t. */
FM_INLINE vreal log_correction(vreal f, const real *tail, int count) {
  const vreal s = vdiv(f, vadd(vset1(2), f));
  const vreal z = vmul(s, s);
  return vmul(s, vfnma(z, polynomial(tail, count, z), f));
}

/* For a positive normal a: a = m 2^n with m in [sqrt(1/2), sqrt(2)). */
FM_INLINE vreal log_split(vreal a, vreal *n) {
  const vreal m = vmantissa(a), e = vexponent(a);
  const vmask low = vlt(m, vset1(sqrt_half));
  *n = vselect(low, vsub(e, vset1(1)), e);
  return vselect(low, vadd(m, m), m);
}

FM_INLINE vreal log_join(vreal n, vreal f) {
  const vreal t = log_correction(f, log_tail, LOG_TAIL);
  return vfma(n, vset1(ln2_high), vsub(f, vfnma(n, vset1(ln2_low), t)));
}

/* y above the pole of a logarithm, minus infinity at it, NaN below and for NaN; infinity for infinity. */
FM_INLINE vreal log_with_specials(vreal y, vreal x, real pole) {
  const vreal outside = vselect(veq(x, vset1(pole)), vset1((real)-INFINITY), vset1((real)NAN));
  return vselect(vlt(vset1(pole), x), vselect(vlt(x, vset1((real)INFINITY)), y, x), outside);
}

FM_INLINE vreal vlog(vreal x) {
  const vmask denormal = vlt(x, vset1(smallest_normal));
  vreal n;
  const vreal m = log_split(vselect(denormal, vmul(x, vset1(denormal_scale)), x), &n);
  n = vadd(n, vselect(denormal, vset1(denormal_exponent), vzero()));
  return log_with_specials(log_join(n, vsub(m, vset1(1))), x, 0);
}

/* What rounding 1 + x lost, `lost`, is put back where it is exact to do so: into f = m - 1 (Kahan's idea, without the
 * quotient). For n = 0 this makes f = x. */
FM_INLINE vreal vlog1p(vreal x) {
  const vreal one = vset1(1), high = vmax(x, one), low = vmin(x, one);
  const vreal sum = vadd(high, low), lost = vsub(low, vsub(sum, high));
  vreal n;
  const vreal m = log_split(sum, &n);
  const vreal scale = vexp2i(vmax(vsub(vzero(), n), vset1(lowest_exponent)));
  const vreal y = log_join(n, vfma(lost, scale, vsub(m, one)));
  return vcopysign(log_with_specials(y, x, -1), x);
}

/* log(1 + e^x) = max(x, 0) + log(1 + e^-|x|). */
FM_INLINE vreal vsoftplus(vreal x) {
  const vreal e = exp_of_minus_abs(x);
  return vadd(vmax(x, vzero()), vsub(e, log_correction(e, log_tail_wide, LOG_TAIL_WIDE)));
}

/* Phi(-|x|), the tail of the standard normal, and its density. The exponential is of the rounded square; what that has
 * lost is put back. Beyond `normal_end` both are 0. */
FM_INLINE vreal normal_tail(vreal x, vreal *density) {
  const vreal a = vmin(vset1(normal_end), vabs(x)), square = vmul(a, a), half = vset1((real)-0.5);
  const vreal lost = vfma(a, a, vsub(vzero(), square));
  vreal n;
  const vreal rest = exp_reduce(vmax(vset1(exp_lowest), vmul(square, half)), &n);
  const vreal power = exp_reduced(vfma(lost, half, rest), n);
  const vreal r = vdiv(vset1(1), vadd(a, vset1(normal_centre)));
  const vreal t = vfma(vset1(2), vmul(a, r), vset1(-1));                     /* near -1 as exact as can be */
  *density = vmul(power, vset1((real)0.39894228040143267794));               /* 1 / sqrt(2 pi) */
  return vmul(vmul(power, r), horner(normal_tail_q, NORMAL_TAIL - 1, 1, t)); /* odd and even powers would cancel */
}

FM_INLINE vreal vnormal_cdf(vreal x) {
  vreal density;
  const vreal tail = normal_tail(x, &density);
  return vselect(vlt(x, vzero()), tail, vsub(vset1(1), tail));
}

/* -1, 0 or 1; NaN stays NaN, and a zero keeps its sign. */
FM_INLINE vreal vsign(vreal x) { return vselect(vlt(vzero(), vabs(x)), vcopysign(vset1(1), x), x); }

typedef vreal (*math_function)(vreal);

FM_INLINE void math_array(math_function f, ptrdiff_t n, const real *x, real *out) {
  ptrdiff_t i = 0;
  for (; i + VL <= n; i += VL) vstore(out + i, f(vload(x + i)));
  if (i == n) return;
  real last[VL] = {0};
  for (ptrdiff_t j = i; j < n; j++) last[j - i] = x[j];
  vstore(last, f(vload(last)));
  for (ptrdiff_t j = i; j < n; j++) out[j] = last[j - i];
}

#define MATH(name, ulp32, ulp64) \
  static void name##_array(ptrdiff_t n, const void *x, void *out) { math_array(v##name, n, x, out); }
#include "math.def"
#undef MATH
