/* The optimizers: the list, where OPTIMIZER is defined as what becomes of a row, or else the functions.
 *
 * OPTIMIZER(name, arrays of state per parameter, its columns of a step's row in the table...). Each is <name>_update of
 * one vector of parameters, by PyTorch's rules; its class fills the columns.
 *
 * The list goes into enums, names, tables and the columns' structs; the functions into isa/instantiate.inl. Mirror:
 * reference/optimizer.py. */

#ifdef OPTIMIZER
OPTIMIZER(sgd, 1, learning_rate, momentum, nesterov, gradient_scale)
OPTIMIZER(adam, 2, step_size, beta1, beta2, one_minus_beta1, one_minus_beta2, inv_sqrt_correction2, epsilon)
OPTIMIZER(adamw, 2, step_size, beta1, beta2, one_minus_beta1, one_minus_beta2, inv_sqrt_correction2, epsilon)
OPTIMIZER(amsgrad, 3, step_size, beta1, beta2, one_minus_beta1, one_minus_beta2, inv_sqrt_correction2, epsilon)
OPTIMIZER(nadam, 2, gradient_size, step_size, beta1, beta2, one_minus_beta1, one_minus_beta2, inv_sqrt_correction2,
          epsilon)
OPTIMIZER(radam, 2, step_size, beta1, beta2, one_minus_beta1, one_minus_beta2, rectified, epsilon)
OPTIMIZER(adamax, 2, step_size, beta1, beta2, one_minus_beta1, epsilon)
OPTIMIZER(rmsprop, 3, learning_rate, rho, one_minus_rho, epsilon, centered, momentum)
OPTIMIZER(adagrad, 1, learning_rate, epsilon)
OPTIMIZER(adadelta, 2, learning_rate, rho, one_minus_rho, epsilon)
OPTIMIZER(lion, 1, learning_rate, beta1, beta2, one_minus_beta1, one_minus_beta2)
OPTIMIZER(rprop, 2, initial_step, eta_minus, eta_plus, smallest_step, largest_step, first)
OPTIMIZER(schedule_free_adamw, 3, learning_rate, beta2, one_minus_beta2, inv_sqrt_correction2, epsilon, interpolation,
          share)
OPTIMIZER(muon, 2, step_size, beta1, beta2, one_minus_beta1, one_minus_beta2, inv_sqrt_correction2, epsilon, adam_decay,
          learning_rate, decay, momentum, one_minus_momentum, of_momentum, of_gradient, smallest_norm, consistent_rms,
          hidden_only, ns_steps, ns_first, ns_third, ns_fifth)
#else

/* g *= scale; buf = momentum buf + g; w -= lr (nesterov ? g + momentum buf : buf). Sutskever et al. 2013, as PyTorch
 * writes it with scale 1. With the learning rate as the scale and lr 1, buf is a velocity that remembers past rates,
 * as scikit-learn has it. */
static void sgd_update(ptrdiff_t n, void *w, const void *g, void *const *state, const double *h) {
  const fm_sgd_columns *step = (const fm_sgd_columns *)h;
  real *weight = (real *)w, *buffer = (real *)state[0];
  const real *gradient = (const real *)g;
  const vreal rate = vset1((real)step->learning_rate), momentum = vset1((real)step->momentum);
  const vreal scale = vset1((real)step->gradient_scale);
  const int heavy = step->momentum != 0, nesterov = step->nesterov != 0;
  for (ptrdiff_t i = 0; i < n; i += VL) {
    const vreal old = vload(weight + i);
    const vreal grad = vmul(scale, vload(gradient + i));
    vreal direction = grad;
    if (heavy) {
      const vreal moved = vfma(momentum, vload(buffer + i), grad);
      vstore(buffer + i, moved);
      direction = nesterov ? vfma(momentum, moved, grad) : moved;
    }
    vstore(weight + i, vfnma(rate, direction, old));
  }
}

/* mean = beta mean + rest value, stored. */
FM_INLINE vreal moved_to(real *mean, vreal beta, vreal rest, vreal value) {
  const vreal moved = vfma(beta, vload(mean), vmul(rest, value));
  vstore(mean, moved);
  return moved;
}

