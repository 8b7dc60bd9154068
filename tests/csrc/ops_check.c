/* The operations of the lists - activations, losses, optimizers, vector functions - against the scalar table alone.
 * What they should be is checked elsewhere: tests/test_reference.py (the formulas), test_gradients.py (finite
 * differences), test_engine.py (the NumPy mirror), test_math.py (errors in units in the last place). */
#include "guard.h"

/* Parameters of an activation or a loss: as many as any may have. */
static const double PARAMS[] = {0.3, 0.7, 1.5, 0.1, 2.0, 0.9, 1.1, 0.2, 0.4, 0.6, 1.3, 0.5, 1.7, 0.8, 1.2, 1.9};
_Static_assert(sizeof PARAMS / sizeof *PARAMS >= FM_MAX_PARAMS, "more parameters are needed");

/* A matrix for what is kept: the outputs c, or the slopes that are kept beside them. */
static matrix kept_beside(int f, matrix c) {
  if (fm_activation_keeps(f) == FM_OUTPUT) return c;
  const matrix kept = new_matrix(c.rows, c.columns);
  allow_matrix(kept, c.columns);
  return kept;
}

static void check_activation_forward(trial t, result *out) {
  enum { ACTIVATION };
  const int f = t.at[ACTIVATION];
  const matrix z = new_matrix(t.rows, t.columns), bias = new_matrix(1, t.columns), c = new_matrix(t.rows, t.columns);
  const matrix kept = kept_beside(f, c), alone = new_matrix(t.rows, t.columns);
  fill(z, awkward);
  fill(bias, ordinary);
  copy_matrix(c, z);
  allow_matrix(c, t.columns);
  copy_matrix(alone, z);
  allow_matrix(alone, t.columns);
  seal_all();
  for (ptrdiff_t p = 0; p < c.panels; p++) {
    T->activation[f].forward(t.rows, vectors_of(c, p), panel_of(bias, p), PARAMS, panel_of(c, p), panel_of(kept, p));
    T->activation[f].forward(t.rows, vectors_of(c, p), panel_of(bias, p), PARAMS, panel_of(alone, p),
                             panel_of(alone, p));
  }
  check_all();
  for (ptrdiff_t r = 0; r < t.rows; r++)
    for (ptrdiff_t j = 0; j < t.columns; j++) {
      if (isnan(at(z, r, j)) && !isnan(at(c, r, j))) fail("lost a NaN");
      if (!isnan(at(c, r, j))) expect(at(c, r, j), at(alone, r, j));
    }
  append_matrix(out, c);
  append_matrix(out, kept);
}

static void check_activation_backward(trial t, result *out) {
  enum { ACTIVATION };
  const int f = t.at[ACTIVATION];
  if (skip_if(fm_activation_of(f) != FM_ELEMENTS)) return;
  const matrix d = new_matrix(t.rows, t.columns), kept = new_matrix(t.rows, t.columns);
  fill(d, ordinary);
  fill(kept, awkward);
  allow_matrix(d, t.columns);
  seal_all();
  for (ptrdiff_t p = 0; p < d.panels; p++)
    T->activation[f].backward(t.rows, vectors_of(d, p), panel_of(kept, p), PARAMS, panel_of(d, p));
  check_all();
  append_matrix(out, d);
}

static void check_activation_units(trial t, result *out) {
  enum { ACTIVATION, SHARED };
  const int f = t.at[ACTIVATION], shared = t.at[SHARED];
  if (skip_if(fm_activation_of(f) != FM_UNITS)) return;
  const matrix c = new_matrix(t.rows, t.columns), d = new_matrix(t.rows, t.columns);
  const matrix bias = new_matrix(1, t.columns), learned = new_matrix(1, t.columns);
  const matrix kept = new_matrix(t.rows, t.columns), terms = new_matrix(t.rows, t.columns);
  fill(c, awkward);
  fill(bias, ordinary);
  fill(learned, ordinary);
  fill(d, ordinary);
  allow_matrix(c, t.columns);
  allow_matrix(kept, t.columns);
  allow_matrix(d, t.columns);
  allow_matrix(terms, t.columns);
  seal_all();
  for (ptrdiff_t p = 0; p < c.panels; p++) {
    const void *slopes = panel_of(learned, shared ? 0 : p);
    T->activation[f].forward_units(t.rows, vectors_of(c, p), panel_of(bias, p), slopes, shared, panel_of(c, p),
                                   panel_of(kept, p));
    T->activation[f].backward_units(t.rows, vectors_of(c, p), panel_of(kept, p), slopes, shared, panel_of(d, p),
                                    panel_of(terms, p));
  }
  check_all();
  for (ptrdiff_t r = 0; r < t.rows; r++)
    for (ptrdiff_t j = 0; j < t.columns; j++)
      if (isnan(at(kept, r, j)) && !(isnan(at(c, r, j)) && isnan(at(terms, r, j)))) fail("lost a NaN");
  append_matrix(out, c);
  append_matrix(out, kept);
  append_matrix(out, d);
  append_matrix(out, terms);
}

