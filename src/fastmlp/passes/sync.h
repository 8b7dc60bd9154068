/* What the passes need and Cython cannot say: atomic words, bounded spinning, sleeping until woken, a clock, aligned
 * memory. Included by generated C and pool.h only. */
#ifndef FASTMLP_SYNC_H
#define FASTMLP_SYNC_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <malloc.h>
#include <windows.h>
#undef far /* words that a Windows of 16 bits needed, and that passes call their fields by */
#undef near
#else
#include <sys/mman.h>
#include <unistd.h>
#endif
#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

#include "atomics.h"

/* Each counter owns its cache line and the one that the prefetcher fetches with it. */
typedef struct {
  _Alignas(128) fm_word64 value;
} fm_ticket;
typedef struct {
  _Alignas(128) fm_word32 value;
} fm_counter;

FM_SYNC_INLINE uint64_t fm_ticket_load(fm_ticket *t) { return fm_load64(&t->value); }
FM_SYNC_INLINE int fm_ticket_replace(fm_ticket *t, uint64_t from, uint64_t to) {
  return fm_replace64(&t->value, from, to);
}
FM_SYNC_INLINE uint32_t fm_counter_load(fm_counter *c) { return fm_load32(&c->value); }
FM_SYNC_INLINE void fm_counter_store(fm_counter *c, uint32_t value) { fm_store32(&c->value, value); }
FM_SYNC_INLINE uint32_t fm_counter_add(fm_counter *c, uint32_t n) { return fm_add32(&c->value, n) + n; }
/* A gate that any number of readers pass together, and a writer alone: the number of readers inside, and a flag. A
 * reader that finds it closed is turned away; a writer closes it and waits until the readers have left. */
typedef struct {
  fm_word32 value;
} fm_gate;
enum { FM_GATE_CLOSED = 1u << 30 };

FM_SYNC_INLINE void fm_gate_leave(fm_gate *gate) { fm_add32(&gate->value, (uint32_t)-1); }
FM_SYNC_INLINE int fm_gate_enter(fm_gate *gate) {
  if (!(fm_add32(&gate->value, 1) & FM_GATE_CLOSED)) return 1;
  fm_gate_leave(gate);
  return 0;
}
FM_SYNC_INLINE void fm_gate_close(fm_gate *gate) { fm_or32(&gate->value, FM_GATE_CLOSED); }
FM_SYNC_INLINE int fm_gate_empty(fm_gate *gate) { return !(fm_load32(&gate->value) & ~(uint32_t)FM_GATE_CLOSED); }
FM_SYNC_INLINE void fm_gate_open(fm_gate *gate) { fm_and32(&gate->value, ~(uint32_t)FM_GATE_CLOSED); }
FM_SYNC_INLINE void fm_gate_reset(fm_gate *gate, int readers, int closed) {
  fm_store32(&gate->value, (uint32_t)readers + (closed ? (uint32_t)FM_GATE_CLOSED : 0u));
}

FM_SYNC_INLINE void fm_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#elif defined(_M_X64)
  _mm_pause();
#elif defined(_M_ARM64)
  __yield();
#endif
}

/* Ask for memory that is about to be changed, a cache line at a time: on x86 by the instruction that also takes it from
 * other caches, for which compilers want a flag. Processors without it do nothing instead. */
FM_SYNC_INLINE void fm_prefetch(const char *p, ptrdiff_t bytes) {
#if defined(__GNUC__) && defined(__x86_64__)
  for (ptrdiff_t i = 0; i < bytes; i += 64) __asm__ volatile("prefetchw %0" : : "m"(p[i]));
#elif defined(__GNUC__)
  for (ptrdiff_t i = 0; i < bytes; i += 64) __builtin_prefetch(p + i, 1, 3);
#else
  (void)p, (void)bytes;
#endif
}

/* Some tens of microseconds. */
FM_SYNC_INLINE void fm_nap(void) {
#if defined(_WIN32)
  Sleep(0);
#else
  const struct timespec nap = {0, 20000};
  nanosleep(&nap, NULL);
#endif
}

/* Sleeps while *c == seen, at most about a millisecond: a wake-up that is missed costs that and no more. */
FM_SYNC_INLINE void fm_sleep_while(fm_counter *c, uint32_t seen) {
#if defined(__linux__)
  const struct timespec limit = {0, 1000000};
  syscall(SYS_futex, &c->value, FUTEX_WAIT_PRIVATE, seen, &limit, NULL, 0);
#else
  if (fm_counter_load(c) == seen) fm_nap();
#endif
}

FM_SYNC_INLINE void fm_wake_all(fm_counter *c) {
#if defined(__linux__)
  syscall(SYS_futex, &c->value, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
#else
  (void)c;
#endif
}

/* Of a clock that is never set. */
FM_SYNC_INLINE int64_t fm_nanoseconds(void) {
  const int64_t second = 1000000000;
#if defined(_WIN32)
  LARGE_INTEGER ticks, rate;
  QueryPerformanceCounter(&ticks);
  QueryPerformanceFrequency(&rate);
  return ticks.QuadPart / rate.QuadPart * second + ticks.QuadPart % rate.QuadPart * second / rate.QuadPart;
#else
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * second + t.tv_nsec;
#endif
}

/* Memory aligned to a vector, large blocks to a huge page, which the system is asked for; NULL when there is none. What
 * is in it is not defined. */
enum { FM_HUGE_PAGE = 2 << 20 };
FM_SYNC_INLINE void *fm_allocate_raw(size_t bytes) {
  void *p = NULL;
  const size_t alignment = bytes >= FM_HUGE_PAGE ? FM_HUGE_PAGE : 128;
  bytes = (bytes + alignment - 1) / alignment * alignment;
#if defined(_WIN32)
  p = _aligned_malloc(bytes, alignment);
#else
  if (posix_memalign(&p, alignment, bytes)) return NULL;
#if defined(MADV_HUGEPAGE)
  if (alignment == FM_HUGE_PAGE) madvise(p, bytes, MADV_HUGEPAGE);
#endif
#endif
  return p;
}
FM_SYNC_INLINE void *fm_allocate(size_t bytes) {
  void *p = fm_allocate_raw(bytes);
  if (p) memset(p, 0, bytes);
  return p;
}
FM_SYNC_INLINE void fm_free(void *p) {
#if defined(_WIN32)
  _aligned_free(p);
#else
  free(p);
#endif
}

#endif
