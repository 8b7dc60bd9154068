/* The update of one vector of parameters by each optimizer of optimizer.def, PyTorch's rules. Included by
 * isa/instantiate.inl. Mirror: reference/optimizer.py. */

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

/* Kingma and Ba 2015, algorithm 1 with the bias corrections moved into two columns. */
static void adam_update(ptrdiff_t n, void *w, const void *g, void *const *state, const double *h) {
  const fm_adam_columns *step = (const fm_adam_columns *)h;
  real *weight = (real *)w, *mean = (real *)state[0], *square = (real *)state[1];
  const real *gradient = (const real *)g;
  const vreal size = vset1((real)step->step_size), correction = vset1((real)step->inv_sqrt_correction2);
  const vreal beta1 = vset1((real)step->beta1), rest1 = vset1((real)step->one_minus_beta1);
  const vreal beta2 = vset1((real)step->beta2), rest2 = vset1((real)step->one_minus_beta2);
  const vreal epsilon = vset1((real)step->epsilon);
  for (ptrdiff_t i = 0; i < n; i += VL) {
    const vreal old = vload(weight + i);
    const vreal grad = vload(gradient + i);
    const vreal m = vfma(beta1, vload(mean + i), vmul(rest1, grad));
    const vreal v = vfma(beta2, vload(square + i), vmul(rest2, vmul(grad, grad)));
    vstore(mean + i, m);
    vstore(square + i, v);
    const vreal denominator = vfma(vsqrt(v), correction, epsilon);
    vstore(weight + i, vsub(old, vdiv(vmul(size, m), denominator)));
  }
}