static void check_activation_forward_rows(trial t, result *out) {
  enum { ACTIVATION, AWKWARD };
  const int f = t.at[ACTIVATION];
  if (skip_if(fm_activation_of(f) != FM_ROWS)) return;
  const matrix a = new_matrix(t.rows, t.columns), kept = kept_beside(f, a);
  fill(a, t.at[AWKWARD] ? awkward : ordinary);
  allow_matrix(a, t.columns);
  seal_all();
  T->activation[f].forward_rows(t.rows, t.columns, PARAMS, panel_of(a, 0), a.stride, panel_of(kept, 0));
  check_all();
  append_matrix(out, a);
}

static void check_activation_backward_rows(trial t, result *out) {
  enum { ACTIVATION, AWKWARD };
  const int f = t.at[ACTIVATION];
  if (skip_if(fm_activation_of(f) != FM_ROWS)) return;
  const matrix kept = new_matrix(t.rows, t.columns), d = new_matrix(t.rows, t.columns);
  fill(kept, share);
  fill(d, t.at[AWKWARD] ? awkward : ordinary);
  allow_matrix(d, t.columns);
  seal_all();
  T->activation[f].backward_rows(t.rows, t.columns, panel_of(kept, 0), PARAMS, panel_of(d, 0), d.stride);
  check_all();
  if (!t.at[AWKWARD]) check_padding(d, round_up(t.columns, T->lanes));
  append_matrix(out, d);
}

/* Parameters of cross entropies - clip, label_smoothing, pos_weight - each of which has code of its own. */
enum { PLAIN, CLIPPED, SMOOTHED, VARIANTS };
static const double CROSS_ENTROPIES[][FM_MAX_PARAMS] = {{0, 0, 1}, {0x1p-52, 0, 1}, {0, 0.1, 2}, {0x1p-23, 0, 1}};

/* Outputs of each target, and their levels, where there are several. */
enum { HEADS = 3 };
static const double LEVELS[HEADS] = {0.1, 0.5, 0.9};

/* Weights of targets, of which some may be NaN, where the loss is a sum of terms. */
static double share_or_nan(void) { return below(4) ? share() : NAN; }
static int has_terms(int loss) { return fm_loss_targets(loss) != FM_LABELS && loss != FM_LOSS_cosine; }

