"""The distribution function of the normal, which NumPy lacks, for formulas of activations.

Mirror of what csrc/kernels/vecmath.inl has beyond NumPy.
"""

from __future__ import annotations

import math

import numpy as np

from fastmlp.spec.names import Array

__all__ = ["normal_cdf", "normal_tail"]

# exp(-END^2 / 2) is less than the smallest number.
_END = {np.dtype(np.float32): 14.5, np.dtype(np.float64): 38.75}
_CENTRE = 3.75
# q of vecmath.inl, c[0] + c[1] t + ...
_TAIL = (
    0.7502940722658991, -0.588188417836279, 0.352939857478078, -0.15151686542683193, 0.037489325418765644,
    0.0011683519685354727, -0.004162868254235685, 0.0006099109069664382, 0.0004698238625955062,
    -0.00011721029776560396, -7.00759434589264e-05, 1.706732152519078e-05, 1.3309597025327409e-05,
    -1.6474417507686232e-06, -2.766281066262663e-06, -1.6144476865141308e-07, 5.350525827657047e-07,
    1.5411113149428178e-07, -7.818249923716555e-08, -4.994452560823839e-08, 4.493923593321466e-09,
    8.797113306436182e-09, 6.957241141737808e-10, -5.100164808650001e-10,
)  # fmt: skip


def normal_tail(x: Array) -> tuple[Array, Array]:
    """Phi(-|x|) and the density of the standard normal at x.

    Phi(-a) = exp(-a^2 / 2) r q(t) with r = 1 / (a + centre) and t = 2 a r - 1; q is a polynomial.
    """
    a = np.minimum(np.abs(x), _END[x.dtype])
    near = np.round(a * 16.0) / 16.0  # of few digits, so that its square is exact: exp does not forgive its rounding
    power = np.exp(near * near * -0.5) * np.exp((near - a) * (near + a) * 0.5)
    reciprocal = 1.0 / (a + _CENTRE)
    t = 2.0 * a * reciprocal - 1.0
    q: Array = np.full_like(t, _TAIL[-1])
    for coefficient in _TAIL[-2::-1]:
        q *= t
        q += coefficient
    return power * reciprocal * q, power * (1.0 / math.sqrt(2.0 * math.pi))


def normal_cdf(x: Array) -> Array:
    """Distribution function Phi of the standard normal."""
    tail, _ = normal_tail(x)
    cdf: Array = np.where(x < 0.0, tail, 1.0 - tail)
    return cdf
