/* The activations: the list, where ACTIVATION is defined as what becomes of a row, or else the functions.
 *
 * ACTIVATION(name, its parameters, what its slope is computed from, what it is a function of). Parameters are names,
 * separated by spaces. ELEMENTS: functions of one number, in vector words, below; <name>_value of the signal z, and,
 * where f' is a function of the OUTPUT a = f(z), which is there anyway, <name>_slope of that; where it is one of the
 * SIGNAL, <name>_and_slope returns the value again and writes the slope, which the forward pass keeps: the two have
 * most of their work in common. ROWS: <name>_forward_rows and <name>_backward_rows of all outputs of a row, in
 * softmax.inl. UNITS: <name>_forward_units and <name>_backward_units, by a vector that is learned, in prelu.inl; of the
 * SIGNAL, which is kept itself.
 *
 * The list goes into enums, names and tables; the functions into isa/instantiate.inl. Mirror: spec/activations/. */

#ifdef ACTIVATION
ACTIVATION(identity, "", OUTPUT, ELEMENTS)
ACTIVATION(sign, "", OUTPUT, ELEMENTS)
ACTIVATION(logistic, "", OUTPUT, ELEMENTS)
ACTIVATION(tanh, "", OUTPUT, ELEMENTS)
ACTIVATION(relu, "", OUTPUT, ELEMENTS)
ACTIVATION(leaky_relu, "slope", OUTPUT, ELEMENTS)
ACTIVATION(elu, "alpha", OUTPUT, ELEMENTS)
ACTIVATION(softplus, "beta", OUTPUT, ELEMENTS)
ACTIVATION(exp, "", OUTPUT, ELEMENTS)
ACTIVATION(selu, "", OUTPUT, ELEMENTS)
ACTIVATION(gelu, "", SIGNAL, ELEMENTS)
ACTIVATION(gelu_tanh, "", SIGNAL, ELEMENTS)
ACTIVATION(silu, "", SIGNAL, ELEMENTS)
ACTIVATION(mish, "", SIGNAL, ELEMENTS)
ACTIVATION(softsign, "", OUTPUT, ELEMENTS)
ACTIVATION(relu6, "", OUTPUT, ELEMENTS)
ACTIVATION(hardtanh, "", OUTPUT, ELEMENTS)
ACTIVATION(hard_sigmoid, "", OUTPUT, ELEMENTS)
ACTIVATION(hard_swish, "", SIGNAL, ELEMENTS)
ACTIVATION(softmax, "", OUTPUT, ROWS)
ACTIVATION(prelu, "init", SIGNAL, UNITS)
#else

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
  return vsign(z);
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

/* log(1 + exp(beta z)) / beta. The reciprocal is one of the loop's constants, and 1 where beta is. */
FM_INLINE vreal softplus_value(vreal z, const vreal *params) {
  return vmul(vsoftplus(vmul(params[0], z)), vdiv(vset1(1), params[0]));
}
/* f'(z) = logistic(beta z) = 1 - exp(-beta f(z)). */
FM_INLINE vreal softplus_slope(vreal a, const vreal *params) {
  return vsub(vzero(), vexpm1(vsub(vzero(), vmul(params[0], a))));
}

FM_INLINE vreal exp_value(vreal z, const vreal *params) {
  (void)params;
  return vexp(z);
}
FM_INLINE vreal exp_slope(vreal a, const vreal *params) {
  (void)params;
  return a;
}

static const double selu_scale = 1.0507009873554804934193349852946, selu_alpha = 1.6732632423543772848170429916717;

FM_INLINE vreal selu_value(vreal z, const vreal *params) {
  (void)params;
  const vreal below = vmul(vset1((real)selu_alpha), vexpm1(z));
  return vmul(vset1((real)selu_scale), vselect(vlt(vzero(), z), z, below));
}
FM_INLINE vreal selu_slope(vreal a, const vreal *params) {
  (void)params;
  const vreal scale = vset1((real)selu_scale);
  return vselect(vlt(vzero(), a), scale, vadd(a, vset1((real)(selu_scale * selu_alpha))));
}

/* z Phi(z), where Phi is the distribution of the standard normal. */
FM_INLINE vreal gelu_value(vreal z, const vreal *params) {
  (void)params;
  return vmul(z, vnormal_cdf(z));
}
FM_INLINE vreal gelu_and_slope(vreal z, const vreal *params, vreal *slope) {
  (void)params;
  vreal density;
  const vreal tail = normal_tail(z, &density);
  const vreal below = vselect(vlt(z, vzero()), tail, vsub(vset1(1), tail));
  *slope = vfma(z, density, below);
  return vmul(z, below);
}

/* z logistic(2 u) with u = sqrt(2 / pi) (z + 0.044715 z^3), which is z (1 + tanh u) / 2. */
static const double gelu_linear = 1.5957691216057308, gelu_cubic = 0.07135481627260025; /* of 2 u */

