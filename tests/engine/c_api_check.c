/* What a program in C or C++ does with fastmlp.h: compiled as both by test_c_api.py, which calls `check`. It stops at
 * the first thing that is not as the header says, and returns its line; 0 if all is. Arrays are exactly as large as
 * they are said to be, so that a sanitizer sees what is read or written beside them. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fastmlp.h"

#define EXPECT(condition)              \
  do {                                 \
    if (!(condition)) return __LINE__; \
  } while (0)

enum { ROWS = 3, INPUTS = 4, OUTPUTS = 2, CALLERS = 4, CALLS = 500, PARAMETERS = 4 * 8 + 8 + 8 * 2 + 2 };

static double *numbers(size_t n, double first) {
  double *array = (double *)malloc(n * sizeof(double));
  for (size_t i = 0; array && i < n; i++) array[i] = sin(first + (double)i);
  return array;
}

static int equal(const double *a, const double *b, size_t n) { return memcmp(a, b, n * sizeof(double)) == 0; }

static int check_failures(const fastmlp_api *api, fastmlp_net *net) {
  const ptrdiff_t sizes[] = {INPUTS, 8, OUTPUTS}, wrong[] = {INPUTS, 0};
  double x[ROWS * INPUTS] = {0}, y[ROWS * OUTPUTS] = {7};
  fastmlp_net *none = NULL;
  fastmlp_tape *tape = NULL;
  fastmlp_options options;
  struct {
    fastmlp_options known;
    uint64_t added;
  } newer;
  memset(&options, 0, sizeof options);
  memset(&newer, 0, sizeof newer);

  EXPECT(api->predict(NULL, x, sizeof x, y, sizeof y, 1) == FASTMLP_NULL);
  EXPECT(api->predict(net, NULL, sizeof x, y, sizeof y, 1) == FASTMLP_NULL);
  EXPECT(api->predict(net, x, sizeof x, NULL, sizeof y, 1) == FASTMLP_NULL);
  EXPECT(api->predict(net, x, sizeof x - 1, y, sizeof y, 1) == FASTMLP_SIZE);
  EXPECT(api->predict(net, x, sizeof x, y, sizeof y / 2, 1) == FASTMLP_SIZE);
  EXPECT(api->predict(net, x, (size_t)-1, y, sizeof y, 1) == FASTMLP_SIZE);
  EXPECT(api->predict(net, x, sizeof(double) * INPUTS, (char *)y + 4, sizeof(double) * OUTPUTS, 1) == FASTMLP_SIZE);
  EXPECT(api->predict(net, x, sizeof x, y, sizeof y, -1) == FASTMLP_ARGUMENT);
  EXPECT(strstr(api->last_error(), "threads"));
  x[5] = NAN;
  for (int threads = 0; threads < 3; threads++)
    EXPECT(api->predict(net, x, sizeof x, y, sizeof y, threads) == FASTMLP_NOT_FINITE);
  EXPECT(api->forward(net, x, sizeof x, y, sizeof y, 0, 1, &tape) == FASTMLP_NOT_FINITE && !tape);
  EXPECT(y[0] == 7 && y[1] == 0);
  EXPECT(api->predict(net, x, 0, y, 0, 1) == FASTMLP_OK);
  EXPECT(isnan(api->value(INPUTS, x + INPUTS, net)) && isnan(api->value(INPUTS - 1, x, net)));
  EXPECT(isnan(api->value(INPUTS, NULL, net)) && isnan(api->value(INPUTS, x, NULL)));
  x[5] = 0;
  EXPECT(api->forward(net, x, sizeof x, y, sizeof y, 0, 1, NULL) == FASTMLP_NULL);
  EXPECT(api->forward(net, x, sizeof x, y, sizeof y, 2, 1, &tape) == FASTMLP_ARGUMENT && !tape);
  EXPECT(api->forward(net, x, 0, y, 0, 0, 1, &tape) == FASTMLP_ARGUMENT && !tape);
  EXPECT(api->backward(NULL, y, sizeof y, NULL, 0, NULL, 0, 1) == FASTMLP_NULL);
  EXPECT(api->get_parameters(net, NULL, 0) == FASTMLP_NULL && api->set_parameters(NULL, x, sizeof x) == FASTMLP_NULL);
  EXPECT(api->get_parameters(net, x, sizeof x) == FASTMLP_SIZE);
  EXPECT(api->step(net, x, sizeof x, NULL, 0, 1) == FASTMLP_SIZE);
  EXPECT(api->n_inputs(NULL) == FASTMLP_NULL && api->dtype(NULL) == FASTMLP_NULL);

  EXPECT(api->create(NULL, 3, NULL, &none) == FASTMLP_NULL && api->create(sizes, 3, NULL, NULL) == FASTMLP_NULL);
  EXPECT(api->create(sizes, (size_t)-1, NULL, &none) == FASTMLP_ARGUMENT && api->create(sizes, 0, NULL, &none) < 0);
  EXPECT(api->create(wrong, 2, NULL, &none) == FASTMLP_ARGUMENT && strstr(api->last_error(), "sizes"));
  EXPECT(api->create(sizes, 3, &options, &none) == FASTMLP_VERSION);
  options.size = sizeof options, options.activation = "relo";
  EXPECT(api->create(sizes, 3, &options, &none) == FASTMLP_ARGUMENT && strstr(api->last_error(), "relo"));
  options.activation = NULL, options.dtype = 2;
  EXPECT(api->create(sizes, 3, &options, &none) == FASTMLP_ARGUMENT && !none);
  newer.known.size = sizeof newer;
  EXPECT(api->create(sizes, 3, &newer.known, &none) == FASTMLP_OK && none);
  api->release(none), none = NULL;
  newer.added = 1;
  EXPECT(api->create(sizes, 3, &newer.known, &none) == FASTMLP_VERSION && !none);
  options.dtype = FASTMLP_FLOAT64, options.size = offsetof(fastmlp_options, seeded); /* of a version without the rest */
  options.loss = "nonsense";
  EXPECT(api->create(sizes, 3, &options, &none) == FASTMLP_OK && api->dtype(none) == FASTMLP_FLOAT64);
  api->release(none), none = NULL;

  EXPECT(api->load("nonsense", 8, &none) == FASTMLP_ARGUMENT && api->load(NULL, 8, &none) == FASTMLP_NULL);
  EXPECT(api->load("", 0, &none) == FASTMLP_ARGUMENT && !none);
  EXPECT(api->from_python(NULL, &none) == FASTMLP_NULL && api->to_python(NULL, NULL) == FASTMLP_NULL);
  api->release(NULL), api->release_tape(NULL);
  return 0;
}

