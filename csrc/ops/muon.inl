/* Muon, for matrices as a whole: a momentum, a polynomial of its singular values, the step along what that leaves.
 *
 * Jordan et al. 2024, https://kellerjordan.github.io/posts/muon. In which order, and the products between, is
 * passes/orthogonal.pyx. Included by isa/instantiate.inl. Mirror: reference/orthogonal.py. */

/* out = of_momentum m' + of_gradient g, where m' = momentum m + (1 - momentum) g is not stored yet. */
static void muon_direction(ptrdiff_t n, const void *g, const void *m, const double *h, void *out) {
  const fm_muon_columns *step = (const fm_muon_columns *)h;
  const real *gradient = (const real *)g, *mean = (const real *)m;
  real *direction = (real *)out;
  const vreal momentum = vset1((real)step->momentum), rest = vset1((real)step->one_minus_momentum);
  const vreal of_momentum = vset1((real)step->of_momentum), of_gradient = vset1((real)step->of_gradient);
  for (ptrdiff_t i = 0; i < n; i += VL) {
    const vreal grad = vload(gradient + i), moved = vfma(momentum, vload(mean + i), vmul(rest, grad));
    vstore(direction + i, vfma(of_momentum, moved, vmul(of_gradient, grad)));
  }
}

/* A block of p = c1 + c3 a + c5 a^2, in the place of a^2: Newton and Schulz's iteration makes y p of y, with a = y^T y.
 * `diagonal` blocks have 1 at (r, r). */
static void muon_polynomial(ptrdiff_t rows, int diagonal, const double *h, const void *a, void *square) {
  const fm_muon_columns *step = (const fm_muon_columns *)h;
  const real *gram = (const real *)a;
  real *p = (real *)square;
  const vreal third = vset1((real)step->ns_third), fifth = vset1((real)step->ns_fifth);
  for (ptrdiff_t i = 0; i < rows * PANEL; i += VL)
    vstore(p + i, vfma(fifth, vload(p + i), vmul(third, vload(gram + i))));
  for (ptrdiff_t r = 0; r < (diagonal ? rows : 0); r++) p[r * PANEL + r] += (real)step->ns_first;
}

/* m = momentum m + (1 - momentum) g; w -= decay w; w -= learning_rate scale direction. */
static void muon_step(ptrdiff_t n, const void *direction, const void *g, double scale, const double *h, void *m,
                      void *w) {
  const fm_muon_columns *step = (const fm_muon_columns *)h;
  const real *along = (const real *)direction, *gradient = (const real *)g;
  real *mean = (real *)m, *weight = (real *)w;
  const vreal momentum = vset1((real)step->momentum), rest = vset1((real)step->one_minus_momentum);
  const vreal decay = vset1((real)step->decay), rate = vset1((real)(step->learning_rate * scale));
  for (ptrdiff_t i = 0; i < n; i += VL) {
    const vreal old = vload(weight + i);
    moved_to(mean + i, momentum, rest, vload(gradient + i));
    vstore(weight + i, vfnma(rate, vload(along + i), vfnma(decay, old, old)));
  }
}
