/* The vector words on AVX-512. Mirrors vec_scalar.h word by word, and says only what differs.
 * Included inside an ISA region, after <immintrin.h>; FM_REAL_IS_FLOAT says which dtype this translation unit is. */
#ifndef FASTMLP_VEC_AVX512_H
#define FASTMLP_VEC_AVX512_H

#include "../base.h"

/* Sixteen accumulators, two vectors of the panel and the broadcasts, of thirty-two registers. */
enum { FM_TILE_ROWS = 8 };

#if FM_REAL_IS_FLOAT

typedef float real;
typedef __m512 vreal;
typedef __mmask16 vmask;
enum { VL = 16 };

FM_INLINE vreal vload(const real *p) { return _mm512_loadu_ps(p); }
FM_INLINE vreal vload_u16(const uint16_t *p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)));
}
FM_INLINE void vstore(real *p, vreal a) { _mm512_storeu_ps(p, a); }
FM_INLINE vreal vset1(real a) { return _mm512_set1_ps(a); }
FM_INLINE vreal vzero(void) { return _mm512_setzero_ps(); }
FM_INLINE vreal vadd(vreal a, vreal b) { return _mm512_add_ps(a, b); }
FM_INLINE vreal vsub(vreal a, vreal b) { return _mm512_sub_ps(a, b); }
FM_INLINE vreal vmul(vreal a, vreal b) { return _mm512_mul_ps(a, b); }
FM_INLINE vreal vdiv(vreal a, vreal b) { return _mm512_div_ps(a, b); }
FM_INLINE vreal vsqrt(vreal a) { return _mm512_sqrt_ps(a); }
FM_INLINE vreal vfma(vreal a, vreal b, vreal c) { return _mm512_fmadd_ps(a, b, c); }
FM_INLINE vreal vfnma(vreal a, vreal b, vreal c) { return _mm512_fnmadd_ps(a, b, c); }
FM_INLINE vreal vmax(vreal a, vreal b) { return _mm512_max_ps(a, b); }
FM_INLINE vreal vmin(vreal a, vreal b) { return _mm512_min_ps(a, b); }
FM_INLINE vreal vabs(vreal a) { return _mm512_abs_ps(a); }
FM_INLINE vreal vcopysign(vreal magnitude, vreal sign) {
  return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(_mm512_set1_epi32((int)0x80000000u), _mm512_castps_si512(sign),
                                                       _mm512_castps_si512(magnitude), 0xCA));
}
FM_INLINE vreal vround(vreal a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
FM_INLINE vmask vlt(vreal a, vreal b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
FM_INLINE vmask vle(vreal a, vreal b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
FM_INLINE vmask veq(vreal a, vreal b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
FM_INLINE vreal vselect(vmask m, vreal yes, vreal no) { return _mm512_mask_blend_ps(m, no, yes); }

/* Adding 1.5 2^23 leaves an integer in the low bits: an addition instead of a conversion, and NaN cannot trip it. */
FM_INLINE vreal vexp2i(vreal n) {
  const __m512i biased = _mm512_castps_si512(_mm512_add_ps(n, _mm512_set1_ps(12582912.0f + 127.0f)));
  return _mm512_castsi512_ps(_mm512_slli_epi32(biased, 23));
}
FM_INLINE vreal vscale(vreal a, vreal n) { return _mm512_scalef_ps(a, n); }
FM_INLINE vreal vexponent(vreal a) {
  const __m512i e = _mm512_srli_epi32(_mm512_castps_si512(a), 23);
  return _mm512_cvtepi32_ps(_mm512_sub_epi32(e, _mm512_set1_epi32(126)));
}
FM_INLINE vreal vmantissa(vreal a) {
  const __m512i m = _mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(0x007FFFFF));
  return _mm512_castsi512_ps(_mm512_or_si512(m, _mm512_set1_epi32(0x3F000000)));
}
FM_INLINE vreal vfirst(vreal a, ptrdiff_t n) {
  const uint32_t m = n <= 0 ? 0u : n >= VL ? 0xFFFFu : (1u << n) - 1u;
  return _mm512_maskz_mov_ps((__mmask16)m, a);
}

FM_INLINE real vsum(vreal a) {
  const __m256 o = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
  const __m128 q = _mm_add_ps(_mm256_castps256_ps128(o), _mm256_extractf128_ps(o, 1));
  const __m128 d = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(d, _mm_movehdup_ps(d)));
}
FM_INLINE real vlargest(vreal a) {
  const __m256 o = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
  const __m128 q = _mm_max_ps(_mm256_castps256_ps128(o), _mm256_extractf128_ps(o, 1));
  const __m128 d = _mm_max_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_max_ss(d, _mm_movehdup_ps(d)));
}

/* Four columns of rows r, r + 4, r + 8 and r + 12, one in each quarter: the loads do the moves across quarters. */
FM_INLINE vreal fm_load_quarters(const real *in, ptrdiff_t stride) {
  const vreal a = _mm512_castps128_ps512(_mm_loadu_ps(in));
  const vreal b = _mm512_insertf32x4(a, _mm_loadu_ps(in + 4 * stride), 1);
  const vreal c = _mm512_insertf32x4(b, _mm_loadu_ps(in + 8 * stride), 2);
  return _mm512_insertf32x4(c, _mm_loadu_ps(in + 12 * stride), 3);
}
FM_INLINE void vtranspose(const real *in, ptrdiff_t in_stride, real *out, ptrdiff_t out_stride) {
  for (ptrdiff_t c = 0; c < VL; c += 4) {
    const vreal r0 = fm_load_quarters(in + c, in_stride), r1 = fm_load_quarters(in + in_stride + c, in_stride);
    const vreal r2 = fm_load_quarters(in + 2 * in_stride + c, in_stride);
    const vreal r3 = fm_load_quarters(in + 3 * in_stride + c, in_stride);
    const __m512d lo01 = _mm512_castps_pd(_mm512_unpacklo_ps(r0, r1));
    const __m512d hi01 = _mm512_castps_pd(_mm512_unpackhi_ps(r0, r1));
    const __m512d lo23 = _mm512_castps_pd(_mm512_unpacklo_ps(r2, r3));
    const __m512d hi23 = _mm512_castps_pd(_mm512_unpackhi_ps(r2, r3));
    vstore(out + c * out_stride, _mm512_castpd_ps(_mm512_unpacklo_pd(lo01, lo23)));
    vstore(out + (c + 1) * out_stride, _mm512_castpd_ps(_mm512_unpackhi_pd(lo01, lo23)));
    vstore(out + (c + 2) * out_stride, _mm512_castpd_ps(_mm512_unpacklo_pd(hi01, hi23)));
    vstore(out + (c + 3) * out_stride, _mm512_castpd_ps(_mm512_unpackhi_pd(hi01, hi23)));
  }
}

#if FM_BFLOAT16

FM_INLINE vreal vpair(vreal first, vreal second) {
  static const uint16_t turns[2 * VL] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                         8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return _mm512_castsi512_ps(
      _mm512_permutexvar_epi16(_mm512_loadu_si512(turns), (__m512i)_mm512_cvtne2ps_pbh(second, first)));
}
FM_INLINE vreal vpair_along(vreal low, vreal high) { return (__m512)_mm512_cvtne2ps_pbh(high, low); }
FM_INLINE vreal vdot(vreal left, vreal right, vreal sum) {
  return _mm512_dpbf16_ps(sum, (__m512bh)left, (__m512bh)right);
}
FM_INLINE unsigned fm_flush_on(void) { return 0; }
FM_INLINE void fm_flush_back(unsigned before) { (void)before; }

#else

/* The nearest bfloat16 in the upper half of each number's bits; what is below is anything. */
FM_INLINE __m512i fm_bfloat16(vreal a) {
  const __m512i bits = _mm512_castps_si512(a);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF)), odd);
  const __mmask16 denormal = _mm512_testn_epi32_mask(bits, _mm512_set1_epi32(0x7F800000));
  const __m512i some = _mm512_mask_and_epi32(rounded, denormal, bits, _mm512_set1_epi32((int)0x80000000u));
  return _mm512_mask_or_epi32(some, _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), bits, _mm512_set1_epi32(0x00400000));
}
FM_INLINE vreal vpair(vreal first, vreal second) {
  return _mm512_castsi512_ps(
      _mm512_mask_blend_epi16(0xAAAAAAAAu, _mm512_srli_epi32(fm_bfloat16(first), 16), fm_bfloat16(second)));
}
FM_INLINE vreal vpair_along(vreal low, vreal high) {
  const __m256i first = _mm512_cvtepi32_epi16(_mm512_srli_epi32(fm_bfloat16(low), 16));
  const __m256i second = _mm512_cvtepi32_epi16(_mm512_srli_epi32(fm_bfloat16(high), 16));
  return _mm512_castsi512_ps(_mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1));
}
FM_INLINE vreal vdot(vreal left, vreal right, vreal sum) {
  const __m512i l = _mm512_castps_si512(left), r = _mm512_castps_si512(right);
  const __m512i upper = _mm512_set1_epi32((int)0xFFFF0000u);
  sum = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(l, upper)),
                        _mm512_castsi512_ps(_mm512_and_si512(r, upper)), sum);
  return _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(l, 16)), _mm512_castsi512_ps(_mm512_slli_epi32(r, 16)),
                         sum);
}
/* MXCSR: denormals are taken and left as 0. */
FM_INLINE unsigned fm_flush_on(void) {
  const unsigned before = _mm_getcsr();
  _mm_setcsr(before | 0x8040u);
  return before;
}
FM_INLINE void fm_flush_back(unsigned before) { _mm_setcsr(before); }