/* Kingma and Ba 2015, algorithm 1 with the bias corrections moved into two columns. */
FM_INLINE void adam_step(ptrdiff_t n, void *w, const void *g, void *const *state, const fm_adam_columns *step,
                         real *largest) {
  real *weight = (real *)w, *mean = (real *)state[0], *square = (real *)state[1];
  const real *gradient = (const real *)g;
  const vreal size = vset1((real)step->step_size), correction = vset1((real)step->inv_sqrt_correction2);
  const vreal epsilon = vset1((real)step->epsilon);
  const vreal beta1 = vset1((real)step->beta1), rest1 = vset1((real)step->one_minus_beta1);
  const vreal beta2 = vset1((real)step->beta2), rest2 = vset1((real)step->one_minus_beta2);
  for (ptrdiff_t i = 0; i < n; i += VL) {
    const vreal old = vload(weight + i);
    const vreal grad = vload(gradient + i);
    const vreal m = moved_to(mean + i, beta1, rest1, grad);
    vreal v = moved_to(square + i, beta2, rest2, vmul(grad, grad));
    if (largest != NULL) {
      v = vmax(vload(largest + i), v);
      vstore(largest + i, v);
    }
    const vreal denominator = vfma(vsqrt(v), correction, epsilon);
    vstore(weight + i, vsub(old, vdiv(vmul(size, m), denominator)));
  }
}

static void adam_update(ptrdiff_t n, void *w, const void *g, void *const *state, const double *h) {
  adam_step(n, w, g, state, (const fm_adam_columns *)h, NULL);
}

/* Loshchilov and Hutter 2019: as Adam; the weights have shrunk before (ops/regularise.inl). */
static void adamw_update(ptrdiff_t n, void *w, const void *g, void *const *state, const double *h) {
  adam_step(n, w, g, state, (const fm_adam_columns *)h, NULL);
}

/* Reddi et al. 2018: the largest second moment so far takes the place of the present one. */
static void amsgrad_update(ptrdiff_t n, void *w, const void *g, void *const *state, const double *h) {
  adam_step(n, w, g, state, (const fm_adam_columns *)h, (real *)state[2]);
}

/* Dozat 2016: of the step, a part goes along the gradient of now, and its columns hold the products of momenta. */
static void nadam_update(ptrdiff_t n, void *w, const void *g, void *const *state, const double *h) {
  const fm_nadam_columns *step = (const fm_nadam_columns *)h;
  real *weight = (real *)w, *mean = (real *)state[0], *square = (real *)state[1];
  const real *gradient = (const real *)g;
  const vreal now = vset1((real)step->gradient_size), size = vset1((real)step->step_size);
  const vreal correction = vset1((real)step->inv_sqrt_correction2), epsilon = vset1((real)step->epsilon);
  const vreal beta1 = vset1((real)step->beta1), rest1 = vset1((real)step->one_minus_beta1);
  const vreal beta2 = vset1((real)step->beta2), rest2 = vset1((real)step->one_minus_beta2);
  for (ptrdiff_t i = 0; i < n; i += VL) {
    const vreal grad = vload(gradient + i);
    const vreal m = moved_to(mean + i, beta1, rest1, grad);
    const vreal v = moved_to(square + i, beta2, rest2, vmul(grad, grad));
    const vreal direction = vfma(size, m, vmul(now, grad));
    vstore(weight + i, vsub(vload(weight + i), vdiv(direction, vfma(vsqrt(v), correction, epsilon))));
  }
}

/* Liu et al. 2020: while the second moment is not known well enough, `rectified` is 0 and the step is that of m. */
static void radam_update(ptrdiff_t n, void *w, const void *g, void *const *state, const double *h) {
  const fm_radam_columns *step = (const fm_radam_columns *)h;
  real *weight = (real *)w, *mean = (real *)state[0], *square = (real *)state[1];
  const real *gradient = (const real *)g;
  const vreal size = vset1((real)step->step_size), epsilon = vset1((real)step->epsilon);
  const int rectified = step->rectified != 0;
  const vreal beta1 = vset1((real)step->beta1), rest1 = vset1((real)step->one_minus_beta1);
  const vreal beta2 = vset1((real)step->beta2), rest2 = vset1((real)step->one_minus_beta2);
  for (ptrdiff_t i = 0; i < n; i += VL) {
    const vreal grad = vload(gradient + i);
    const vreal m = moved_to(mean + i, beta1, rest1, grad);
    const vreal v = moved_to(square + i, beta2, rest2, vmul(grad, grad));
    const vreal direction = rectified ? vdiv(m, vadd(vsqrt(v), epsilon)) : m;
    vstore(weight + i, vfnma(size, direction, vload(weight + i)));
  }
}

