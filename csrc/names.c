/* The lists seen from outside: their names and columns, row by row. */
#include "kernels.h"

#define FM_NAME(name, ...) #name,
static const char *const DTYPES[] = {FM_DTYPES(FM_NAME) NULL};
static const char *const SOURCES[] = {FM_SOURCES(FM_NAME) NULL};

const char *fm_dtype_name(int i) { return i >= 0 && i < FM_DTYPE_COUNT ? DTYPES[i] : NULL; }
const char *fm_source_name(int i) { return i >= 0 && i < FM_SOURCE_COUNT ? SOURCES[i] : NULL; }

typedef struct {
  const char *name, *params;
  int keeps, of;
} activation_row;

#define ACTIVATION(name, params, keeps, of) {#name, params, FM_##keeps, FM_##of},
static const activation_row ACTIVATIONS[] = {
#include "ops/activation.inl"
    {NULL, NULL, 0, 0},
};
#undef ACTIVATION

static const activation_row *activation(int i) {
  return &ACTIVATIONS[i >= 0 && i < FM_ACTIVATION_COUNT ? i : FM_ACTIVATION_COUNT];
}
const char *fm_activation_name(int i) { return activation(i)->name; }
const char *fm_activation_params(int i) { return activation(i)->params; }
int fm_activation_keeps(int i) { return activation(i)->keeps; }
int fm_activation_of(int i) { return activation(i)->of; }

typedef struct {
  const char *name, *output, *params;
  int targets;
} loss_row;

#define LOSS(name, output, params, targets) {#name, output, params, FM_##targets},
static const loss_row LOSSES[] = {
#include "ops/loss.inl"
    {NULL, NULL, NULL, 0},
};
#undef LOSS

static const loss_row *loss(int i) { return &LOSSES[i >= 0 && i < FM_LOSS_COUNT ? i : FM_LOSS_COUNT]; }
const char *fm_loss_name(int i) { return loss(i)->name; }
const char *fm_loss_output(int i) { return loss(i)->output; }
const char *fm_loss_params(int i) { return loss(i)->params; }
int fm_loss_targets(int i) { return loss(i)->targets; }

typedef struct {
  const char *name;
  int states, n_columns;
  const char *columns;
} optimizer_row;

#define OPTIMIZER(name, states, ...) {#name, states, (int)(sizeof(fm_##name##_columns) / sizeof(double)), #__VA_ARGS__},
static const optimizer_row OPTIMIZERS[] = {
#include "ops/optimizer.inl"
    {NULL, 0, 0, NULL},
};
#undef OPTIMIZER

static const optimizer_row *optimizer(int i) {
  return &OPTIMIZERS[i >= 0 && i < FM_OPTIMIZER_COUNT ? i : FM_OPTIMIZER_COUNT];
}
const char *fm_optimizer_name(int i) { return optimizer(i)->name; }
int fm_optimizer_states(int i) { return optimizer(i)->states; }
int fm_optimizer_n_columns(int i) { return optimizer(i)->n_columns; }
const char *fm_optimizer_columns(int i) { return optimizer(i)->columns; }

#define TEXT_OF(...) #__VA_ARGS__
#define TEXT(...) TEXT_OF(__VA_ARGS__)
const char *fm_shared_columns_names(void) { return TEXT(FM_SHARED_COLUMNS); }

typedef struct {
  const char *name;
  double ulp[FM_DTYPE_COUNT];
} math_row;

#define MATH(name, ulp32, ulp64) {#name, {ulp32, ulp64}},
static const math_row MATHS[] = {
#include "kernels/math.def"
    {NULL, {0, 0}},
};
#undef MATH

static const math_row *math(int i) { return &MATHS[i >= 0 && i < FM_MATH_COUNT ? i : FM_MATH_COUNT]; }
const char *fm_math_name(int i) { return math(i)->name; }
double fm_math_ulp(int i, int dtype) { return dtype >= 0 && dtype < FM_DTYPE_COUNT ? math(i)->ulp[dtype] : 0; }