#endif

#else

typedef double real;
typedef __m512d vreal;
typedef __mmask8 vmask;
enum { VL = 8 };

FM_INLINE vreal vload(const real *p) { return _mm512_loadu_pd(p); }
FM_INLINE vreal vload_u16(const uint16_t *p) {
  return _mm512_cvtepi32_pd(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)));
}
FM_INLINE void vstore(real *p, vreal a) { _mm512_storeu_pd(p, a); }
FM_INLINE vreal vset1(real a) { return _mm512_set1_pd(a); }
FM_INLINE vreal vzero(void) { return _mm512_setzero_pd(); }
FM_INLINE vreal vadd(vreal a, vreal b) { return _mm512_add_pd(a, b); }
FM_INLINE vreal vsub(vreal a, vreal b) { return _mm512_sub_pd(a, b); }
FM_INLINE vreal vmul(vreal a, vreal b) { return _mm512_mul_pd(a, b); }
FM_INLINE vreal vdiv(vreal a, vreal b) { return _mm512_div_pd(a, b); }
FM_INLINE vreal vsqrt(vreal a) { return _mm512_sqrt_pd(a); }
FM_INLINE vreal vfma(vreal a, vreal b, vreal c) { return _mm512_fmadd_pd(a, b, c); }
FM_INLINE vreal vfnma(vreal a, vreal b, vreal c) { return _mm512_fnmadd_pd(a, b, c); }
FM_INLINE vreal vmax(vreal a, vreal b) { return _mm512_max_pd(a, b); }
FM_INLINE vreal vmin(vreal a, vreal b) { return _mm512_min_pd(a, b); }
FM_INLINE vreal vabs(vreal a) { return _mm512_abs_pd(a); }
FM_INLINE vreal vcopysign(vreal magnitude, vreal sign) {
  return _mm512_castsi512_pd(_mm512_ternarylogic_epi64(_mm512_set1_epi64((long long)0x8000000000000000ull),
                                                       _mm512_castpd_si512(sign), _mm512_castpd_si512(magnitude),
                                                       0xCA));
}
FM_INLINE vreal vround(vreal a) { return _mm512_roundscale_pd(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
FM_INLINE vmask vlt(vreal a, vreal b) { return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ); }
FM_INLINE vmask vle(vreal a, vreal b) { return _mm512_cmp_pd_mask(a, b, _CMP_LE_OQ); }
FM_INLINE vmask veq(vreal a, vreal b) { return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ); }
FM_INLINE vreal vselect(vmask m, vreal yes, vreal no) { return _mm512_mask_blend_pd(m, no, yes); }

