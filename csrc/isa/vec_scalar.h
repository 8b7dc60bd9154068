/* The vector words on one lane: the vocabulary in which every kernel is written, in plain C. The other vec_*.h mirror
 * this file word by word and give the same bits. Includes the C standard library only; FM_REAL_IS_FLOAT says which
 * dtype this translation unit is. */
#ifndef FASTMLP_VEC_SCALAR_H
#define FASTMLP_VEC_SCALAR_H

#include <math.h>
#include <string.h>

#include "../base.h"

/* The register tile: FM_TILE_ROWS rows by two vectors of accumulators. */
enum { FM_TILE_ROWS = 4 };

enum { VL = 1 };
typedef int vmask;

#if FM_REAL_IS_FLOAT

typedef float real;
typedef float vreal;
typedef uint32_t fm_bits;
enum { FM_MANTISSA_BITS = 23, FM_EXPONENT_BIAS = 127 };

FM_INLINE vreal vsqrt(vreal a) { return sqrtf(a); }
FM_INLINE vreal vfma(vreal a, vreal b, vreal c) { return fmaf(a, b, c); } /* a b + c, rounded once */
FM_INLINE vreal vround(vreal a) { return nearbyintf(a); }                 /* to the nearest integer, ties to even */

#else

typedef double real;
typedef double vreal;
typedef uint64_t fm_bits;
enum { FM_MANTISSA_BITS = 52, FM_EXPONENT_BIAS = 1023 };

FM_INLINE vreal vsqrt(vreal a) { return sqrt(a); }
FM_INLINE vreal vfma(vreal a, vreal b, vreal c) { return fma(a, b, c); }
FM_INLINE vreal vround(vreal a) { return nearbyint(a); }

#endif

FM_INLINE fm_bits fm_bits_of(vreal a) {
  fm_bits b;
  memcpy(&b, &a, sizeof b);
  return b;
}
FM_INLINE vreal fm_from_bits(fm_bits b) {
  vreal a;
  memcpy(&a, &b, sizeof a);
  return a;
}

static const fm_bits fm_sign_bit FM_UNUSED = (fm_bits)1 << (8 * sizeof(fm_bits) - 1);
static const fm_bits fm_mantissa_mask FM_UNUSED = ((fm_bits)1 << FM_MANTISSA_BITS) - 1;
static const real fm_round_shift FM_UNUSED = (real)3 * ((fm_bits)1 << (FM_MANTISSA_BITS - 1));

FM_INLINE vreal vload(const real *p) { return *p; }
FM_INLINE vreal vload_u16(const uint16_t *p) { return *p; } /* as numbers, which both dtypes hold exactly */
FM_INLINE void vstore(real *p, vreal a) { *p = a; }
FM_INLINE vreal vset1(real a) { return a; }
FM_INLINE vreal vzero(void) { return 0; }
FM_INLINE vreal vadd(vreal a, vreal b) { return a + b; }
FM_INLINE vreal vsub(vreal a, vreal b) { return a - b; }
FM_INLINE vreal vmul(vreal a, vreal b) { return a * b; }
FM_INLINE vreal vdiv(vreal a, vreal b) { return a / b; }
FM_INLINE vreal vfnma(vreal a, vreal b, vreal c) { return vfma(-a, b, c); } /* c - a b, rounded once */
FM_INLINE vreal vmax(vreal a, vreal b) { return a > b ? a : b; }            /* b when either is NaN */
FM_INLINE vreal vmin(vreal a, vreal b) { return a < b ? a : b; }            /* b when either is NaN */
FM_INLINE vreal vabs(vreal a) { return fm_from_bits(fm_bits_of(a) & ~fm_sign_bit); }
FM_INLINE vreal vcopysign(vreal magnitude, vreal sign) {
  return fm_from_bits((fm_bits_of(magnitude) & ~fm_sign_bit) | (fm_bits_of(sign) & fm_sign_bit));
}
FM_INLINE vmask vlt(vreal a, vreal b) { return a < b; } /* false when either is NaN */
FM_INLINE vmask vle(vreal a, vreal b) { return a <= b; }
FM_INLINE vmask veq(vreal a, vreal b) { return a == b; }
FM_INLINE vreal vselect(vmask m, vreal yes, vreal no) { return m ? yes : no; }

/* 2^n for an integer-valued n from the least normal exponent, -126 or -1022, to the greatest, 127 or 1023; one less
 * gives 0, one more infinity. Adding 1.5 2^23 (2^52) leaves an integer in the low bits: cheaper than a conversion on
 * every ISA, and defined for NaN, whose result is unspecified. */
