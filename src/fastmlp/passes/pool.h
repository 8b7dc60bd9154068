/* Threads that wait for work: what team_run opens its regions with on POSIX (on Windows it has OpenMP's), and how many
 * there may be. For threads.pyx alone, since a process has one set of workers and this file holds it.
 *
 * There is no lock. Each worker has a word that says what it is doing, and every step is one compare-and-swap of it:
 * callers take whoever is idle, and a worker that has not begun when its caller is done is withdrawn. So nobody waits
 * for a thread that sleeps, callers do not wait for each other, and a fork has nothing to leave locked. */
#ifndef FASTMLP_POOL_H
#define FASTMLP_POOL_H

#include "sync.h"

#if defined(_OPENMP)
#include <omp.h>
#endif
#if !defined(_WIN32)
#include <pthread.h>
#include <signal.h>
#endif
#if defined(__linux__)
#include <sched.h>
#include <sys/prctl.h>
#endif

#if defined(__linux__) && defined(CPU_SET)
#define FM_AFFINITY
#endif

typedef void fm_body(void *context, int thread);

#if defined(_WIN32)
enum { FM_POOL = 0 };
FM_SYNC_INLINE void fm_pool_start(void) {}
FM_SYNC_INLINE void fm_pool_run(fm_body *body, void *context, int threads) { (void)threads, body(context, 0); }
#else
enum { FM_POOL = 1 };

/* In the low bits of a worker's word; above them, how often it has been taken, so that nobody takes another caller's
 * region for his own. The worker itself goes from IDLE to ASLEEP and from GIVEN by RUNNING to IDLE; all else is done by
 * the caller that took it. */
enum {
  FM_ABSENT,  /* no thread yet */
  FM_IDLE,    /* watches its word */
  FM_ASLEEP,  /* until it is woken */
  FM_TAKEN,   /* a caller writes down what to do */
  FM_GIVEN,   /* to be begun by the worker, or withdrawn by the caller */
  FM_RUNNING, /* the caller has to wait */
  FM_AWAITED, /* the same, and the caller sleeps until it is woken */
  FM_STATES = 8
};

typedef struct {
  _Alignas(128) _Atomic uint32_t word;
  int thread;
  fm_body *body;
  void *context;
  pthread_t id;
#if defined(FM_AFFINITY)
  int kept_off;   /* while it wakes: the caller's processor is not among those that it may use */
  cpu_set_t cpus; /* those that it may use before and after */
#endif
#if !defined(__linux__) || defined(FM_NO_FUTEX)
  pthread_mutex_t mutex;
  pthread_cond_t changed;
#endif
} fm_worker;

enum {
  FM_MAX_WORKERS = 255,
  FM_POOL_SPINS = 2000 /* looks at a word before going to sleep: some tens of microseconds */
};
static fm_worker fm_workers[FM_MAX_WORKERS];
static int fm_processors = 1;

FM_SYNC_INLINE uint32_t fm_state(uint32_t word) { return word % FM_STATES; }
FM_SYNC_INLINE uint32_t fm_in_state(uint32_t word, uint32_t state) { return word - fm_state(word) + state; }
FM_SYNC_INLINE int fm_move(fm_worker *worker, uint32_t from, uint32_t to) {
  return atomic_compare_exchange_strong(&worker->word, &from, to);
}

