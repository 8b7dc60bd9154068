/* Checks passes/pool.h without Python, so that it can run under ThreadSanitizer: regions of one caller and of many,
 * inside each other, after a sleep, after a fork, on other processors, and when the system has no threads to give. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>

static _Atomic int refuse, attempts, helped;
static int create_or_refuse(pthread_t *thread, const pthread_attr_t *how, void *(*start)(void *), void *argument) {
  attempts++;
  return refuse ? EAGAIN : pthread_create(thread, how, start, argument);
}
#define pthread_create create_or_refuse
#include "pool.h"
#undef pthread_create

#define CHECK(condition)                                         \
  do {                                                           \
    if (!(condition)) {                                          \
      printf("%s:%d: not %s\n", __FILE__, __LINE__, #condition); \
      exit(1);                                                   \
    }                                                            \
  } while (0)

enum { ITEMS = 16 };

typedef struct {
  int items, threads, nested;
  _Atomic int next, inside;
  int seen[FM_MAX_WORKERS + 1]; /* not atomic: two threads under one number would be a race */
  int done[ITEMS];              /* the same: what workers wrote has to be there when the region is over */
#if defined(__linux__)
  cpu_set_t cpus; /* where the caller may run */
#endif
} region;

static void run(int items, int threads, int nested);

static void work(void *context, int thread) {
  region *r = context;
  CHECK(0 <= thread && thread < r->threads);
  atomic_fetch_add(&r->inside, 1);
  r->seen[thread]++;
  sigset_t blocked;
  pthread_sigmask(SIG_SETMASK, NULL, &blocked);
  if (thread > 0) helped++;
  if (thread > 0) CHECK(sigismember(&blocked, SIGINT) && !sigismember(&blocked, SIGSEGV));
#if defined(__linux__)
  cpu_set_t cpus;
  CHECK(sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_EQUAL(&cpus, &r->cpus));
#endif
  for (int item; (item = atomic_fetch_add(&r->next, 1)) < r->items;) {
    r->done[item]++;
    if (r->nested) run(2, 2, r->nested - 1);
  }
  atomic_fetch_sub(&r->inside, 1);
}

static void run(int items, int threads, int nested) {
  region r = {.items = items, .threads = threads, .nested = nested};
#if defined(__linux__)
  CHECK(sched_getaffinity(0, sizeof(r.cpus), &r.cpus) == 0);
#endif
  fm_pool_run(work, &r, threads);
  CHECK(r.inside == 0);
  CHECK(r.seen[0] == 1);
  for (int i = 0; i < threads; i++) CHECK(r.seen[i] <= 1);
  for (int i = 0; i < items; i++) CHECK(r.done[i] == 1);
}

static int workers(void) {
  int n = 0;
  for (int i = 0; i < FM_MAX_WORKERS; i++) n += fm_state(atomic_load(&fm_workers[i].word)) != FM_ABSENT;
  return n;
}

static int all_asleep(void) {
  for (int i = 0; i < FM_MAX_WORKERS; i++) {
    const uint32_t state = fm_state(atomic_load(&fm_workers[i].word));
    if (state != FM_ABSENT && state != FM_ASLEEP) return 0;
  }
  return 1;
}

static void until_all_sleep(void) {
  for (int waited = 0; !all_asleep(); waited++) {
    CHECK(waited < 200000);
    fm_nap();
  }
}

static void *call_often(void *argument) {
  const int rounds = *(int *)argument;
  for (int i = 0; i < rounds; i++) run(i % ITEMS, 1 + i % 5, i % 16 == 0);
  return NULL;
}

/* Regions of a caller that is moved between one processor and all that it had: workers go with it, also those that were
 * made meanwhile. */
static void move_often(int times) {
#if defined(__linux__)
  cpu_set_t all, one;
  CHECK(sched_getaffinity(0, sizeof(all), &all) == 0);
  for (int i = 0; i < times; i++) {
    CPU_ZERO(&one);
    for (int cpu = 0, wanted = i % CPU_COUNT(&all); cpu < CPU_SETSIZE; cpu++)
      if (CPU_ISSET(cpu, &all) && wanted-- == 0) CPU_SET(cpu, &one);
    CHECK(sched_setaffinity(0, sizeof(one), &one) == 0);
    run(ITEMS, 2 + i % 16, 0);
    CHECK(sched_setaffinity(0, sizeof(all), &all) == 0);
    run(ITEMS, 2 + i % 16, 1);
    if (i % 3 == 0) until_all_sleep();
  }
#else
  (void)times;
#endif
}

/* Children of a process whose other threads are in the middle of regions. */
static void fork_often(int times) {
  for (int i = 0; i < times; i++) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      CHECK(workers() == 0);
      for (int k = 0; k < 20; k++) run(ITEMS, 3, 0);
      CHECK(workers() <= (fm_processors > 3 ? fm_processors : 3) - 1);
      _Exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
}

static void many_callers(int callers, int rounds, int forks) {
  pthread_t threads[32];
  for (int i = 0; i < callers; i++) CHECK(pthread_create(&threads[i], NULL, call_often, &rounds) == 0);
  fork_often(forks);
  for (int i = 0; i < callers; i++) CHECK(pthread_join(threads[i], NULL) == 0);
}

int main(int n, char **arguments) {
  const int rounds = n > 1 ? atoi(arguments[1]) : 20000, forks = n > 2 ? atoi(arguments[2]) : 50;
  fm_pool_start();
  fm_pool_start();
  refuse = 1;
  run(ITEMS, 8, 0);
  CHECK(workers() == 0 && attempts == 1);
  refuse = 0;
  run(ITEMS, 8, 0);
  CHECK(workers() == 7);
  until_all_sleep();
  for (int i = 0; i < 50; i++) {
    run(i % ITEMS, 8, 0);
    if (i % 3 == 0) until_all_sleep();
  }
  move_often(50);
  many_callers(1, rounds, 0);
  CHECK(helped > 0);
  many_callers(8, rounds / 8, forks);
  run(ITEMS, FM_MAX_WORKERS + 1, 1);
  CHECK(workers() <= FM_MAX_WORKERS);
  until_all_sleep();
  fork_often(forks);
  printf("passed\n");
  return 0;
}