static void check_loss(trial t, result *out) {
  enum { LOSS, VARIANT, AWKWARD, BY_LABEL, BY_HEADS, COUNTED };
  const int loss = t.at[LOSS], awkwardly = t.at[AWKWARD], by_label = t.at[BY_LABEL], by_heads = t.at[BY_HEADS];
  const int entropy = strncmp(fm_loss_params(loss), "clip", 4) == 0;
  if (skip_if(by_label && fm_loss_targets(loss) != FM_LABELS) || skip_if(t.at[VARIANT] && !entropy) ||
      skip_if(by_heads && (loss != FM_LOSS_quantile || t.columns % HEADS)) ||
      skip_if(loss == FM_LOSS_gaussian_nll && t.columns % 2) || skip_if(t.at[COUNTED] && !has_terms(loss)))
    return;
  const double *params = PARAMS;
  if (entropy) params = CROSS_ENTROPIES[t.at[VARIANT] + (T->itemsize == 4 && t.at[VARIANT] == CLIPPED ? 2 : 0)];
  const matrix a = new_matrix(t.rows, t.columns), d = new_matrix(t.rows, t.columns);
  const matrix target = new_matrix(t.rows, t.columns);
  array *weights = new_array(t.columns, sizeof(double));
  array *labels = new_array(t.rows, sizeof(int32_t)), *scale = new_reals(t.rows);
  array *row_loss = new_array(t.rows, sizeof(double));
  fill(a, awkwardly ? awkward : ordinary);
  fill(target, t.at[COUNTED] ? share_or_nan : share);
  dirty_padding(a);
  for (ptrdiff_t c = 0; c < t.columns; c++) ((double *)(void *)weights->data)[c] = (double)below(3) / 2;
  for (ptrdiff_t r = 0; r < t.rows; r++) {
    ((int32_t *)(void *)labels->data)[r] = (int32_t)below(t.columns);
    put(scale->data, r, share());
  }
  allow_matrix(a, t.columns);
  allow_matrix(d, t.columns);
  allow(row_loss, 0, t.rows);
  seal_all();
  const fm_loss_rows block = {.rows = t.rows,
                              .n_outputs = t.columns,
                              .stride = a.stride,
                              .a = panel_of(a, 0),
                              .target = panel_of(target, 0),
                              .labels = by_label ? (const int32_t *)(const void *)labels->data : NULL,
                              .scale = scale->data,
                              .d = panel_of(d, 0),
                              .row_loss = (double *)(void *)row_loss->data,
                              .heads = by_heads ? HEADS : 1,
                              .levels = by_heads ? LEVELS : NULL,
                              .weights = t.at[COUNTED] ? (const double *)(const void *)weights->data : NULL,
                              .leaves_nan_out = t.at[COUNTED]};
  T->loss[loss](&block, params);
  check_all();
  if (!awkwardly) check_padding(d, round_up(t.columns, T->lanes));
  append_matrix(out, a);
  append_matrix(out, d);
  for (ptrdiff_t r = 0; r < t.rows; r++) append(out, ((double *)(void *)row_loss->data)[r]);
}

/* A step's columns are drawn at random, or all but one, which is zero: rules branch on that. */
static void check_optimizer(trial t, result *out) {
  enum { LANES_OF_ALL = 16 };
  enum { OPTIMIZER, ZERO };
  const int rule = t.at[OPTIMIZER], zeroed = t.at[ZERO] - 1;
  const ptrdiff_t n = t.rows * LANES_OF_ALL;
  if (skip_if(zeroed >= fm_optimizer_n_columns(rule))) return;
  array *w = new_reals(n), *g = new_reals(n), *arrays_of_state[FM_MAX_STATES];
  void *state[FM_MAX_STATES];
  double step[FM_MAX_COLUMNS];
  for (int i = 0; i < FM_MAX_COLUMNS; i++) step[i] = i == zeroed ? 0.0 : uniform(1e-3, 1);
  for (ptrdiff_t i = 0; i < n; i++) {
    put(w->data, i, ordinary());
    put(g->data, i, ordinary());
  }
  allow(w, 0, n);
  for (int i = 0; i < fm_optimizer_states(rule); i++) {
    arrays_of_state[i] = new_reals(n);
    state[i] = arrays_of_state[i]->data;
    for (ptrdiff_t j = 0; j < n; j++) put(state[i], j, share());
    allow(arrays_of_state[i], 0, n);
  }
  seal_all();
  T->optimizer[rule](n, w->data, g->data, state, step);
  check_all();
  append_array(out, w, n);
  for (int i = 0; i < fm_optimizer_states(rule); i++) append_array(out, arrays_of_state[i], n);
}

static void check_regularise(trial t, result *out) {
  enum { FIRST, SECOND };
  const double l1 = t.at[FIRST] * 0.75, l2 = t.at[SECOND] * 0.25;
  const ptrdiff_t used = t.rows * t.columns, n = round_up(used, T->lanes);
  array *w = new_reals(n), *g = new_reals(n), *before = new_reals(n);
  for (ptrdiff_t i = 0; i < n; i++) {
    put(w->data, i, i < used && i % 5 ? ordinary() : 0.0);
    put(before->data, i, i < used ? ordinary() : 0.0);
    put(g->data, i, get(before->data, i));
  }
  allow(g, 0, n);
  seal_all();
  T->regularise(n, w->data, l1, l2, g->data);
  check_all();
  for (ptrdiff_t i = 0; i < n; i++) {
    const double at = get(w->data, i), sign = (at > 0) - (at < 0);
    expect(get(g->data, i), fused(l2, at, fused(l1, sign, get(before->data, i))));
  }
  append_array(out, g, used);
}