/* To sleep while the word is the one that was seen, and to wake who sleeps on it after it has been changed. */
#if defined(__linux__) && !defined(FM_NO_FUTEX)
FM_SYNC_INLINE void fm_sleep_on(fm_worker *worker, uint32_t seen) {
  while (atomic_load(&worker->word) == seen) syscall(SYS_futex, &worker->word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}
FM_SYNC_INLINE void fm_wake(fm_worker *worker) {
  syscall(SYS_futex, &worker->word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}
FM_SYNC_INLINE void fm_prepare(fm_worker *worker) { atomic_store(&worker->word, FM_ABSENT); }
#else
FM_SYNC_INLINE void fm_sleep_on(fm_worker *worker, uint32_t seen) {
  pthread_mutex_lock(&worker->mutex);
  while (atomic_load(&worker->word) == seen) pthread_cond_wait(&worker->changed, &worker->mutex);
  pthread_mutex_unlock(&worker->mutex);
}
FM_SYNC_INLINE void fm_wake(fm_worker *worker) {
  pthread_mutex_lock(&worker->mutex);
  pthread_cond_broadcast(&worker->changed);
  pthread_mutex_unlock(&worker->mutex);
}
FM_SYNC_INLINE void fm_prepare(fm_worker *worker) {
  atomic_store(&worker->word, FM_ABSENT);
  pthread_mutex_init(&worker->mutex, NULL);
  pthread_cond_init(&worker->changed, NULL);
}
#endif

/* A system that places a thread by what it has done of late may put one that is new, or wakes, on the processor of the
 * caller that it is to help. There it runs in the caller's place or not at all, and leaves after some milliseconds or,
 * on systems that gather threads on few processors, never. So it starts on another one, and may then run where it
 * might. */
#if defined(FM_AFFINITY)
static int fm_other_cpus(const cpu_set_t *cpus, cpu_set_t *others) {
  const int mine = sched_getcpu();
  *others = *cpus;
  if (mine >= 0 && mine < CPU_SETSIZE) CPU_CLR(mine, others);
  return CPU_COUNT(others) > 0 && CPU_COUNT(others) < CPU_COUNT(cpus);
}
#endif

FM_SYNC_INLINE void fm_wake_elsewhere(fm_worker *worker) {
#if defined(FM_AFFINITY)
  cpu_set_t others;
  if (pthread_getaffinity_np(worker->id, sizeof(worker->cpus), &worker->cpus)) return;
  if (!fm_other_cpus(&worker->cpus, &others)) return;
  worker->kept_off = !pthread_setaffinity_np(worker->id, sizeof(others), &others);
#else
  (void)worker;
#endif
}

FM_SYNC_INLINE void fm_start_elsewhere(fm_worker *worker, pthread_attr_t *attributes) {
#if defined(FM_AFFINITY)
  cpu_set_t others;
  worker->kept_off = 0;
  if (sched_getaffinity(0, sizeof(worker->cpus), &worker->cpus) || !fm_other_cpus(&worker->cpus, &others)) return;
  worker->kept_off = !pthread_attr_setaffinity_np(attributes, sizeof(others), &others);
#else
  (void)worker, (void)attributes;
#endif
}

/* By the worker, when it has started or woken: a caller that woke it may still be at writing down. */
FM_SYNC_INLINE void fm_let_go(fm_worker *worker) {
#if defined(FM_AFFINITY)
  while (fm_state(atomic_load(&worker->word)) == FM_TAKEN) fm_pause();
  if (worker->kept_off) sched_setaffinity(0, sizeof(worker->cpus), &worker->cpus);
  worker->kept_off = 0;
#else
  (void)worker;
#endif
}

/* ---- a worker's side ---------------------------------------------------------------------------------------------*/

/* Returns the worker's word once it has begun what it was given. */
static uint32_t fm_begin(fm_worker *worker) {
  for (int spin = 0;; spin++) {
    const uint32_t seen = atomic_load_explicit(&worker->word, memory_order_acquire);
    if (fm_state(seen) == FM_GIVEN && fm_move(worker, seen, fm_in_state(seen, FM_RUNNING)))
      return fm_in_state(seen, FM_RUNNING);
    if (spin >= FM_POOL_SPINS && fm_state(seen) == FM_IDLE && fm_move(worker, seen, fm_in_state(seen, FM_ASLEEP))) {
      fm_sleep_on(worker, fm_in_state(seen, FM_ASLEEP));
      fm_let_go(worker);
      spin = 0;
    }
    fm_pause();
  }
}

/* OpenMP binds its threads if OMP_PROC_BIND says so, and to begin with the one that loads it, to the first of its
 * places, which workers would inherit and share. They may run in any place. */
static void fm_leave_place(void) {
#if defined(__linux__) && defined(CPU_SET) && defined(_OPENMP) && _OPENMP >= 201511
  cpu_set_t allowed;
  int ids[CPU_SETSIZE];
  CPU_ZERO(&allowed);
  for (int place = 0; place < omp_get_num_places(); place++) {
    const int n = omp_get_place_num_procs(place);
    if (n > CPU_SETSIZE) continue;
    omp_get_place_proc_ids(place, ids);
    for (int i = 0; i < n; i++) CPU_SET(ids[i], &allowed);
  }
  if (CPU_COUNT(&allowed)) sched_setaffinity(0, sizeof(allowed), &allowed);
#endif
}

static void *fm_work(void *argument) {
  fm_worker *worker = argument;
  worker->id = pthread_self();
  fm_let_go(worker);
  fm_leave_place();
#if defined(__linux__)
  prctl(PR_SET_NAME, "fastmlp", 0, 0, 0); /* what top and debuggers show */
#endif
  for (;;) {
    const uint32_t running = fm_begin(worker);
    worker->body(worker->context, worker->thread);
    /* From here on, what the region was about may be gone. */
    if (atomic_exchange(&worker->word, fm_in_state(running, FM_IDLE)) != running) fm_wake(worker);
  }
  return NULL;
}

/* Zero if the system has no thread to give. Signals are for the threads that Python knows, but for those that tell of a
 * fault here, which faulthandler reports. Nobody joins a worker: it ends with the process. */
static int fm_make_thread(fm_worker *worker) {
  static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
  sigset_t blocked, before;
  pthread_t thread;
  sigfillset(&blocked);
  for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) sigdelset(&blocked, faults[i]);
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes)) return 0;
  pthread_sigmask(SIG_SETMASK, &blocked, &before);
  fm_start_elsewhere(worker, &attributes);
  const int refused = pthread_create(&thread, &attributes, fm_work, worker);
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (!refused) pthread_detach(thread);
  return !refused;
}

