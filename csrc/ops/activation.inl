/* The elementwise activations of activation.def in vector words: f(z), and f'(z) from what the list says is kept.
 * Included by isa/instantiate.inl. Mirror: reference/activation.py. */

FM_INLINE vreal identity_value(vreal z, const vreal *params) {
  (void)params;
  return z;
}
FM_INLINE vreal identity_slope(vreal a, const vreal *params) {
  (void)a;
  (void)params;
  return vset1(1);
}

/* As in NumPy: -1, 0 or 1, and NaN stays NaN. Nothing is learned through it. */
FM_INLINE vreal sign_value(vreal z, const vreal *params) {
  (void)params;
  return vselect(veq(z, z), vselect(veq(z, vzero()), z, vcopysign(vset1(1), z)), z);
}
FM_INLINE vreal sign_slope(vreal a, const vreal *params) {
  (void)a;
  (void)params;
  return vzero();
}

FM_INLINE vreal logistic_value(vreal z, const vreal *params) {
  (void)params;
  return vlogistic(z);
}
FM_INLINE vreal logistic_slope(vreal a, const vreal *params) {
  (void)params;
  return vmul(a, vsub(vset1(1), a));
}

FM_INLINE vreal tanh_value(vreal z, const vreal *params) {
  (void)params;
  return vtanh(z);
}
FM_INLINE vreal tanh_slope(vreal a, const vreal *params) {
  (void)params;
  return vfnma(a, a, vset1(1));
}

/* vmax(0, z), not vmax(z, 0): the second operand is what a NaN leaves, and a NaN must reach the loss. */
FM_INLINE vreal relu_value(vreal z, const vreal *params) {
  (void)params;
  return vmax(vzero(), z);
}
FM_INLINE vreal relu_slope(vreal a, const vreal *params) {
  (void)params;
  return vselect(vlt(vzero(), a), vset1(1), vzero());
}

FM_INLINE vreal leaky_relu_value(vreal z, const vreal *params) {
  return vselect(vlt(vzero(), z), z, vmul(z, params[0]));
}
FM_INLINE vreal leaky_relu_slope(vreal a, const vreal *params) { return vselect(vlt(vzero(), a), vset1(1), params[0]); }

FM_INLINE vreal elu_value(vreal z, const vreal *params) {
  return vselect(vlt(vzero(), z), z, vmul(params[0], vexpm1(z)));
}
FM_INLINE vreal elu_slope(vreal a, const vreal *params) {
  return vselect(vlt(vzero(), a), vset1(1), vadd(a, params[0]));
}

FM_INLINE vreal softplus_value(vreal z, const vreal *params) {
  (void)params;
  return vsoftplus(z);
}
/* f'(z) = logistic(z) = 1 - exp(-softplus(z)). */
FM_INLINE vreal softplus_slope(vreal a, const vreal *params) {
  (void)params;
  return vsub(vzero(), vexpm1(vsub(vzero(), a)));
}

FM_INLINE vreal exp_value(vreal z, const vreal *params) {
  (void)params;
  return vexp(z);
}
FM_INLINE vreal exp_slope(vreal a, const vreal *params) {
  (void)params;
  return a;
}
