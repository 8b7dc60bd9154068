"""The distribution of the normal, which NumPy lacks. Mirror of what csrc/kernels/vecmath.inl has beyond NumPy."""

from __future__ import annotations

import math

import numpy as np

from fastmlp.spec import Array

__all__ = ["normal_cdf", "normal_tail"]

# exp(-END^2 / 2) is less than the smallest number.
_END = {np.dtype(np.float32): 14.5, np.dtype(np.float64): 38.75}
_CENTRE = 5.5
# q of vecmath.inl, c[0] + c[1] t + ...
_TAIL = (
    0.7737696342764068, -0.6851834205743381, 0.5355964890624947, -0.36704906529361975, 0.21787243285795865,
    -0.10970308995871851, 0.04509758081490961, -0.013923510565676074, 0.002442982674353601, 0.00026960400085112646,
    -0.0003245226508481198, 7.141485112810966e-05, 1.6319979498692998e-05, -1.2118899653023384e-05,
    4.463524977799076e-07, 1.48386609546026e-06, -2.6777510887999346e-07, -1.775957369053816e-07,
    5.025067788104422e-08, 2.293983614173246e-08, -5.652600061213697e-09, -2.5799278498804248e-09,
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
