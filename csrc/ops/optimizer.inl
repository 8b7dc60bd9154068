/* The optimizers: the list from which enum, names, kernels and tests derive, then the update of one vector of
 * parameters, PyTorch's rules. Mirror: reference/optimizer.py. */
#ifndef FASTMLP_OPTIMIZER_LIST
#define FASTMLP_OPTIMIZER_LIST

/* X(name, arrays of state per parameter, a step's scalars in order). The last scalar is the weight decay: passes/update
 * sets it to 0 for biases. */
#define FM_OPTIMIZERS(X)                                                   \
  X(sgd, 1, "learning_rate momentum nesterov gradient_scale weight_decay") \
  X(adam, 2, "step_size beta1 beta2 one_minus_beta1 one_minus_beta2 inv_sqrt_correction2 epsilon weight_decay")

/* The longest row of scalars. */
enum { FM_MAX_SCALARS = 8 };

#endif

#ifdef FM_INSTANTIATE

/* g *= scale; buf = momentum buf + g; w -= lr (nesterov ? g + momentum buf : buf). Sutskever et al. 2013, as PyTorch
 * writes it with scale 1. With the learning rate as the scale and lr 1, buf is a velocity that remembers past rates,
 * as scikit-learn has it. */
static void sgd_update(ptrdiff_t n, void *w, const void *g, void *s0, void *s1, const double *h) {
  (void)s1;
  real *weight = (real *)w, *buffer = (real *)s0;
  const real *gradient = (const real *)g;
  const vreal rate = vset1((real)h[0]), momentum = vset1((real)h[1]), scale = vset1((real)h[3]);
  const vreal decay = vset1((real)h[4]);
  const int heavy = h[1] != 0, nesterov = h[2] != 0;
  for (ptrdiff_t i = 0; i < n; i += VL) {
    const vreal old = vload(weight + i);
    const vreal grad = vmul(scale, vfma(decay, old, vload(gradient + i)));
    vreal direction = grad;
    if (heavy) {
      const vreal moved = vfma(momentum, vload(buffer + i), grad);
      vstore(buffer + i, moved);
      direction = nesterov ? vfma(momentum, moved, grad) : moved;
    }
    vstore(weight + i, vfnma(rate, direction, old));
  }
}

/* Kingma and Ba 2015, algorithm 1 with the bias corrections moved into two scalars of the step. */
static void adam_update(ptrdiff_t n, void *w, const void *g, void *s0, void *s1, const double *h) {
  real *weight = (real *)w, *mean = (real *)s0, *square = (real *)s1;
  const real *gradient = (const real *)g;
  const vreal step = vset1((real)h[0]), beta1 = vset1((real)h[1]), beta2 = vset1((real)h[2]);
  const vreal rest1 = vset1((real)h[3]), rest2 = vset1((real)h[4]), correction = vset1((real)h[5]);
  const vreal epsilon = vset1((real)h[6]), decay = vset1((real)h[7]);
  for (ptrdiff_t i = 0; i < n; i += VL) {
    const vreal old = vload(weight + i);
    const vreal grad = vfma(decay, old, vload(gradient + i));
    const vreal m = vfma(beta1, vload(mean + i), vmul(rest1, grad));
    const vreal v = vfma(beta2, vload(square + i), vmul(rest2, vmul(grad, grad)));
    vstore(mean + i, m);
    vstore(square + i, v);
    const vreal denominator = vfma(vsqrt(v), correction, epsilon);
    vstore(weight + i, vsub(old, vdiv(vmul(step, m), denominator)));
  }
}

#endif
