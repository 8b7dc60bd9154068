/* The activations: the list from which enum, names, kernels and tests derive, then f and f' in vector words.
 * f' is a function of the output a = f(z), so that z need not be kept. Mirror: reference/activation.py. */
#ifndef FASTMLP_ACTIVATION_LIST
#define FASTMLP_ACTIVATION_LIST

/* X(name, what its one parameter is called, "" for none) */
#define FM_ACTIVATIONS(X) \
  X(identity, "")         \
  X(sign, "")             \
  X(logistic, "")         \
  X(tanh, "")             \
  X(relu, "")             \
  X(leaky_relu, "slope")  \
  X(elu, "alpha")         \
  X(softplus, "")         \
  X(exp, "")

#endif

#ifdef FM_INSTANTIATE

FM_INLINE vreal identity_value(vreal z, vreal param) {
  (void)param;
  return z;
}
FM_INLINE vreal identity_slope(vreal a, vreal param) {
  (void)a;
  (void)param;
  return vset1(1);
}

/* As in NumPy: -1, 0 or 1, and NaN stays NaN. Nothing is learned through it. */
FM_INLINE vreal sign_value(vreal z, vreal param) {
  (void)param;
  return vselect(veq(z, z), vselect(veq(z, vzero()), z, vcopysign(vset1(1), z)), z);
}
FM_INLINE vreal sign_slope(vreal a, vreal param) {
  (void)a;
  (void)param;
  return vzero();
}

FM_INLINE vreal logistic_value(vreal z, vreal param) {
  (void)param;
  return vlogistic(z);
}
FM_INLINE vreal logistic_slope(vreal a, vreal param) {
  (void)param;
  return vmul(a, vsub(vset1(1), a));
}

FM_INLINE vreal tanh_value(vreal z, vreal param) {
  (void)param;
  return vtanh(z);
}
FM_INLINE vreal tanh_slope(vreal a, vreal param) {
  (void)param;
  return vfnma(a, a, vset1(1));
}

/* vmax(0, z), not vmax(z, 0): the second operand is what a NaN leaves, and a NaN must reach the loss. */
FM_INLINE vreal relu_value(vreal z, vreal param) {
  (void)param;
  return vmax(vzero(), z);
}
FM_INLINE vreal relu_slope(vreal a, vreal param) {
  (void)param;
  return vselect(vlt(vzero(), a), vset1(1), vzero());
}

FM_INLINE vreal leaky_relu_value(vreal z, vreal param) { return vselect(vlt(vzero(), z), z, vmul(z, param)); }
FM_INLINE vreal leaky_relu_slope(vreal a, vreal param) { return vselect(vlt(vzero(), a), vset1(1), param); }

FM_INLINE vreal elu_value(vreal z, vreal param) { return vselect(vlt(vzero(), z), z, vmul(param, vexpm1(z))); }
FM_INLINE vreal elu_slope(vreal a, vreal param) { return vselect(vlt(vzero(), a), vset1(1), vadd(a, param)); }

FM_INLINE vreal softplus_value(vreal z, vreal param) {
  (void)param;
  return vsoftplus(z);
}
/* f'(z) = logistic(z) = 1 - exp(-softplus(z)). */
FM_INLINE vreal softplus_slope(vreal a, vreal param) {
  (void)param;
  return vsub(vzero(), vexpm1(vsub(vzero(), a)));
}

FM_INLINE vreal exp_value(vreal z, vreal param) {
  (void)param;
  return vexp(z);
}
FM_INLINE vreal exp_slope(vreal a, vreal param) {
  (void)param;
  return a;
}

#endif
