/* Threads that wait for work: what team_run opens its regions with on POSIX (on Windows, and for who wants it, it has
 * OpenMP's), and how many there may be. For threads.pyx alone, since a process has one set of workers and this file
 * holds it.
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

/* ---- where threads may run --------------------------------------------------------------------------------------*/

/* Linux has no mask of a process, but one of each thread, which the threads that it makes inherit. OpenMP binds its
 * threads if OMP_PROC_BIND or OMP_PLACES say so, and to begin with the one that loads it: each to one of the places
 * that it made of the mask it found. There can be several OpenMPs in a process, all with the same places. So a mask
 * that is one of the places says nothing of where this process may run, and all places together do. */
#if defined(__linux__) && defined(CPU_SET)
#define FM_AFFINITY
typedef cpu_set_t fm_cpus;
static cpu_set_t *fm_places, fm_all_places;
static int fm_n_places = 0;

static void fm_read_places(void) {
#if defined(_OPENMP) && _OPENMP >= 201511
  const int n = omp_get_num_places();
  fm_places = n > 0 ? calloc((size_t)n, sizeof(*fm_places)) : NULL;
  if (!fm_places) return;
  for (int place = 0; place < n; place++) {
    int ids[CPU_SETSIZE];
    const int size = omp_get_place_num_procs(place);
    if (size > CPU_SETSIZE) continue;
    omp_get_place_proc_ids(place, ids);
    for (int i = 0; i < size; i++) CPU_SET(ids[i], &fm_places[place]);
    CPU_OR(&fm_all_places, &fm_all_places, &fm_places[place]);
  }
  fm_n_places = n;
#endif
}

/* How many processors the calling thread's region may run on, and which; 0 where the system does not tell. */
static int fm_allowed(fm_cpus *cpus) {
  cpu_set_t both;
  if (sched_getaffinity(0, sizeof(*cpus), cpus)) return 0;
  for (int place = 0; place < fm_n_places; place++)
    if (CPU_EQUAL(cpus, &fm_places[place])) *cpus = fm_all_places;
  CPU_AND(&both, cpus, &fm_all_places);
  if (CPU_COUNT(&both)) *cpus = both;
  return CPU_COUNT(cpus);
}
#else
typedef char fm_cpus;
FM_SYNC_INLINE void fm_read_places(void) {}
FM_SYNC_INLINE int fm_allowed(fm_cpus *cpus) { return *cpus = 0; }
#endif

typedef void fm_body(void *context, int thread);

#if defined(_WIN32)
enum { FM_POOL = 0 };
FM_SYNC_INLINE void fm_pool_start(void) {}
FM_SYNC_INLINE void fm_pool_run(fm_body *body, void *context, int threads) { (void)threads, body(context, 0); }
FM_SYNC_INLINE int fm_forked(void) { return 0; }
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
  /* Like all above but the word, for who has taken the worker, and for it while it runs: */
  fm_cpus cpus; /* where it may run, */
  int kept_off; /* but not yet on its caller's processor */
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
static int fm_is_child = 0;

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

/* ---- a worker's side ---------------------------------------------------------------------------------------------*/

/* What the caller took out of the worker's mask is put back. For who has taken the worker, or is it, and running. */
FM_SYNC_INLINE void fm_run_anywhere(fm_worker *worker) {
#if defined(FM_AFFINITY)
  if (worker->kept_off) sched_setaffinity(0, sizeof(worker->cpus), &worker->cpus);
#endif
  worker->kept_off = 0;
}

/* Returns the worker's word once it has begun what it was given. */
static uint32_t fm_begin(fm_worker *worker, int woke) {
  for (int spin = 0;; spin++) {
    const uint32_t seen = atomic_load_explicit(&worker->word, memory_order_acquire);
    if (fm_state(seen) == FM_GIVEN && fm_move(worker, seen, fm_in_state(seen, FM_RUNNING))) {
      fm_run_anywhere(worker);
      return fm_in_state(seen, FM_RUNNING);
    }
    /* Withdrawn before it had begun: it takes itself for a moment, or a caller might write what it reads. */
    if (woke && fm_state(seen) == FM_IDLE && fm_move(worker, seen, fm_in_state(seen, FM_TAKEN))) {
      fm_run_anywhere(worker);
      atomic_store(&worker->word, seen);
      woke = 0;
    }
    if (spin >= FM_POOL_SPINS && fm_state(seen) == FM_IDLE && fm_move(worker, seen, fm_in_state(seen, FM_ASLEEP))) {
      fm_sleep_on(worker, fm_in_state(seen, FM_ASLEEP));
      spin = 0, woke = 1;
    }
    fm_pause();
  }
}