/* Gradients of E, half the sum of the squared outputs, against central differences. */
static double energy(const fastmlp_api *api, fastmlp_net *net, const double *x) {
  double y[ROWS * OUTPUTS], sum = 0;
  if (api->predict(net, x, ROWS * INPUTS * sizeof(double), y, sizeof y, 1)) return NAN;
  for (int i = 0; i < ROWS * OUTPUTS; i++) sum += y[i] * y[i] / 2;
  return sum;
}

static int check_gradients(const fastmlp_api *api, fastmlp_net *net) {
  const size_t all = PARAMETERS * sizeof(double), x_bytes = ROWS * INPUTS * sizeof(double);
  double *x = numbers(ROWS * INPUTS, 1), *w = numbers(PARAMETERS, 0), *gradient = numbers(PARAMETERS, 0);
  double *dx = numbers(ROWS * INPUTS, 0), *y = numbers(ROWS * OUTPUTS, 0);
  const double h = 1e-6;
  fastmlp_tape *tape = NULL;
  EXPECT(x && w && gradient && dx && y);
  EXPECT(api->n_parameters(net) == PARAMETERS && api->set_parameters(net, w, all) == FASTMLP_OK);
  EXPECT(api->forward(net, x, x_bytes, y, ROWS * OUTPUTS * sizeof(double), 0, 1, &tape) == FASTMLP_OK && tape);
  EXPECT(api->backward(tape, y, ROWS * OUTPUTS * sizeof(double), gradient, all - 8, NULL, 0, 1) == FASTMLP_SIZE);
  EXPECT(api->backward(tape, y, 8, gradient, all, NULL, 0, 1) == FASTMLP_SIZE);
  EXPECT(api->backward(tape, y, ROWS * OUTPUTS * sizeof(double), NULL, all, NULL, 0, 1) == FASTMLP_SIZE);
  EXPECT(api->backward(tape, y, ROWS * OUTPUTS * sizeof(double), gradient, all, dx, x_bytes, 1) == FASTMLP_OK);
  EXPECT(api->backward(tape, y, ROWS * OUTPUTS * sizeof(double), NULL, 0, dx, x_bytes, 2) == FASTMLP_OK);
  for (int i = 0; i < ROWS * INPUTS; i++) {
    const double before = x[i];
    x[i] = before + h;
    const double up = energy(api, net, x);
    x[i] = before - h;
    EXPECT(fabs((up - energy(api, net, x)) / (2 * h) - dx[i]) < 1e-6);
    x[i] = before;
  }
  for (int i = 0; i < PARAMETERS; i++) {
    const double before = w[i];
    w[i] = before + h;
    EXPECT(api->set_parameters(net, w, all) == FASTMLP_OK);
    const double up = energy(api, net, x);
    w[i] = before - h;
    EXPECT(api->set_parameters(net, w, all) == FASTMLP_OK);
    EXPECT(fabs((up - energy(api, net, x)) / (2 * h) - gradient[i]) < 1e-6);
    w[i] = before;
  }
  EXPECT(api->backward(tape, y, ROWS * OUTPUTS * sizeof(double), gradient, all, NULL, 0, 1) == FASTMLP_STALE);
  api->release_tape(tape);

  EXPECT(api->set_parameters(net, w, all) == FASTMLP_OK);
  const double before = energy(api, net, x);
  EXPECT(api->step(net, gradient, all, "sgd", -1, 1) == FASTMLP_ARGUMENT);
  EXPECT(api->step(net, gradient, all, "nonsense", 0, 1) == FASTMLP_ARGUMENT && strstr(api->last_error(), "nonsense"));
  EXPECT(api->step(net, gradient, all, "sgd", 1e-3, 1) == FASTMLP_OK && energy(api, net, x) < before);
  double *after = numbers(PARAMETERS, 0);
  EXPECT(after && api->get_parameters(net, after, all) == FASTMLP_OK);
  for (int i = 0; i < PARAMETERS; i++) EXPECT(fabs(after[i] - (w[i] - 1e-3 * gradient[i])) < 1e-12);
  EXPECT(api->step(net, gradient, all, NULL, 0, 0) == FASTMLP_OK);
  gradient[0] = INFINITY;
  EXPECT(api->step(net, gradient, all, NULL, 0, 1) == FASTMLP_NOT_FINITE);
  free(x), free(w), free(gradient), free(dx), free(y), free(after);
  return 0;
}