FM_INLINE vreal vexp2i(vreal n) {
  return fm_from_bits(fm_bits_of(n + (fm_round_shift + FM_EXPONENT_BIAS)) << FM_MANTISSA_BITS);
}
/* a 2^n, rounded once, also where that overflows or is denormal. For an integer-valued n of at most twice the magnitude
 * that vexp2i takes and a in [1/2, 2]; NaN when a is, whatever n. Two factors, because 2^n alone may not exist; the
 * first product is exact. */
FM_INLINE vreal vscale(vreal a, vreal n) {
  const fm_bits biased = fm_bits_of(n + (fm_round_shift + 2 * FM_EXPONENT_BIAS));
  const fm_bits half = (biased << (FM_MANTISSA_BITS - 1)) & ~fm_mantissa_mask;
  const fm_bits rest = (biased << FM_MANTISSA_BITS) - half;
  return a * fm_from_bits(half) * fm_from_bits(rest);
}
/* For a positive normal a: a = mantissa 2^exponent with mantissa in [0.5, 1); the exponent as a real. */
FM_INLINE vreal vexponent(vreal a) {
  return (vreal)((int32_t)(fm_bits_of(a) >> FM_MANTISSA_BITS) - (FM_EXPONENT_BIAS - 1));
}
FM_INLINE vreal vmantissa(vreal a) {
  return fm_from_bits((fm_bits_of(a) & fm_mantissa_mask) | ((fm_bits)(FM_EXPONENT_BIAS - 1) << FM_MANTISSA_BITS));
}
/* Lanes 0 .. n-1 as they are, the others 0; n may be negative or beyond VL. */
FM_INLINE vreal vfirst(vreal a, ptrdiff_t n) { return n <= 0 ? 0 : a; }
/* The sum and the largest of all lanes, by halves: lanes i and i + VL / 2, then i and i + VL / 4, and so on. */
FM_INLINE real vsum(vreal a) { return a; }
FM_INLINE real vlargest(vreal a) { return a; }

#if FM_REAL_IS_FLOAT
/* Pairs: two bfloat16 in the place of one float, the first in its lower half. */

/* A number rounded to the nearest bfloat16, ties to even, in the upper half of its bits, as VCVTNEPS2BF16 does:
 * denormals become 0, NaN stays NaN. */
FM_INLINE fm_bits fm_bfloat16(vreal a) {
  const fm_bits bits = fm_bits_of(a);
  if ((bits & 0x7F800000u) == 0) return bits & fm_sign_bit;
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return (bits | 0x00400000u) & 0xFFFF0000u;
  return (bits + 0x7FFFu + (bits >> 16 & 1u)) & 0xFFFF0000u;
}
FM_INLINE vreal vpair(vreal first, vreal second) {
  return fm_from_bits(fm_bfloat16(first) >> 16 | fm_bfloat16(second));
}
/* The pairs of neighbours of 2 VL numbers that follow each other. */
FM_INLINE vreal vpair_along(vreal low, vreal high) { return vpair(low, high); }
/* a b + c, rounded once, and 0 where that is less than the least normal number: seen from before it was rounded as a
 * denormal, as x86 does it. Nothing here is a denormal. In doubles, the sum of what makes one is exact. */
FM_INLINE vreal fm_fma_flushed(vreal a, vreal b, vreal c) {
  const vreal sum = vfma(a, b, c);
  if (!(vabs(sum) <= 0x1p-126f) || sum == 0) return sum;
  const double exact = (double)a * (double)b + (double)c;
  return fabs(exact) < 0x1p-126 - 0x1p-151 ? vcopysign(0, sum) : sum;
}
/* sum + the products of both of two pairs, as VDPBF16PS has it: that of the second numbers first, each one added with
 * one rounding. Denormals are taken and left as 0; pairs of vpair have none, and sums that begin with 0. */
FM_INLINE vreal vdot(vreal left, vreal right, vreal sum) {
  const fm_bits l = fm_bits_of(left), r = fm_bits_of(right);
  sum = fm_fma_flushed(fm_from_bits(l & 0xFFFF0000u), fm_from_bits(r & 0xFFFF0000u), sum);
  return fm_fma_flushed(fm_from_bits(l << 16), fm_from_bits(r << 16), sum);
}
/* What has to be said to the processor around vdot, and taken back. */
FM_INLINE unsigned fm_flush_on(void) { return 0; }
FM_INLINE void fm_flush_back(unsigned before) { (void)before; }
#endif

/* out[c * out_stride + r] = in[r * in_stride + c] for r, c < VL. */
FM_INLINE void vtranspose(const real *in, ptrdiff_t in_stride, real *out, ptrdiff_t out_stride) {
  (void)in_stride, (void)out_stride;
  *out = *in;
}

#endif
