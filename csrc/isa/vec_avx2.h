/* The vector words on AVX2 and FMA. Mirrors vec_scalar.h word by word, and says only what differs.
 * Included inside an ISA region, after <immintrin.h>; FM_REAL_IS_FLOAT says which dtype this translation unit is. */
#ifndef FASTMLP_VEC_AVX2_H
#define FASTMLP_VEC_AVX2_H

#include "../base.h"

/* Twelve accumulators, two vectors of the panel and one broadcast: fifteen of sixteen registers. */
enum { FM_TILE_ROWS = 6 };

#if FM_REAL_IS_FLOAT

typedef float real;
typedef __m256 vreal;
typedef __m256 vmask;
enum { VL = 8 };

FM_INLINE vreal vload(const real *p) { return _mm256_loadu_ps(p); }
FM_INLINE vreal vload_u16(const uint16_t *p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)));
}
FM_INLINE void vstore(real *p, vreal a) { _mm256_storeu_ps(p, a); }
FM_INLINE vreal vset1(real a) { return _mm256_set1_ps(a); }
FM_INLINE vreal vzero(void) { return _mm256_setzero_ps(); }
FM_INLINE vreal vadd(vreal a, vreal b) { return _mm256_add_ps(a, b); }
FM_INLINE vreal vsub(vreal a, vreal b) { return _mm256_sub_ps(a, b); }
FM_INLINE vreal vmul(vreal a, vreal b) { return _mm256_mul_ps(a, b); }
FM_INLINE vreal vdiv(vreal a, vreal b) { return _mm256_div_ps(a, b); }
FM_INLINE vreal vsqrt(vreal a) { return _mm256_sqrt_ps(a); }
FM_INLINE vreal vfma(vreal a, vreal b, vreal c) { return _mm256_fmadd_ps(a, b, c); }
FM_INLINE vreal vfnma(vreal a, vreal b, vreal c) { return _mm256_fnmadd_ps(a, b, c); }
FM_INLINE vreal vmax(vreal a, vreal b) { return _mm256_max_ps(a, b); }
FM_INLINE vreal vmin(vreal a, vreal b) { return _mm256_min_ps(a, b); }
FM_INLINE vreal vabs(vreal a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
FM_INLINE vreal vcopysign(vreal magnitude, vreal sign) {
  const vreal sign_bit = _mm256_set1_ps(-0.0f);
  return _mm256_or_ps(_mm256_andnot_ps(sign_bit, magnitude), _mm256_and_ps(sign_bit, sign));
}
FM_INLINE vreal vround(vreal a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
FM_INLINE vmask vlt(vreal a, vreal b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
FM_INLINE vmask vle(vreal a, vreal b) { return _mm256_cmp_ps(a, b, _CMP_LE_OQ); }
FM_INLINE vmask veq(vreal a, vreal b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
FM_INLINE vreal vselect(vmask m, vreal yes, vreal no) { return _mm256_blendv_ps(no, yes, m); }

/* Adding 1.5 2^23 leaves an integer in the low bits: an addition instead of a conversion, and NaN cannot trip it. */
FM_INLINE vreal vexp2i(vreal n) {
  const __m256i biased = _mm256_castps_si256(_mm256_add_ps(n, _mm256_set1_ps(12582912.0f + 127.0f)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
}
/* The two halves of the exponent are cut out of one shifted integer, already biased. */
FM_INLINE vreal vscale(vreal a, vreal n) {
  const __m256i biased = _mm256_castps_si256(_mm256_add_ps(n, _mm256_set1_ps(12582912.0f + 254.0f)));
  const __m256i half = _mm256_and_si256(_mm256_slli_epi32(biased, 22), _mm256_set1_epi32((int)0xFF800000u));
  const __m256i rest = _mm256_sub_epi32(_mm256_slli_epi32(biased, 23), half);
  return _mm256_mul_ps(_mm256_mul_ps(a, _mm256_castsi256_ps(half)), _mm256_castsi256_ps(rest));
}
FM_INLINE vreal vexponent(vreal a) {
  const __m256i e = _mm256_srli_epi32(_mm256_castps_si256(a), 23);
  return _mm256_cvtepi32_ps(_mm256_sub_epi32(e, _mm256_set1_epi32(126)));
}
FM_INLINE vreal vmantissa(vreal a) {
  const __m256i m = _mm256_and_si256(_mm256_castps_si256(a), _mm256_set1_epi32(0x007FFFFF));
  return _mm256_castsi256_ps(_mm256_or_si256(m, _mm256_set1_epi32(0x3F000000)));
}
FM_INLINE vreal vfirst(vreal a, ptrdiff_t n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i kept = _mm256_cmpgt_epi32(_mm256_set1_epi32(n <= 0 ? 0 : n >= VL ? VL : (int)n), lane);
  return _mm256_and_ps(a, _mm256_castsi256_ps(kept));
}

FM_INLINE real vsum(vreal a) {
  const __m128 q = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 d = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(d, _mm_movehdup_ps(d)));
}
FM_INLINE real vlargest(vreal a) {
  const __m128 q = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 d = _mm_max_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_max_ss(d, _mm_movehdup_ps(d)));
}

/* Four columns of rows r and r + 4, one in each half: the loads do the moves across halves. */
FM_INLINE vreal fm_load_quarters(const real *in, ptrdiff_t stride) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(in)), _mm_loadu_ps(in + 4 * stride), 1);
}
FM_INLINE void vtranspose(const real *in, ptrdiff_t in_stride, real *out, ptrdiff_t out_stride) {
  for (ptrdiff_t c = 0; c < VL; c += 4) {
    const vreal r0 = fm_load_quarters(in + c, in_stride), r1 = fm_load_quarters(in + in_stride + c, in_stride);
    const vreal r2 = fm_load_quarters(in + 2 * in_stride + c, in_stride);
    const vreal r3 = fm_load_quarters(in + 3 * in_stride + c, in_stride);
    const __m256d lo01 = _mm256_castps_pd(_mm256_unpacklo_ps(r0, r1));
    const __m256d hi01 = _mm256_castps_pd(_mm256_unpackhi_ps(r0, r1));
    const __m256d lo23 = _mm256_castps_pd(_mm256_unpacklo_ps(r2, r3));
    const __m256d hi23 = _mm256_castps_pd(_mm256_unpackhi_ps(r2, r3));
    vstore(out + c * out_stride, _mm256_castpd_ps(_mm256_unpacklo_pd(lo01, lo23)));
    vstore(out + (c + 1) * out_stride, _mm256_castpd_ps(_mm256_unpackhi_pd(lo01, lo23)));
    vstore(out + (c + 2) * out_stride, _mm256_castpd_ps(_mm256_unpacklo_pd(hi01, hi23)));
    vstore(out + (c + 3) * out_stride, _mm256_castpd_ps(_mm256_unpackhi_pd(hi01, hi23)));
  }
}

/* The nearest bfloat16 in the upper half of each number's bits; what is below is anything. */
FM_INLINE __m256i fm_bfloat16(vreal a) {
  const __m256i bits = _mm256_castps_si256(a), exponent = _mm256_set1_epi32(0x7F800000);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7FFF)), odd);
  const __m256i denormal = _mm256_cmpeq_epi32(_mm256_and_si256(bits, exponent), _mm256_setzero_si256());
  const __m256i sign = _mm256_and_si256(bits, _mm256_set1_epi32((int)0x80000000u));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x00400000));
  return _mm256_blendv_epi8(_mm256_blendv_epi8(rounded, sign, denormal), quiet, nan);
}
FM_INLINE vreal vpair(vreal first, vreal second) {
  return _mm256_castsi256_ps(_mm256_blend_epi16(_mm256_srli_epi32(fm_bfloat16(first), 16), fm_bfloat16(second), 0xAA));
}
FM_INLINE vreal vpair_along(vreal low, vreal high) {
  const __m256i packed =
      _mm256_packus_epi32(_mm256_srli_epi32(fm_bfloat16(low), 16), _mm256_srli_epi32(fm_bfloat16(high), 16));
  return _mm256_castsi256_ps(_mm256_permute4x64_epi64(packed, _MM_SHUFFLE(3, 1, 2, 0)));
}
FM_INLINE vreal vdot(vreal left, vreal right, vreal sum) {
  const __m256i l = _mm256_castps_si256(left), r = _mm256_castps_si256(right);
  const vreal upper = _mm256_castsi256_ps(_mm256_set1_epi32((int)0xFFFF0000u));
  sum = _mm256_fmadd_ps(_mm256_and_ps(left, upper), _mm256_and_ps(right, upper), sum);
  return _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_slli_epi32(l, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(r, 16)),
                         sum);
}
/* MXCSR: denormals are taken and left as 0. */
FM_INLINE unsigned fm_flush_on(void) {
  const unsigned before = _mm_getcsr();
  _mm_setcsr(before | 0x8040u);
  return before;
}
FM_INLINE void fm_flush_back(unsigned before) { _mm_setcsr(before); }