/* Kingma and Ba 2015, section 7.1: the largest gradient, which is forgotten by and by. */
static void adamax_update(ptrdiff_t n, void *w, const void *g, void *const *state, const double *h) {
  const fm_adamax_columns *step = (const fm_adamax_columns *)h;
  real *weight = (real *)w, *mean = (real *)state[0], *largest = (real *)state[1];
  const real *gradient = (const real *)g;
  const vreal size = vset1((real)step->step_size), epsilon = vset1((real)step->epsilon);
  const vreal beta1 = vset1((real)step->beta1), rest1 = vset1((real)step->one_minus_beta1);
  const vreal beta2 = vset1((real)step->beta2);
  for (ptrdiff_t i = 0; i < n; i += VL) {
    const vreal grad = vload(gradient + i);
    const vreal m = moved_to(mean + i, beta1, rest1, grad);
    const vreal most = vmax(vmul(beta2, vload(largest + i)), vadd(vabs(grad), epsilon));
    vstore(largest + i, most);
    vstore(weight + i, vsub(vload(weight + i), vdiv(vmul(size, m), most)));
  }
}

/* Tieleman and Hinton 2012; centred as in Graves 2013, with momentum as PyTorch has it. */
static void rmsprop_update(ptrdiff_t n, void *w, const void *g, void *const *state, const double *h) {
  const fm_rmsprop_columns *step = (const fm_rmsprop_columns *)h;
  real *weight = (real *)w, *square = (real *)state[0], *mean = (real *)state[1], *buffer = (real *)state[2];
  const real *gradient = (const real *)g;
  const vreal rate = vset1((real)step->learning_rate), epsilon = vset1((real)step->epsilon);
  const vreal rho = vset1((real)step->rho), rest = vset1((real)step->one_minus_rho);
  const vreal momentum = vset1((real)step->momentum);
  const int centered = step->centered != 0, heavy = step->momentum != 0;
  for (ptrdiff_t i = 0; i < n; i += VL) {
    const vreal grad = vload(gradient + i);
    vreal v = moved_to(square + i, rho, rest, vmul(grad, grad));
    if (centered) {
      const vreal m = moved_to(mean + i, rho, rest, grad);
      v = vmax(vzero(), vfnma(m, m, v));
    }
    vreal direction = vdiv(grad, vadd(vsqrt(v), epsilon));
    if (heavy) {
      direction = vfma(momentum, vload(buffer + i), direction);
      vstore(buffer + i, direction);
    }
    vstore(weight + i, vfnma(rate, direction, vload(weight + i)));
  }
}

/* Duchi et al. 2011. */
static void adagrad_update(ptrdiff_t n, void *w, const void *g, void *const *state, const double *h) {
  const fm_adagrad_columns *step = (const fm_adagrad_columns *)h;
  real *weight = (real *)w, *sum = (real *)state[0];
  const real *gradient = (const real *)g;
  const vreal rate = vset1((real)step->learning_rate), epsilon = vset1((real)step->epsilon);
  for (ptrdiff_t i = 0; i < n; i += VL) {
    const vreal grad = vload(gradient + i), v = vfma(grad, grad, vload(sum + i));
    vstore(sum + i, v);
    vstore(weight + i, vsub(vload(weight + i), vdiv(vmul(rate, grad), vadd(vsqrt(v), epsilon))));
  }
}

/* Zeiler 2012: the root mean square of past steps, by that of the gradients. */
static void adadelta_update(ptrdiff_t n, void *w, const void *g, void *const *state, const double *h) {
  const fm_adadelta_columns *step = (const fm_adadelta_columns *)h;
  real *weight = (real *)w, *square = (real *)state[0], *moves = (real *)state[1];
  const real *gradient = (const real *)g;
  const vreal rate = vset1((real)step->learning_rate), epsilon = vset1((real)step->epsilon);
  const vreal rho = vset1((real)step->rho), rest = vset1((real)step->one_minus_rho);
  for (ptrdiff_t i = 0; i < n; i += VL) {
    const vreal grad = vload(gradient + i);
    const vreal v = moved_to(square + i, rho, rest, vmul(grad, grad));
    const vreal move = vmul(vdiv(vsqrt(vadd(vload(moves + i), epsilon)), vsqrt(vadd(v, epsilon))), grad);
    moved_to(moves + i, rho, rest, vmul(move, move));
    vstore(weight + i, vfnma(rate, move, vload(weight + i)));
  }
}

