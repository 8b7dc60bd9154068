/* Words that several threads change, and in what order others see it: C11's atomics, or the Interlocked functions where
 * a compiler has none (MSVC, unless told /experimental:c11atomics). FM_INTERLOCKED=1 chooses the latter elsewhere, so
 * that CI can compile them. Included by sync.h only, after the system's headers. */
#ifndef FASTMLP_ATOMICS_H
#define FASTMLP_ATOMICS_H

#include <stdint.h>

#if defined(_MSC_VER) && !defined(__clang__)
#define FM_SYNC_INLINE static __inline
#else
#define FM_SYNC_INLINE static inline __attribute__((unused))
#endif

#if !defined(FM_INTERLOCKED)
#if defined(_MSC_VER) && !defined(__clang__)
#define FM_INTERLOCKED 1
#else
#define FM_INTERLOCKED 0
#endif
#endif

/* Loads acquire, stores release; all that reads and writes in one returns what was there before, and orders everything
 * before it and after it, as fm_fence does. */
#if FM_INTERLOCKED

#include <intrin.h>

typedef volatile long fm_word32;
typedef volatile long long fm_word64;

/* Between a load and all that comes after it, and between all that came before and a store. A volatile access is one
 * instruction, never left out; on x86 the processor keeps this order and the compiler has to be told, on ARM64 (where
 * MSVC's volatile is ISO C's) both. */
FM_SYNC_INLINE void fm_keep_order(void) {
#if defined(_M_ARM64) || defined(__aarch64__)
  MemoryBarrier();
#else
  _ReadWriteBarrier();
#endif
}
FM_SYNC_INLINE uint32_t fm_load32(fm_word32 *word) {
  const uint32_t seen = (uint32_t)*word;
  fm_keep_order();
  return seen;
}
FM_SYNC_INLINE uint64_t fm_load64(fm_word64 *word) {
  const uint64_t seen = (uint64_t)*word;
  fm_keep_order();
  return seen;
}
FM_SYNC_INLINE void fm_store32(fm_word32 *word, uint32_t value) {
  fm_keep_order();
  *word = (long)value;
}
FM_SYNC_INLINE uint32_t fm_add32(fm_word32 *word, uint32_t n) {
  return (uint32_t)_InterlockedExchangeAdd(word, (long)n);
}
FM_SYNC_INLINE uint32_t fm_or32(fm_word32 *word, uint32_t bits) { return (uint32_t)_InterlockedOr(word, (long)bits); }
FM_SYNC_INLINE uint32_t fm_and32(fm_word32 *word, uint32_t bits) { return (uint32_t)_InterlockedAnd(word, (long)bits); }
FM_SYNC_INLINE int fm_replace64(fm_word64 *word, uint64_t from, uint64_t to) {
  return _InterlockedCompareExchange64(word, (long long)to, (long long)from) == (long long)from;
}
FM_SYNC_INLINE void fm_fence(void) { MemoryBarrier(); }

#else

#include <stdatomic.h>

typedef _Atomic uint32_t fm_word32;
typedef _Atomic uint64_t fm_word64;

FM_SYNC_INLINE uint32_t fm_load32(fm_word32 *word) { return atomic_load_explicit(word, memory_order_acquire); }
FM_SYNC_INLINE uint64_t fm_load64(fm_word64 *word) { return atomic_load_explicit(word, memory_order_acquire); }
FM_SYNC_INLINE void fm_store32(fm_word32 *word, uint32_t value) {
  atomic_store_explicit(word, value, memory_order_release);
}
FM_SYNC_INLINE uint32_t fm_add32(fm_word32 *word, uint32_t n) { return atomic_fetch_add(word, n); }
FM_SYNC_INLINE uint32_t fm_or32(fm_word32 *word, uint32_t bits) { return atomic_fetch_or(word, bits); }
FM_SYNC_INLINE uint32_t fm_and32(fm_word32 *word, uint32_t bits) { return atomic_fetch_and(word, bits); }
FM_SYNC_INLINE int fm_replace64(fm_word64 *word, uint64_t from, uint64_t to) {
  return atomic_compare_exchange_strong_explicit(word, &from, to, memory_order_acq_rel, memory_order_relaxed);
}
FM_SYNC_INLINE void fm_fence(void) { atomic_thread_fence(memory_order_seq_cst); }

#endif

#endif