FM_INLINE vreal vexp2i(vreal n) {
  const __m512i biased = _mm512_castpd_si512(_mm512_add_pd(n, _mm512_set1_pd(6755399441055744.0 + 1023.0)));
  return _mm512_castsi512_pd(_mm512_slli_epi64(biased, 52));
}
FM_INLINE vreal vscale(vreal a, vreal n) { return _mm512_scalef_pd(a, n); }
FM_INLINE vreal vexponent(vreal a) {
  const __m512i e = _mm512_srli_epi64(_mm512_castpd_si512(a), 52);
  return _mm512_cvtepi64_pd(_mm512_sub_epi64(e, _mm512_set1_epi64(1022)));
}
FM_INLINE vreal vmantissa(vreal a) {
  const __m512i m = _mm512_and_si512(_mm512_castpd_si512(a), _mm512_set1_epi64(0x000FFFFFFFFFFFFF));
  return _mm512_castsi512_pd(_mm512_or_si512(m, _mm512_set1_epi64(0x3FE0000000000000)));
}
FM_INLINE vreal vfirst(vreal a, ptrdiff_t n) {
  const uint32_t m = n <= 0 ? 0u : n >= VL ? 0xFFu : (1u << n) - 1u;
  return _mm512_maskz_mov_pd((__mmask8)m, a);
}