#else

typedef double real;
typedef __m256d vreal;
typedef __m256d vmask;
enum { VL = 4 };

FM_INLINE vreal vload(const real *p) { return _mm256_loadu_pd(p); }
FM_INLINE vreal vload_u16(const uint16_t *p) {
  return _mm256_cvtepi32_pd(_mm_cvtepu16_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
FM_INLINE void vstore(real *p, vreal a) { _mm256_storeu_pd(p, a); }
FM_INLINE vreal vset1(real a) { return _mm256_set1_pd(a); }
FM_INLINE vreal vzero(void) { return _mm256_setzero_pd(); }
FM_INLINE vreal vadd(vreal a, vreal b) { return _mm256_add_pd(a, b); }
FM_INLINE vreal vsub(vreal a, vreal b) { return _mm256_sub_pd(a, b); }
FM_INLINE vreal vmul(vreal a, vreal b) { return _mm256_mul_pd(a, b); }
FM_INLINE vreal vdiv(vreal a, vreal b) { return _mm256_div_pd(a, b); }
FM_INLINE vreal vsqrt(vreal a) { return _mm256_sqrt_pd(a); }
FM_INLINE vreal vfma(vreal a, vreal b, vreal c) { return _mm256_fmadd_pd(a, b, c); }
FM_INLINE vreal vfnma(vreal a, vreal b, vreal c) { return _mm256_fnmadd_pd(a, b, c); }
FM_INLINE vreal vmax(vreal a, vreal b) { return _mm256_max_pd(a, b); }
FM_INLINE vreal vmin(vreal a, vreal b) { return _mm256_min_pd(a, b); }
FM_INLINE vreal vabs(vreal a) { return _mm256_andnot_pd(_mm256_set1_pd(-0.0), a); }
FM_INLINE vreal vcopysign(vreal magnitude, vreal sign) {
  const vreal sign_bit = _mm256_set1_pd(-0.0);
  return _mm256_or_pd(_mm256_andnot_pd(sign_bit, magnitude), _mm256_and_pd(sign_bit, sign));
}
FM_INLINE vreal vround(vreal a) { return _mm256_round_pd(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
FM_INLINE vmask vlt(vreal a, vreal b) { return _mm256_cmp_pd(a, b, _CMP_LT_OQ); }
FM_INLINE vmask vle(vreal a, vreal b) { return _mm256_cmp_pd(a, b, _CMP_LE_OQ); }
FM_INLINE vmask veq(vreal a, vreal b) { return _mm256_cmp_pd(a, b, _CMP_EQ_OQ); }
FM_INLINE vreal vselect(vmask m, vreal yes, vreal no) { return _mm256_blendv_pd(no, yes, m); }

FM_INLINE vreal vexp2i(vreal n) {
  const __m256i biased = _mm256_castpd_si256(_mm256_add_pd(n, _mm256_set1_pd(6755399441055744.0 + 1023.0)));
  return _mm256_castsi256_pd(_mm256_slli_epi64(biased, 52));
}
FM_INLINE vreal vscale(vreal a, vreal n) {
  const __m256i biased = _mm256_castpd_si256(_mm256_add_pd(n, _mm256_set1_pd(6755399441055744.0 + 2046.0)));
  const __m256i half = _mm256_and_si256(_mm256_slli_epi64(biased, 51), _mm256_set1_epi64x(-0x0010000000000000));
  const __m256i rest = _mm256_sub_epi64(_mm256_slli_epi64(biased, 52), half);
  return _mm256_mul_pd(_mm256_mul_pd(a, _mm256_castsi256_pd(half)), _mm256_castsi256_pd(rest));
}
/* AVX2 converts no 64-bit integers: put the exponent into the low bits of 2^52 and subtract that again. */
FM_INLINE vreal vexponent(vreal a) {
  const __m256i e = _mm256_srli_epi64(_mm256_castpd_si256(a), 52);
  const __m256d shifted = _mm256_castsi256_pd(_mm256_or_si256(e, _mm256_set1_epi64x(0x4330000000000000)));
  return _mm256_sub_pd(shifted, _mm256_set1_pd(4503599627370496.0 + 1022.0));
}
FM_INLINE vreal vmantissa(vreal a) {
  const __m256i m = _mm256_and_si256(_mm256_castpd_si256(a), _mm256_set1_epi64x(0x000FFFFFFFFFFFFF));
  return _mm256_castsi256_pd(_mm256_or_si256(m, _mm256_set1_epi64x(0x3FE0000000000000)));
}
FM_INLINE vreal vfirst(vreal a, ptrdiff_t n) {
  const __m256i kept = _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
  return _mm256_and_pd(a, _mm256_castsi256_pd(kept));
}

FM_INLINE real vsum(vreal a) {
  const __m128d d = _mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
  return _mm_cvtsd_f64(_mm_add_sd(d, _mm_unpackhi_pd(d, d)));
}
FM_INLINE real vlargest(vreal a) {
  const __m128d d = _mm_max_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
  return _mm_cvtsd_f64(_mm_max_sd(d, _mm_unpackhi_pd(d, d)));
}

/* Two columns of rows r and r + 2, one in each half. */
FM_INLINE vreal fm_load_halves(const real *in, ptrdiff_t stride) {
  return _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(in)), _mm_loadu_pd(in + 2 * stride), 1);
}
FM_INLINE void vtranspose(const real *in, ptrdiff_t in_stride, real *out, ptrdiff_t out_stride) {
  for (ptrdiff_t c = 0; c < VL; c += 2) {
    const vreal r0 = fm_load_halves(in + c, in_stride), r1 = fm_load_halves(in + in_stride + c, in_stride);
    vstore(out + c * out_stride, _mm256_unpacklo_pd(r0, r1));
    vstore(out + (c + 1) * out_stride, _mm256_unpackhi_pd(r0, r1));
  }
}

#endif

#endif
