/* The vector words on AArch64 Advanced SIMD. Mirrors vec_scalar.h word by word, and says only what differs.
 * Included after <arm_neon.h>; FM_REAL_IS_FLOAT says which dtype this translation unit is. */
#ifndef FASTMLP_VEC_NEON_H
#define FASTMLP_VEC_NEON_H

#include "../base.h"

/* Sixteen accumulators, two vectors of the panel and the broadcasts, of thirty-two registers. */
enum { FM_TILE_ROWS = 8 };

#if FM_REAL_IS_FLOAT

typedef float real;
typedef float32x4_t vreal;
typedef uint32x4_t vmask;
enum { VL = 4 };

FM_INLINE vreal vload(const real *p) { return vld1q_f32(p); }
FM_INLINE vreal vload_u16(const uint16_t *p) { return vcvtq_f32_u32(vmovl_u16(vld1_u16(p))); }
FM_INLINE void vstore(real *p, vreal a) { vst1q_f32(p, a); }
FM_INLINE vreal vset1(real a) { return vdupq_n_f32(a); }
FM_INLINE vreal vzero(void) { return vdupq_n_f32(0.0f); }
FM_INLINE vreal vadd(vreal a, vreal b) { return vaddq_f32(a, b); }
FM_INLINE vreal vsub(vreal a, vreal b) { return vsubq_f32(a, b); }
FM_INLINE vreal vmul(vreal a, vreal b) { return vmulq_f32(a, b); }
FM_INLINE vreal vdiv(vreal a, vreal b) { return vdivq_f32(a, b); }
FM_INLINE vreal vsqrt(vreal a) { return vsqrtq_f32(a); }
FM_INLINE vreal vfma(vreal a, vreal b, vreal c) { return vfmaq_f32(c, a, b); }
FM_INLINE vreal vfnma(vreal a, vreal b, vreal c) { return vfmsq_f32(c, a, b); }
/* Not FMAX and FMIN: those return NaN when either operand is. */
FM_INLINE vreal vmax(vreal a, vreal b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
FM_INLINE vreal vmin(vreal a, vreal b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
FM_INLINE vreal vabs(vreal a) { return vabsq_f32(a); }
FM_INLINE vreal vcopysign(vreal magnitude, vreal sign) { return vbslq_f32(vdupq_n_u32(0x80000000u), sign, magnitude); }
FM_INLINE vreal vround(vreal a) { return vrndnq_f32(a); }
FM_INLINE vmask vlt(vreal a, vreal b) { return vcltq_f32(a, b); }
FM_INLINE vmask vle(vreal a, vreal b) { return vcleq_f32(a, b); }
FM_INLINE vmask veq(vreal a, vreal b) { return vceqq_f32(a, b); }
FM_INLINE vreal vselect(vmask m, vreal yes, vreal no) { return vbslq_f32(m, yes, no); }

/* Adding 1.5 2^23 leaves an integer in the low bits: an addition instead of a conversion. */
FM_INLINE vreal vexp2i(vreal n) {
  const uint32x4_t biased = vreinterpretq_u32_f32(vaddq_f32(n, vdupq_n_f32(12582912.0f + 127.0f)));
  return vreinterpretq_f32_u32(vshlq_n_u32(biased, 23));
}
/* The two halves of the exponent are cut out of one shifted integer, already biased. */
FM_INLINE vreal vscale(vreal a, vreal n) {
  const uint32x4_t biased = vreinterpretq_u32_f32(vaddq_f32(n, vdupq_n_f32(12582912.0f + 254.0f)));
  const uint32x4_t half = vandq_u32(vshlq_n_u32(biased, 22), vdupq_n_u32(0xFF800000u));
  const uint32x4_t rest = vsubq_u32(vshlq_n_u32(biased, 23), half);
  return vmulq_f32(vmulq_f32(a, vreinterpretq_f32_u32(half)), vreinterpretq_f32_u32(rest));
}
FM_INLINE vreal vexponent(vreal a) {
  const int32x4_t e = vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_f32(a), 23));
  return vcvtq_f32_s32(vsubq_s32(e, vdupq_n_s32(126)));
}
FM_INLINE vreal vmantissa(vreal a) {
  return vreinterpretq_f32_u32(vbslq_u32(vdupq_n_u32(0x007FFFFFu), vreinterpretq_u32_f32(a), vdupq_n_u32(0x3F000000u)));
}
FM_INLINE vreal vfirst(vreal a, ptrdiff_t n) {
  static const int32_t lane[VL] = {0, 1, 2, 3};
  const uint32x4_t kept = vcgtq_s32(vdupq_n_s32(n <= 0 ? 0 : n >= VL ? VL : (int32_t)n), vld1q_s32(lane));
  return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(a), kept));
}
FM_INLINE real vsum(vreal a) {
  const float32x2_t d = vadd_f32(vget_low_f32(a), vget_high_f32(a));
  return vget_lane_f32(d, 0) + vget_lane_f32(d, 1);
}
FM_INLINE real vlargest(vreal a) {
  const float32x2_t low = vget_low_f32(a), high = vget_high_f32(a);
  const float32x2_t d = vbsl_f32(vcgt_f32(low, high), low, high);
  return vget_lane_f32(d, 0) > vget_lane_f32(d, 1) ? vget_lane_f32(d, 0) : vget_lane_f32(d, 1);
}