FM_INLINE real vsum(vreal a) {
  const __m256d q = _mm256_add_pd(_mm512_castpd512_pd256(a), _mm512_extractf64x4_pd(a, 1));
  const __m128d d = _mm_add_pd(_mm256_castpd256_pd128(q), _mm256_extractf128_pd(q, 1));
  return _mm_cvtsd_f64(_mm_add_sd(d, _mm_unpackhi_pd(d, d)));
}
FM_INLINE real vlargest(vreal a) {
  const __m256d q = _mm256_max_pd(_mm512_castpd512_pd256(a), _mm512_extractf64x4_pd(a, 1));
  const __m128d d = _mm_max_pd(_mm256_castpd256_pd128(q), _mm256_extractf128_pd(q, 1));
  return _mm_cvtsd_f64(_mm_max_sd(d, _mm_unpackhi_pd(d, d)));
}

/* Two columns of rows r, r + 2, r + 4 and r + 6, one in each quarter. */
FM_INLINE vreal fm_load_quarters(const real *in, ptrdiff_t stride) {
  const vreal a = _mm512_castpd128_pd512(_mm_loadu_pd(in));
  const vreal b = _mm512_insertf64x2(a, _mm_loadu_pd(in + 2 * stride), 1);
  const vreal c = _mm512_insertf64x2(b, _mm_loadu_pd(in + 4 * stride), 2);
  return _mm512_insertf64x2(c, _mm_loadu_pd(in + 6 * stride), 3);
}
FM_INLINE void vtranspose(const real *in, ptrdiff_t in_stride, real *out, ptrdiff_t out_stride) {
  for (ptrdiff_t c = 0; c < VL; c += 2) {
    const vreal r0 = fm_load_quarters(in + c, in_stride), r1 = fm_load_quarters(in + in_stride + c, in_stride);
    vstore(out + c * out_stride, _mm512_unpacklo_pd(r0, r1));
    vstore(out + (c + 1) * out_stride, _mm512_unpackhi_pd(r0, r1));
  }
}

#endif

#endif