static void check_clipping(trial t, result *out) {
  enum { BY_VALUE };
  const ptrdiff_t used = t.rows * t.columns, n = round_up(used, T->lanes);
  array *g = new_reals(n), *before = new_reals(n);
  for (ptrdiff_t i = 0; i < n; i++) {
    put(before->data, i, i < used ? awkward() : 0.0);
    put(g->data, i, get(before->data, i));
  }
  allow(g, 0, n);
  seal_all();
  if (t.at[BY_VALUE])
    T->limit(n, 0.75, g->data);
  else
    T->scale(n, 0.375, g->data);
  check_all();
  for (ptrdiff_t i = 0; i < n; i++) {
    const double old = get(before->data, i), now = get(g->data, i);
    const double wanted = !t.at[BY_VALUE] ? rounded(0.375 * old) : old > 0.75 ? 0.75 : old < -0.75 ? -0.75 : old;
    if (isnan(wanted) ? !isnan(now) : now != wanted) fail("another number");
  }
  append_array(out, g, used);
}

static double largest;
static double up_to_largest(void) { return uniform(-largest, largest); }

/* Columns, or rows where `across`, of which about half are longer than 1. */
static void check_bounds(trial t, result *out) {
  enum { ACROSS };
  const int across = t.at[ACROSS];
  const matrix w = new_matrix(t.rows, t.columns), before = new_matrix(t.rows, t.columns);
  largest = 1.7 / sqrt((double)(across ? t.columns : t.rows));
  fill(w, up_to_largest);
  copy_matrix(before, w);
  allow_matrix(w, w.panels * T->panel);
  seal_all();
  if (across) T->bound_rows(t.rows, t.columns, 1.0, panel_of(w, 0), w.stride);
  int any = 0;
  for (ptrdiff_t p = 0; p < w.panels && !across; p++) any |= T->bound_columns(t.rows, 1.0, panel_of(w, p));
  check_all();
  int changed = 0;
  for (ptrdiff_t i = 0; i < (across ? t.rows : t.columns); i++) {
    double old = 0, now = 0;
    for (ptrdiff_t j = 0; j < (across ? t.columns : t.rows); j++) {
      const double x = across ? at(before, i, j) : at(before, j, i), y = across ? at(w, i, j) : at(w, j, i);
      old += x * x;
      now += y * y;
      changed |= x != y;
    }
    if (fabs(sqrt(now) - (old > 1 ? 1 : sqrt(old))) > 1e-5) fail("another norm");
  }
  if (!across && any != changed) fail("does not say whether it has changed anything");
  append_matrix(out, w);
}

static void check_shrink(trial t, result *out) {
  const ptrdiff_t used = t.rows * t.columns, n = round_up(used, T->lanes);
  array *w = new_reals(n), *before = new_reals(n);
  for (ptrdiff_t i = 0; i < n; i++) {
    put(before->data, i, i < used ? ordinary() : 0.0);
    put(w->data, i, get(before->data, i));
  }
  allow(w, 0, n);
  seal_all();
  T->shrink(n, 0.25, w->data);
  check_all();
  for (ptrdiff_t i = 0; i < n; i++) expect(get(w->data, i), fused(-0.25, get(before->data, i), get(before->data, i)));
  append_array(out, w, used);
}

static void check_average(trial t, result *out) {
  const ptrdiff_t used = t.rows * t.columns, n = round_up(used, T->lanes);
  array *w = new_reals(n), *mean = new_reals(n), *before = new_reals(n);
  for (ptrdiff_t i = 0; i < n; i++) {
    put(w->data, i, i < used ? ordinary() : 0.0);
    put(before->data, i, i < used ? ordinary() : 0.0);
    put(mean->data, i, get(before->data, i));
  }
  allow(mean, 0, n);
  seal_all();
  T->average(n, w->data, 0.125, mean->data);
  check_all();
  for (ptrdiff_t i = 0; i < n; i++) {
    const double old = get(before->data, i);
    expect(get(mean->data, i), fused(0.125, rounded(get(w->data, i) - old), old));
  }
  append_array(out, mean, used);
}