FM_INLINE void vtranspose(const real *in, ptrdiff_t in_stride, real *out, ptrdiff_t out_stride) {
  const vreal r0 = vload(in), r1 = vload(in + in_stride);
  const vreal r2 = vload(in + 2 * in_stride), r3 = vload(in + 3 * in_stride);
  const float64x2_t lo01 = vreinterpretq_f64_f32(vzip1q_f32(r0, r1)), hi01 = vreinterpretq_f64_f32(vzip2q_f32(r0, r1));
  const float64x2_t lo23 = vreinterpretq_f64_f32(vzip1q_f32(r2, r3)), hi23 = vreinterpretq_f64_f32(vzip2q_f32(r2, r3));
  vstore(out, vreinterpretq_f32_f64(vzip1q_f64(lo01, lo23)));
  vstore(out + out_stride, vreinterpretq_f32_f64(vzip2q_f64(lo01, lo23)));
  vstore(out + 2 * out_stride, vreinterpretq_f32_f64(vzip1q_f64(hi01, hi23)));
  vstore(out + 3 * out_stride, vreinterpretq_f32_f64(vzip2q_f64(hi01, hi23)));
}

/* The nearest bfloat16 in the upper half of each number's bits; what is below is anything. */
FM_INLINE uint32x4_t fm_bfloat16(vreal a) {
  const uint32x4_t bits = vreinterpretq_u32_f32(a), odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  const uint32x4_t rounded = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7FFF)), odd);
  const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x00400000u));
  const uint32x4_t normal = vtstq_u32(bits, vdupq_n_u32(0x7F800000u));
  return vbslq_u32(vceqq_f32(a, a), vbslq_u32(normal, rounded, vandq_u32(bits, vdupq_n_u32(0x80000000u))), quiet);
}
FM_INLINE vreal vpair(vreal first, vreal second) {
  return vreinterpretq_f32_u32(vsriq_n_u32(fm_bfloat16(second), fm_bfloat16(first), 16));
}
FM_INLINE vreal vpair_along(vreal low, vreal high) {
  const uint16x4_t first = vshrn_n_u32(fm_bfloat16(low), 16), second = vshrn_n_u32(fm_bfloat16(high), 16);
  return vreinterpretq_f32_u16(vcombine_u16(first, second));
}
/* Not FPCR's flush to zero, which looks at what a number was before rounding to 24 bits, and x86 afterwards. */
FM_INLINE vreal fm_fma_flushed(vreal a, vreal b, vreal c) {
  const vreal sum = vfmaq_f32(c, a, b);
  const uint32x4_t tiny = vcleq_f32(vabsq_f32(sum), vdupq_n_f32(0x1p-126f));
  if (vmaxvq_u32(vandq_u32(tiny, vtstq_u32(vreinterpretq_u32_f32(sum), vdupq_n_u32(0x7FFFFFFFu)))) == 0) return sum;
  real x[VL], y[VL], z[VL], s[VL];
  vstore(x, a), vstore(y, b), vstore(z, c), vstore(s, sum);
  for (int i = 0; i < VL; i++)
    if (fabsf(s[i]) <= 0x1p-126f && fabs((double)x[i] * (double)y[i] + (double)z[i]) < 0x1p-126 - 0x1p-151)
      s[i] = copysignf(0.0f, s[i]);
  return vload(s);
}
FM_INLINE vreal vdot(vreal left, vreal right, vreal sum) {
  const uint32x4_t l = vreinterpretq_u32_f32(left), r = vreinterpretq_u32_f32(right), upper = vdupq_n_u32(0xFFFF0000u);
  sum = fm_fma_flushed(vreinterpretq_f32_u32(vandq_u32(l, upper)), vreinterpretq_f32_u32(vandq_u32(r, upper)), sum);
  return fm_fma_flushed(vreinterpretq_f32_u32(vshlq_n_u32(l, 16)), vreinterpretq_f32_u32(vshlq_n_u32(r, 16)), sum);
}
FM_INLINE unsigned fm_flush_on(void) { return 0; }
FM_INLINE void fm_flush_back(unsigned before) { (void)before; }

#else

typedef double real;
typedef float64x2_t vreal;
typedef uint64x2_t vmask;
enum { VL = 2 };

