/* Types, identifiers and compiler differences shared by every C file. Includes the C standard library only:
 * no Python, no threads, no intrinsics. */
#ifndef FASTMLP_BASE_H
#define FASTMLP_BASE_H

#include <stddef.h>
#include <stdint.h>

#if defined(_MSC_VER) && !defined(__clang__)
#define FM_INLINE static __forceinline
#define FM_APART static __declspec(noinline)
#define FM_UNUSED
#define FM_RESTRICT __restrict
#define FM_PREFETCH(p) ((void)(p))
#else
#define FM_INLINE static inline __attribute__((always_inline, unused))
#if defined(__clang__)
#define FM_APART static __attribute__((noinline))
#else
#define FM_APART static __attribute__((noinline, noclone))
#endif
#define FM_UNUSED __attribute__((unused))
#define FM_RESTRICT restrict
#define FM_PREFETCH(p) __builtin_prefetch(p)
#endif

#if defined(__x86_64__) || defined(_M_X64)
#define FM_X86_64 1
#else
#define FM_X86_64 0
#endif

#if defined(__aarch64__) || defined(_M_ARM64)
#define FM_ARM64 1
#else
#define FM_ARM64 0
#endif

/* Element types of the engine's own matrices. */
#define FM_DTYPES(X) \
  X(float32, float)  \
  X(float64, double)

/* Element types that rows of X and y may have: they are converted while they are gathered. float16 arrives as its bits.
 */
#define FM_SOURCES(X)  \
  X(float64, double)   \
  X(float32, float)    \
  X(float16, uint16_t) \
  X(uint8, uint8_t)    \
  X(int16, int16_t)    \
  X(int32, int32_t)    \
  X(int64, int64_t)

#define FM_ENUM_DTYPE(name, type) FM_DTYPE_##name,
enum fm_dtype { FM_DTYPES(FM_ENUM_DTYPE) FM_DTYPE_COUNT };
#undef FM_ENUM_DTYPE

#define FM_ENUM_SOURCE(name, type) FM_SOURCE_##name,
enum fm_source { FM_SOURCES(FM_ENUM_SOURCE) FM_SOURCE_COUNT };
#undef FM_ENUM_SOURCE

/* Sums that cross columns run in this many interleaved partial sums, then in one fixed tree, on every ISA. */
enum { FM_REDUCE_LANES = 16 };

#endif
