/* Calls all that sync.h and pool.h have for Windows, and checks what atomic words give back. For a compiler without C11
 * atomics as well: tests/csrc/test_windows.py compiles it both ways. */
#include <stdio.h>

#include "pool.h"

#define CHECK(condition)                                                    \
  do {                                                                      \
    if (!(condition)) return printf("line %d: %s\n", __LINE__, #condition); \
  } while (0)

static void count(void *context, int thread) {
  (void)thread;
  fm_counter_add(context, 1);
}

static int check_words(void) {
  fm_counter *c = fm_allocate(sizeof *c);
  fm_ticket *t = fm_allocate(2 * sizeof *t);
  CHECK(c && t && sizeof *t == 128 && (uintptr_t)t % 128 == 0);
  CHECK(fm_counter_load(c) == 0 && fm_counter_add(c, 7) == 7 && fm_counter_add(c, (uint32_t)-1) == 6);
  fm_counter_store(c, 0xFFFFFFFFu);
  CHECK(fm_counter_load(c) == 0xFFFFFFFFu && fm_counter_add(c, 1) == 0);
  const uint64_t high = (uint64_t)0xFFFFFFFFu << 32;
  CHECK(!fm_ticket_replace(t, 1, high) && fm_ticket_load(t) == 0);
  CHECK(fm_ticket_replace(t, 0, high + 1) && fm_ticket_load(t) == high + 1 && fm_ticket_load(t + 1) == 0);
  fm_fence();
  fm_pause();
  fm_wake_all(c);
  fm_sleep_while(c, 1); /* it is 0 */
  fm_sleep_while(c, 0); /* a millisecond at most */
  fm_free(c);
  fm_free(t);
  return 0;
}

static int check_gate(void) {
  fm_gate gate = {0};
  CHECK(fm_gate_empty(&gate) && fm_gate_enter(&gate) && !fm_gate_empty(&gate));
  fm_gate_close(&gate);
  CHECK(!fm_gate_enter(&gate) && !fm_gate_empty(&gate));
  fm_gate_leave(&gate);
  CHECK(fm_gate_empty(&gate));
  fm_gate_open(&gate);
  CHECK(fm_gate_enter(&gate));
  fm_gate_reset(&gate, 0, 1);
  CHECK(fm_gate_empty(&gate) && !fm_gate_enter(&gate));
  fm_gate_reset(&gate, 1, 0);
  CHECK(!fm_gate_empty(&gate));
  return 0;
}

int main(void) {
  if (check_words() || check_gate()) return 1;
  fm_counter *regions = fm_allocate(sizeof *regions);
  char *large = fm_allocate_raw(FM_HUGE_PAGE);
  const int64_t start = fm_nanoseconds();
  if (!regions || !large) return 2;
  fm_prefetch(large, 256);
  fm_pool_start();
  fm_pool_run(count, regions, 2);
  fm_nap();
  const uint32_t ran = fm_counter_load(regions);
  if (ran < 1 || ran > 2 || fm_max_threads() < 1 || fm_openmp() < 0 || fm_nanoseconds() < start) return 3;
  fm_free(large);
  fm_free(regions);
  puts("passed");
  return 0;
}