/* Chen et al. 2023: the sign of a momentum that remembers the gradient less than what is kept of it does. */
static void lion_update(ptrdiff_t n, void *w, const void *g, void *const *state, const double *h) {
  const fm_lion_columns *step = (const fm_lion_columns *)h;
  real *weight = (real *)w, *mean = (real *)state[0];
  const real *gradient = (const real *)g;
  const vreal rate = vset1((real)step->learning_rate);
  const vreal beta1 = vset1((real)step->beta1), rest1 = vset1((real)step->one_minus_beta1);
  const vreal beta2 = vset1((real)step->beta2), rest2 = vset1((real)step->one_minus_beta2);
  for (ptrdiff_t i = 0; i < n; i += VL) {
    const vreal grad = vload(gradient + i);
    const vreal direction = vsign(vfma(beta1, vload(mean + i), vmul(rest1, grad)));
    moved_to(mean + i, beta2, rest2, grad);
    vstore(weight + i, vfnma(rate, direction, vload(weight + i)));
  }
}

/* Riedmiller and Braun 1993: a step of its own for each weight, which grows while the gradient keeps its sign. Where it
 * changed, the weight rests once, and the gradient counts as 0. */
static void rprop_update(ptrdiff_t n, void *w, const void *g, void *const *state, const double *h) {
  const fm_rprop_columns *step = (const fm_rprop_columns *)h;
  real *weight = (real *)w, *before = (real *)state[0], *sizes = (real *)state[1];
  const real *gradient = (const real *)g;
  const vreal smaller = vset1((real)step->eta_minus), larger = vset1((real)step->eta_plus);
  const vreal least = vset1((real)step->smallest_step), most = vset1((real)step->largest_step);
  const vreal initial = vset1((real)step->initial_step);
  const int first = step->first != 0;
  for (ptrdiff_t i = 0; i < n; i += VL) {
    const vreal grad = vload(gradient + i), agreement = vmul(vsign(grad), vload(before + i));
    const vmask turned = vlt(agreement, vzero());
    const vreal factor = vselect(turned, smaller, vselect(vlt(vzero(), agreement), larger, vset1(1)));
    const vreal size = vmin(most, vmax(least, vmul(first ? initial : vload(sizes + i), factor)));
    const vreal kept = vselect(turned, vzero(), grad);
    vstore(sizes + i, size);
    vstore(before + i, kept);
    vstore(weight + i, vfnma(vsign(kept), size, vload(weight + i)));
  }
}

/* Defazio et al. 2024. In training, the parameters are y, between z and the mean x of all z, which are states. y is a
 * function of both, so what it has lost before (ops/regularise.inl) is known, and is lost by z. */
static void schedule_free_adamw_update(ptrdiff_t n, void *w, const void *g, void *const *state, const double *h) {
  const fm_schedule_free_adamw_columns *step = (const fm_schedule_free_adamw_columns *)h;
  real *weight = (real *)w, *sequence = (real *)state[0], *square = (real *)state[1], *mean = (real *)state[2];
  const real *gradient = (const real *)g;
  const vreal rate = vset1((real)step->learning_rate), correction = vset1((real)step->inv_sqrt_correction2);
  const vreal beta2 = vset1((real)step->beta2), rest2 = vset1((real)step->one_minus_beta2);
  const vreal epsilon = vset1((real)step->epsilon);
  const vreal interpolation = vset1((real)step->interpolation), share = vset1((real)step->share);
  for (ptrdiff_t i = 0; i < n; i += VL) {
    const vreal grad = vload(gradient + i), before = vload(sequence + i), average = vload(mean + i);
    const vreal v = moved_to(square + i, beta2, rest2, vmul(grad, grad));
    const vreal direction = vdiv(grad, vfma(vsqrt(v), correction, epsilon));
    const vreal decay = vsub(vload(weight + i), vfma(interpolation, vsub(average, before), before));
    const vreal z = vfnma(rate, direction, vadd(before, decay));
    const vreal x = vfma(share, vsub(z, average), average);
    vstore(sequence + i, z);
    vstore(mean + i, x);
    vstore(weight + i, vfma(interpolation, vsub(x, z), z));
  }
}

/* Jordan et al. 2024: what is not orthogonalised as a whole (ops/muon.inl) moves as with AdamW, whose columns are the
 * first. */
static void muon_update(ptrdiff_t n, void *w, const void *g, void *const *state, const double *h) {
  adam_step(n, w, g, state, (const fm_adam_columns *)h, NULL);
}

#endif