/* The steps of Muon, each by its formula, with columns of their own numbers. */
static void check_muon(trial t, result *out) {
  const ptrdiff_t rows = t.rows < T->panel ? t.rows : T->panel, n = rows * T->panel;
  array *g = new_reals(n), *m = new_reals(n), *w = new_reals(n), *u = new_reals(n), *square = new_reals(n);
  array *before = new_reals(3 * n);
  const int diagonal = t.at[0];
  fm_muon_columns step = {.learning_rate = 0.25, .decay = 0.125, .momentum = 0.75, .one_minus_momentum = 0.25};
  step.of_momentum = 0.5, step.of_gradient = 0.375, step.ns_first = 3, step.ns_third = -2, step.ns_fifth = 0.5;
  const double *h = (const double *)(const void *)&step;
  for (ptrdiff_t i = 0; i < n; i++) {
    put(g->data, i, ordinary());
    put(before->data, i, ordinary());
    put(before->data, n + i, ordinary());
    put(before->data, 2 * n + i, ordinary());
    put(m->data, i, get(before->data, i));
    put(w->data, i, get(before->data, n + i));
    put(square->data, i, get(before->data, 2 * n + i));
  }
  allow(m, 0, n);
  allow(w, 0, n);
  allow(u, 0, n);
  allow(square, 0, n);
  seal_all();
  T->muon_direction(n, g->data, m->data, h, u->data);
  T->muon_polynomial(rows, diagonal, h, g->data, square->data);
  T->muon_step(n, u->data, g->data, 2, h, m->data, w->data);
  check_all();
  for (ptrdiff_t i = 0; i < n; i++) {
    const double grad = get(g->data, i), old = get(before->data, n + i);
    const double moved = fused(0.75, get(before->data, i), rounded(0.25 * grad));
    expect(get(m->data, i), moved);
    expect(get(u->data, i), fused(0.5, moved, rounded(0.375 * grad)));
    expect(get(w->data, i), fused(-0.5, get(u->data, i), fused(-0.125, old, old)));
    const double p = fused(0.5, get(before->data, 2 * n + i), rounded(-2 * grad));
    expect(get(square->data, i), diagonal && i / T->panel == i % T->panel ? rounded(p + 3) : p);
  }
  (void)out; /* whose lengths would be those of a panel, which is the ISA's */
}

static void check_math(trial t, result *out) {
  const ptrdiff_t n = t.rows * t.columns;
  array *x = new_reals(n), *y = new_reals(n);
  for (ptrdiff_t i = 0; i < n; i++) put(x->data, i, awkward());
  allow(y, 0, n);
  seal_all();
  T->math[t.at[0]](n, x->data, y->data);
  check_all();
  append_array(out, y, n);
}

static const check CHECKS[] = {
    {"activation.forward", check_activation_forward, 2, {{"of", FM_ACTIVATION_COUNT, fm_activation_name}}},
    {"activation.backward", check_activation_backward, 2, {{"of", FM_ACTIVATION_COUNT, fm_activation_name}}},
    {"activation.units",
     check_activation_units,
     2,
     {{"of", FM_ACTIVATION_COUNT, fm_activation_name}, {"shared", 2, NULL}}},
    {"activation.forward_rows",
     check_activation_forward_rows,
     2,
     {{"of", FM_ACTIVATION_COUNT, fm_activation_name}, {"awkward", 2, NULL}}},
    {"activation.backward_rows",
     check_activation_backward_rows,
     2,
     {{"of", FM_ACTIVATION_COUNT, fm_activation_name}, {"awkward", 2, NULL}}},
    {"loss",
     check_loss,
     2,
     {{"of", FM_LOSS_COUNT, fm_loss_name},
      {"variant", VARIANTS, NULL},
      {"awkward", 2, NULL},
      {"by label", 2, NULL},
      {"by heads", 2, NULL},
      {"counted", 2, NULL}}},
    {"optimizer",
     check_optimizer,
     2,
     {{"of", FM_OPTIMIZER_COUNT, fm_optimizer_name}, {"zero", FM_MAX_COLUMNS + 1, NULL}}},
    {"regularise", check_regularise, 2, {{"l1", 2, NULL}, {"l2", 2, NULL}}},
    {"clipping", check_clipping, 2, {{"by value", 2, NULL}}},
    {"bounds", check_bounds, 2, {{"across", 2, NULL}}},
    {"shrink", check_shrink, 2, {{0}}},
    {"average", check_average, 2, {{0}}},
    {"muon", check_muon, 2, {{"diagonal", 2, NULL}}},
    {"math", check_math, 2, {{"of", FM_MATH_COUNT, fm_math_name}}},
};

int main(void) { return run_checks(CHECKS, sizeof CHECKS / sizeof *CHECKS); }