/* ---- a caller's side ---------------------------------------------------------------------------------------------*/

/* Returns the worker's word if it has been given the region, and zero if it is busy or cannot be made. */
static uint32_t fm_give(fm_worker *worker, fm_body *body, void *context, int thread) {
  const uint32_t seen = atomic_load(&worker->word), state = fm_state(seen);
  const uint32_t given = fm_in_state(seen + FM_STATES, FM_GIVEN);
  if (state > FM_ASLEEP || !fm_move(worker, seen, fm_in_state(given, FM_TAKEN))) return 0;
  worker->body = body, worker->context = context, worker->thread = thread;
  if (state == FM_ASLEEP) fm_wake_elsewhere(worker);
  atomic_store(&worker->word, given);
  if (state == FM_ASLEEP) fm_wake(worker);
  if (state != FM_ABSENT || fm_make_thread(worker)) return given;
  atomic_store(&worker->word, FM_ABSENT);
  return 0;
}

/* Until a worker that has begun is through: spins for a bounded time, then sleeps. */
static void fm_await(fm_worker *worker, uint32_t running) {
  const uint32_t awaited = fm_in_state(running, FM_AWAITED);
  for (int spin = 0; spin < FM_POOL_SPINS; spin++) {
    if (atomic_load_explicit(&worker->word, memory_order_acquire) != running) return;
    fm_pause();
  }
  if (fm_move(worker, running, awaited)) fm_sleep_on(worker, awaited);
}

/* Run the body on this thread, as number 0, and on up to threads - 1 workers; return when all that began have left.
 * All callers together have as many workers as there are processors, less their own; only who asks for a larger team
 * gets more. The same workers come first each time: they still have the caller's data in their caches. */
static void fm_pool_run(fm_body *body, void *context, int threads) {
  uint32_t given[FM_MAX_WORKERS];
  int most = (threads > fm_processors ? threads : fm_processors) - 1, n = 0;
  if (most > FM_MAX_WORKERS) most = FM_MAX_WORKERS;
  for (int thread = 1; n < most && thread < threads; n++) {
    given[n] = fm_give(&fm_workers[n], body, context, thread);
    if (given[n])
      thread++;
    else if (fm_state(atomic_load(&fm_workers[n].word)) == FM_ABSENT)
      break; /* the system would refuse the next one as well */
  }
  body(context, 0);
  for (int i = 0; i < n; i++)
    if (given[i] && fm_move(&fm_workers[i], given[i], fm_in_state(given[i], FM_IDLE))) given[i] = 0;
  for (int i = 0; i < n; i++)
    if (given[i]) fm_await(&fm_workers[i], fm_in_state(given[i], FM_RUNNING));
}

/* ---- the process -------------------------------------------------------------------------------------------------*/

/* A forked child has the thread that forked and no other: it begins with no workers and makes its own. */
static void fm_no_workers(void) {
  for (int i = 0; i < FM_MAX_WORKERS; i++) fm_prepare(&fm_workers[i]);
}

static void fm_pool_init(void) {
  const long processors = sysconf(_SC_NPROCESSORS_ONLN);
  fm_processors = processors < 1 ? 1 : processors > FM_MAX_WORKERS ? FM_MAX_WORKERS + 1 : (int)processors;
  fm_no_workers();
  pthread_atfork(NULL, NULL, fm_no_workers);
}

FM_SYNC_INLINE void fm_pool_start(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, fm_pool_init);
}
#endif

/* ---- limits ------------------------------------------------------------------------------------------------------*/

/* OpenMP's limit holds where its threads are not used, too: OMP_NUM_THREADS, OMP_THREAD_LIMIT and threadpoolctl set it,
 * and other libraries in this process. */
FM_SYNC_INLINE int fm_openmp(void) {
#if defined(_OPENMP)
  return _OPENMP;
#else
  return 0;
#endif
}
FM_SYNC_INLINE int fm_max_threads(void) {
#if defined(_OPENMP) && _OPENMP >= 200805
  return omp_get_max_threads() < omp_get_thread_limit() ? omp_get_max_threads() : omp_get_thread_limit();
#elif defined(_OPENMP)
  return omp_get_max_threads();
#elif defined(_WIN32)
  return 1;
#else
  return fm_processors;
#endif
}

#endif