/* Threads that predict side by side, each with its own rows. */
typedef struct {
  const fastmlp_api *api;
  fastmlp_net *net;
  int number, failed;
} caller;

static void *predict_often(void *argument) {
  caller *self = (caller *)argument;
  double *x = numbers(ROWS * INPUTS, self->number), first[ROWS * OUTPUTS], y[ROWS * OUTPUTS];
  self->failed = !x || self->api->predict(self->net, x, ROWS * INPUTS * sizeof(double), first, sizeof first, 1);
  for (int i = 0; i < CALLS && !self->failed; i++) {
    memset(y, 0, sizeof y);
    self->failed = self->api->predict(self->net, x, ROWS * INPUTS * sizeof(double), y, sizeof y, 1) ||
                   !equal(y, first, ROWS * OUTPUTS);
  }
  free(x);
  return NULL;
}

static int check_threads(const fastmlp_api *api, fastmlp_net *net) {
  pthread_t threads[CALLERS];
  caller callers[CALLERS];
  for (int i = 0; i < CALLERS; i++) {
    callers[i].api = api, callers[i].net = net, callers[i].number = i, callers[i].failed = 1;
    EXPECT(!pthread_create(&threads[i], NULL, predict_often, &callers[i]));
  }
  for (int i = 0; i < CALLERS; i++) pthread_join(threads[i], NULL);
  for (int i = 0; i < CALLERS; i++) EXPECT(!callers[i].failed);
  return 0;
}

#ifdef __cplusplus
extern "C"
#endif
    int
    check(const fastmlp_api *api, const void *file, size_t bytes) {
  const ptrdiff_t sizes[] = {INPUTS, 8, OUTPUTS};
  fastmlp_options options;
  fastmlp_net *net = NULL, *same = NULL, *loaded = NULL;
  EXPECT(fastmlp_check(NULL) == FASTMLP_NULL && fastmlp_check(api) == FASTMLP_OK && FASTMLP_HAS(api, step));
  fastmlp_api older = *api;
  older.size = offsetof(fastmlp_api, step);
  EXPECT(fastmlp_check(&older) == FASTMLP_VERSION && FASTMLP_HAS(&older, release_tape) && !FASTMLP_HAS(&older, step));

  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.dtype = FASTMLP_FLOAT64, options.seeded = 1, options.seed = 5, options.activation = "tanh";
  EXPECT(api->create(sizes, 3, &options, &net) == FASTMLP_OK && api->create(sizes, 3, &options, &same) == FASTMLP_OK);
  EXPECT(api->n_inputs(net) == INPUTS && api->n_outputs(net) == OUTPUTS && api->dtype(net) == FASTMLP_FLOAT64);
  double w[PARAMETERS], other[PARAMETERS];
  EXPECT(!api->get_parameters(net, w, sizeof w) && !api->get_parameters(same, other, sizeof other));
  EXPECT(equal(w, other, PARAMETERS) && w[0] != 0);
  api->release(same);

  int line = check_failures(api, net);
  if (!line) line = check_gradients(api, net);
  if (!line) line = check_threads(api, net);
  if (line) return line;

  EXPECT(api->load(file, bytes, &loaded) == FASTMLP_OK && api->dtype(loaded) == FASTMLP_FLOAT32);
  EXPECT(api->load(file, bytes - 1, &same) == FASTMLP_ARGUMENT);
  api->release(loaded), api->release(net);
  return 0;
}
