/* Products of bfloat16 by AVX-512 BF16, on avx512's panels. */
#include <math.h>
#include <string.h>

#include "../kernels.h"

const fm_pairs *fm_avx512_bf16_pairs(void);

#if FM_X86_64 && !(defined(_MSC_VER) && !defined(__clang__)) /* whose vectors of bfloat16 cannot be cast */

#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma"))), \
                             apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")
#endif

#define FM_REAL_IS_FLOAT 1
#define FM_BFLOAT16 1
#define FM_ISA_NAME "avx512_bf16"
#include "vec_avx512.h"

enum { PANEL = 2 * VL };

#include "../kernels/tile.inl"
#include "../kernels/pairs.inl"

const fm_pairs *fm_avx512_bf16_pairs(void) { return &pairs_table; }

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

#else

const fm_pairs *fm_avx512_bf16_pairs(void) { return NULL; }

#endif