FM_INLINE vreal gelu_tanh_gate(vreal z) {
  const vreal factor = vfma(vset1((real)gelu_cubic), vmul(z, z), vset1((real)gelu_linear));
  return vlogistic(vmul(z, factor));
}
FM_INLINE vreal gelu_tanh_value(vreal z, const vreal *params) {
  (void)params;
  return vmul(z, gelu_tanh_gate(z));
}
/* Beyond 16 the slope is 0 or 1, and a square could overflow. */
FM_INLINE vreal gelu_tanh_and_slope(vreal z, const vreal *params, vreal *slope) {
  (void)params;
  const vreal s = gelu_tanh_gate(z), x = vmin(vset1(16), vmax(vset1(-16), z));
  const vreal inner = vfma(vset1((real)(3 * gelu_cubic)), vmul(x, x), vset1((real)gelu_linear)); /* d (2 u) / dz */
  *slope = vfma(vmul(vmul(x, inner), s), vsub(vset1(1), s), s);
  return vmul(z, s);
}

/* z logistic(z). */
FM_INLINE vreal silu_value(vreal z, const vreal *params) {
  (void)params;
  return vmul(z, vlogistic(z));
}
FM_INLINE vreal silu_and_slope(vreal z, const vreal *params, vreal *slope) {
  (void)params;
  const vreal s = vlogistic(z), value = vmul(z, s);
  *slope = vfma(value, vsub(vset1(1), s), s);
  return value;
}

/* tanh(softplus(z)) = n / (n + 2) with n = e^2z + 2 e^z, and so that nothing overflows, both times e^-2z where z > 0:
 * one exponential. Returns the quotient's denominator. */
FM_INLINE vreal mish_quotient(vreal z, vreal e, vreal *numerator) {
  const vmask right = vlt(vzero(), z);
  const vreal twice = vadd(e, e);
  *numerator = vselect(right, vadd(twice, vset1(1)), vfma(e, e, twice));
  return vadd(*numerator, vselect(right, vmul(twice, e), vset1(2)));
}

/* z tanh(softplus(z)). */
FM_INLINE vreal mish_value(vreal z, const vreal *params) {
  (void)params;
  vreal numerator;
  const vreal denominator = mish_quotient(z, exp_of_minus_abs(z), &numerator);
  return vmul(z, vdiv(numerator, denominator));
}
/* n / (n + 2) + 4 z e^z (1 + e^z) / (n + 2)^2. */
FM_INLINE vreal mish_and_slope(vreal z, const vreal *params, vreal *slope) {
  (void)params;
  vreal numerator;
  const vreal e = exp_of_minus_abs(z), denominator = mish_quotient(z, e, &numerator);
  const vreal reciprocal = vdiv(vset1(1), denominator);
  const vreal product = vmul(vselect(vlt(vzero(), z), vmul(e, e), e), vadd(e, vset1(1)));
  *slope = vmul(vfma(vmul(vmul(vset1(4), z), product), reciprocal, numerator), reciprocal);
  return vmul(z, vdiv(numerator, denominator));
}

FM_INLINE vreal softsign_value(vreal z, const vreal *params) {
  (void)params;
  return vdiv(z, vadd(vset1(1), vabs(z)));
}
FM_INLINE vreal softsign_slope(vreal a, const vreal *params) {
  (void)params;
  const vreal rest = vsub(vset1(1), vabs(a));
  return vmul(rest, rest);
}

/* As above: what limits comes first in vmin and vmax. */
FM_INLINE vreal relu6_value(vreal z, const vreal *params) {
  (void)params;
  return vmin(vset1(6), vmax(vzero(), z));
}
FM_INLINE vreal relu6_slope(vreal a, const vreal *params) {
  (void)params;
  return vselect(vlt(vzero(), a), vselect(vlt(a, vset1(6)), vset1(1), vzero()), vzero());
}

FM_INLINE vreal hardtanh_value(vreal z, const vreal *params) {
  (void)params;
  return vmin(vset1(1), vmax(vset1(-1), z));
}
FM_INLINE vreal hardtanh_slope(vreal a, const vreal *params) {
  (void)params;
  return vselect(vlt(vabs(a), vset1(1)), vset1(1), vzero());
}

/* relu6(z + 3) / 6. */
FM_INLINE vreal hard_sigmoid_value(vreal z, const vreal *params) {
  return vmul(relu6_value(vadd(z, vset1(3)), params), vset1((real)(1.0 / 6)));
}
FM_INLINE vreal hard_sigmoid_slope(vreal a, const vreal *params) {
  (void)params;
  const vreal inside = vset1((real)(1.0 / 6));
  return vselect(vlt(vzero(), a), vselect(vlt(a, vset1(1)), inside, vzero()), vzero());
}

/* z relu6(z + 3) / 6. */
FM_INLINE vreal hard_swish_value(vreal z, const vreal *params) { return vmul(z, hard_sigmoid_value(z, params)); }
FM_INLINE vreal hard_swish_and_slope(vreal z, const vreal *params, vreal *slope) {
  const vreal inside = vfma(z, vset1((real)(1.0 / 3)), vset1((real)0.5));
  *slope = vselect(vlt(z, vset1(-3)), vzero(), vselect(vlt(vset1(3), z), vset1(1), inside));
  return hard_swish_value(z, params);
}

#endif