static void *fm_work(void *argument) {
  fm_worker *worker = argument;
  int woke = 1;
#if defined(__linux__)
  prctl(PR_SET_NAME, "fastmlp", 0, 0, 0); /* what top and debuggers show */
#endif
  for (;;) {
    const uint32_t running = fm_begin(worker, woke);
    woke = 0;
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
  pthread_sigmask(SIG_SETMASK, &blocked, &before);
  const int refused = pthread_create(&thread, NULL, fm_work, worker);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (refused) return 0;
  pthread_detach(thread);
  worker->id = thread;
  memset(&worker->cpus, 0, sizeof(worker->cpus)); /* none is known: it has its maker's, or a place of OpenMP's */
  worker->kept_off = 0;
  return 1;
}

/* A worker runs where its caller may now, wherever it was made. Only a change costs more than a look.
 *
 * One that starts or wakes does so on another processor than its caller's. A system places a thread by what it has done
 * of late, and may put one that has done nothing beside the caller that it is to help: there it runs in the caller's
 * place, for milliseconds or, where threads are gathered on few processors, for a second. It takes the caller's own out
 * of its mask for that, and puts it back when it begins. */
static void fm_let_run_on(fm_worker *worker, const fm_cpus *cpus, int starts) {
#if defined(FM_AFFINITY)
  const int narrowed = worker->kept_off, here = starts ? sched_getcpu() : -1;
  fm_cpus elsewhere = *cpus;
  if (here >= 0 && here < CPU_SETSIZE) CPU_CLR(here, &elsewhere);
  worker->kept_off = CPU_COUNT(&elsewhere) > 0 && !CPU_EQUAL(&elsewhere, cpus);
  if (worker->kept_off)
    pthread_setaffinity_np(worker->id, sizeof(elsewhere), &elsewhere);
  else if (narrowed || !CPU_EQUAL(&worker->cpus, cpus))
    pthread_setaffinity_np(worker->id, sizeof(*cpus), cpus);
  worker->cpus = *cpus;
#else
  (void)worker, (void)cpus, (void)starts;
#endif
}

/* ---- a caller's side ---------------------------------------------------------------------------------------------*/

/* Returns the worker's word if it has been given the region, and zero if it is busy or cannot be made. It is kept to
 * some processors if any are named. */
static uint32_t fm_give(fm_worker *worker, fm_body *body, void *context, int thread, const fm_cpus *cpus) {
  const uint32_t seen = atomic_load(&worker->word), state = fm_state(seen);
  const uint32_t given = fm_in_state(seen + FM_STATES, FM_GIVEN);
  if (state > FM_ASLEEP || !fm_move(worker, seen, fm_in_state(given, FM_TAKEN))) return 0;
  if (state == FM_ABSENT && !fm_make_thread(worker)) {
    atomic_store(&worker->word, FM_ABSENT);
    return 0;
  }
  worker->body = body, worker->context = context, worker->thread = thread;
  if (cpus) fm_let_run_on(worker, cpus, state == FM_ABSENT || state == FM_ASLEEP);
  atomic_store(&worker->word, given);
  if (state == FM_ASLEEP) fm_wake(worker);
  return given;
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
  fm_cpus cpus;
  const int known = fm_allowed(&cpus);
  for (int thread = 1; n < most && thread < threads; n++) {
    given[n] = fm_give(&fm_workers[n], body, context, thread, known ? &cpus : NULL);
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

/* A forked child has the thread that forked and no other: it begins with no workers and makes its own. OpenMP does not
 * (libgomp waits for those of the parent for ever), so that its threads are not for children. */
static void fm_no_workers(void) {
  for (int i = 0; i < FM_MAX_WORKERS; i++) fm_prepare(&fm_workers[i]);
}
static void fm_in_child(void) {
  fm_is_child = 1;
  fm_no_workers();
}
FM_SYNC_INLINE int fm_forked(void) { return fm_is_child; }

static void fm_pool_init(void) {
  const long processors = sysconf(_SC_NPROCESSORS_ONLN);
  fm_processors = processors < 1 ? 1 : processors > FM_MAX_WORKERS ? FM_MAX_WORKERS + 1 : (int)processors;
  fm_read_places();
  fm_no_workers();
  pthread_atfork(NULL, NULL, fm_in_child);
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
FM_SYNC_INLINE int fm_allowed_processors(void) {
  fm_cpus cpus;
  return fm_allowed(&cpus);
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
