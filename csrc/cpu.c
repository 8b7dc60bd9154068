/* Which tables this processor and its operating system can run. Compiled with no ISA flag. */
#include "kernels.h"

#if FM_X86_64
#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif

#define ISA(name, needs)                       \
  const fm_kernels *fm_##name##_float32(void); \
  const fm_kernels *fm_##name##_float64(void);
#include "isa/isa.def"
#undef ISA
#define PAIRS(name, isa) const fm_pairs *fm_##name##_pairs(void);
#include "isa/pairs.def"
#undef PAIRS

#if FM_X86_64

static void cpuid_of(unsigned leaf, unsigned subleaf, unsigned out[4]) {
#if defined(_MSC_VER) && !defined(__clang__)
  __cpuidex((int *)out, (int)leaf, (int)subleaf);
#else
  __cpuid_count(leaf, subleaf, out[0], out[1], out[2], out[3]);
#endif
}

static void cpuid(unsigned leaf, unsigned out[4]) { cpuid_of(leaf, 0, out); }

/* The register states that the operating system saves (XCR0), 0 where it saves none. */
static uint64_t saved_states(void) {
  unsigned leaf1[4];
  cpuid(1, leaf1);
  if (!(leaf1[2] >> 27 & 1)) return 0; /* OSXSAVE */
#if defined(_MSC_VER) && !defined(__clang__)
  return _xgetbv(0);
#else
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
#endif
}

static int leaf7_has(unsigned bit) {
  unsigned leaf0[4], leaf7[4];
  cpuid(0, leaf0);
  if (leaf0[0] < 7) return 0;
  cpuid(7, leaf7);
  return leaf7[1] >> bit & 1;
}

static int has_avx2(void) {
  unsigned leaf1[4];
  cpuid(1, leaf1);
  const int fma = leaf1[2] >> 12 & 1, avx = leaf1[2] >> 28 & 1;
  return fma && avx && leaf7_has(5) && (saved_states() & 0x06) == 0x06; /* XMM, YMM */
}

static int has_avx512(void) { /* F, DQ, BW, VL; opmask, upper ZMM and ZMM 16-31 saved */
  return has_avx2() && leaf7_has(16) && leaf7_has(17) && leaf7_has(30) && leaf7_has(31) &&
         (saved_states() & 0xE6) == 0xE6;
}

static int has_avx512_bf16(void) {
  unsigned leaf7[4];
  if (!has_avx512()) return 0;
  cpuid(7, leaf7);
  if (leaf7[0] < 1) return 0;
  cpuid_of(7, 1, leaf7);
  return leaf7[0] >> 5 & 1;
}

static int has_neon(void) { return 0; }

#else

static int has_avx2(void) { return 0; }
static int has_avx512(void) { return 0; }
static int has_avx512_bf16(void) { return 0; }
static int has_neon(void) { return FM_ARM64; }

#endif

static int has_scalar(void) { return 1; }

typedef struct {
  const char *name, *needs;
  int (*runs)(void);
  const fm_kernels *(*table[FM_DTYPE_COUNT])(void);
} isa_row;

#define ISA(name, needs) {#name, needs, has_##name, {fm_##name##_float32, fm_##name##_float64}},
static const isa_row ISAS[] = {
#include "isa/isa.def"
};
#undef ISA

const char *fm_isa_name(int isa) { return isa >= 0 && isa < FM_ISA_COUNT ? ISAS[isa].name : NULL; }
const char *fm_isa_needs(int isa) { return isa >= 0 && isa < FM_ISA_COUNT ? ISAS[isa].needs : NULL; }

const fm_kernels *fm_kernel_table(int isa, int dtype) {
  if (isa < 0 || isa >= FM_ISA_COUNT || dtype < 0 || dtype >= FM_DTYPE_COUNT) return NULL;
  return ISAS[isa].runs() ? ISAS[isa].table[dtype]() : NULL;
}

typedef struct {
  enum fm_isa isa;
  int (*runs)(void);
  const fm_pairs *(*table)(void);
} pairs_row;

#define PAIRS(name, isa) {FM_ISA_##isa, has_##name, fm_##name##_pairs},
static const pairs_row NATIVE_PAIRS[] = {
#include "isa/pairs.def"
};
#undef PAIRS

const fm_pairs *fm_pairs_table(int isa, int native) {
  const fm_kernels *table = fm_kernel_table(isa, FM_DTYPE_float32);
  if (!native || !table) return table ? table->pairs : NULL;
  for (size_t i = 0; i < sizeof NATIVE_PAIRS / sizeof NATIVE_PAIRS[0]; i++)
    if ((int)NATIVE_PAIRS[i].isa == isa && NATIVE_PAIRS[i].runs()) return NATIVE_PAIRS[i].table();
  return NULL;
}