FM_INLINE vreal vload(const real *p) { return vld1q_f64(p); }
FM_INLINE vreal vload_u16(const uint16_t *p) {
  const uint64_t each[VL] = {p[0], p[1]};
  return vcvtq_f64_u64(vld1q_u64(each));
}
FM_INLINE void vstore(real *p, vreal a) { vst1q_f64(p, a); }
FM_INLINE vreal vset1(real a) { return vdupq_n_f64(a); }
FM_INLINE vreal vzero(void) { return vdupq_n_f64(0.0); }
FM_INLINE vreal vadd(vreal a, vreal b) { return vaddq_f64(a, b); }
FM_INLINE vreal vsub(vreal a, vreal b) { return vsubq_f64(a, b); }
FM_INLINE vreal vmul(vreal a, vreal b) { return vmulq_f64(a, b); }
FM_INLINE vreal vdiv(vreal a, vreal b) { return vdivq_f64(a, b); }
FM_INLINE vreal vsqrt(vreal a) { return vsqrtq_f64(a); }
FM_INLINE vreal vfma(vreal a, vreal b, vreal c) { return vfmaq_f64(c, a, b); }
FM_INLINE vreal vfnma(vreal a, vreal b, vreal c) { return vfmsq_f64(c, a, b); }
FM_INLINE vreal vmax(vreal a, vreal b) { return vbslq_f64(vcgtq_f64(a, b), a, b); }
FM_INLINE vreal vmin(vreal a, vreal b) { return vbslq_f64(vcltq_f64(a, b), a, b); }
FM_INLINE vreal vabs(vreal a) { return vabsq_f64(a); }
FM_INLINE vreal vcopysign(vreal magnitude, vreal sign) {
  return vbslq_f64(vdupq_n_u64(0x8000000000000000u), sign, magnitude);
}
FM_INLINE vreal vround(vreal a) { return vrndnq_f64(a); }
FM_INLINE vmask vlt(vreal a, vreal b) { return vcltq_f64(a, b); }
FM_INLINE vmask vle(vreal a, vreal b) { return vcleq_f64(a, b); }
FM_INLINE vmask veq(vreal a, vreal b) { return vceqq_f64(a, b); }
FM_INLINE vreal vselect(vmask m, vreal yes, vreal no) { return vbslq_f64(m, yes, no); }

FM_INLINE vreal vexp2i(vreal n) {
  const uint64x2_t biased = vreinterpretq_u64_f64(vaddq_f64(n, vdupq_n_f64(6755399441055744.0 + 1023.0)));
  return vreinterpretq_f64_u64(vshlq_n_u64(biased, 52));
}
FM_INLINE vreal vscale(vreal a, vreal n) {
  const uint64x2_t biased = vreinterpretq_u64_f64(vaddq_f64(n, vdupq_n_f64(6755399441055744.0 + 2046.0)));
  const uint64x2_t half = vandq_u64(vshlq_n_u64(biased, 51), vdupq_n_u64(0xFFF0000000000000u));
  const uint64x2_t rest = vsubq_u64(vshlq_n_u64(biased, 52), half);
  return vmulq_f64(vmulq_f64(a, vreinterpretq_f64_u64(half)), vreinterpretq_f64_u64(rest));
}
FM_INLINE vreal vexponent(vreal a) {
  const int64x2_t e = vreinterpretq_s64_u64(vshrq_n_u64(vreinterpretq_u64_f64(a), 52));
  return vcvtq_f64_s64(vsubq_s64(e, vdupq_n_s64(1022)));
}
FM_INLINE vreal vmantissa(vreal a) {
  return vreinterpretq_f64_u64(
      vbslq_u64(vdupq_n_u64(0x000FFFFFFFFFFFFFu), vreinterpretq_u64_f64(a), vdupq_n_u64(0x3FE0000000000000u)));
}
FM_INLINE vreal vfirst(vreal a, ptrdiff_t n) {
  static const int64_t lane[VL] = {0, 1};
  const uint64x2_t kept = vcgtq_s64(vdupq_n_s64(n), vld1q_s64(lane));
  return vreinterpretq_f64_u64(vandq_u64(vreinterpretq_u64_f64(a), kept));
}
FM_INLINE real vsum(vreal a) { return vgetq_lane_f64(a, 0) + vgetq_lane_f64(a, 1); }
FM_INLINE real vlargest(vreal a) {
  return vgetq_lane_f64(a, 0) > vgetq_lane_f64(a, 1) ? vgetq_lane_f64(a, 0) : vgetq_lane_f64(a, 1);
}

FM_INLINE void vtranspose(const real *in, ptrdiff_t in_stride, real *out, ptrdiff_t out_stride) {
  const vreal r0 = vload(in), r1 = vload(in + in_stride);
  vstore(out, vzip1q_f64(r0, r1));
  vstore(out + out_stride, vzip2q_f64(r0, r1));
}

#endif

#endif
