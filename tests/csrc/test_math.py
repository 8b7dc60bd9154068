"""The vector functions against mpmath, over every exponent and around every threshold, and ISAs against each other.

FASTMLP_MATH_POINTS raises the number of random points (default 2000 of each kind; errors were looked for with 10^6).
"""

import functools
import os

import mpmath
import numpy as np
import pytest
from compiled import ISAS

from fastmlp.passes import kernels, probes

FUNCTIONS = kernels.names("math")
DTYPES = kernels.names("dtype")
RANDOM_POINTS = int(os.environ.get("FASTMLP_MATH_POINTS", "2000"))
LOWEST = -2000  # of an exponential's argument: e^x rounds to 0, and 1 + e^x to 1, long before


def exp(x):
    return mpmath.exp(min(max(x, LOWEST), -LOWEST))


def softplus(x):
    return mpmath.log1p(exp(x)) if x < 0 else x + mpmath.log1p(exp(-x))


# mpmath's expm1, log1p and tanh keep their relative precision for tiny arguments.
EXACT = {
    "exp": exp,
    "expm1": lambda x: mpmath.expm1(min(max(x, LOWEST), -LOWEST)),
    "log": mpmath.log,
    "log1p": mpmath.log1p,
    "logistic": lambda x: 1 / (1 + exp(-x)),
    "tanh": mpmath.tanh,
    "softplus": softplus,
    "normal_cdf": lambda x: mpmath.ncdf(min(max(x, LOWEST), -LOWEST)),
}
LOWER_END = {"log": 0.0, "log1p": -1.0}  # the pole
ZERO_FOR_ZERO = {"expm1", "log1p", "tanh"}  # with its sign
AT_ZERO = {"exp": 1.0, "log": -np.inf, "logistic": 0.5, "normal_cdf": 0.5}
AT_INFINITY = {  # at -inf, at +inf
    "exp": (0.0, np.inf),
    "expm1": (-1.0, np.inf),
    "log": (np.nan, np.inf),
    "log1p": (np.nan, np.inf),
    "logistic": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "softplus": (0.0, np.inf),
    "normal_cdf": (0.0, 1.0),
}


def apply(name, x, isa=None):
    out = np.empty_like(x)
    probes.math(name, x, out, isa)
    return out


def neighbours(x, count):
    """Each x with the `count` numbers above and below it."""
    found = [x]
    for direction in (-np.inf, np.inf):
        y = x
        for _ in range(count):
            y = np.nextafter(y, x.dtype.type(direction))
            found.append(y)
    return np.concatenate(found)


@functools.cache
def points(dtype):
    """Finite numbers: every exponent from the least subnormal on, thresholds, random ones of several scales."""
    info, rng = np.finfo(dtype), np.random.default_rng(1)
    powers = np.ldexp(np.ones((), dtype), np.arange(info.minexp - info.nmant, info.maxexp)).astype(dtype)
    fractions = (powers * rng.uniform(1, 2, powers.size)).astype(dtype)
    limits = [float(mpmath.log(mpmath.mpf(float(limit)))) for limit in (info.max, info.tiny, info.smallest_subnormal)]
    # Where results become 1, -1, x or subnormal; where a reduction changes its integer; where branches meet.
    halves = np.arange(-60, 61) * (np.log(2) / 2)
    digits = np.arange(0.5, 4) * info.nmant * np.log(2)
    branches = [1, np.sqrt(0.5), np.sqrt(2), 18, 40, 89, 104.5, 710, 746, 2.0**-30]
    thresholds = np.array([*limits, *halves, *digits, *branches])
    thresholds = np.concatenate([thresholds, 1 - thresholds[np.abs(thresholds) < 4]])
    integers = {"float32": np.uint32, "float64": np.uint64}[dtype]
    bits = rng.integers(0, np.iinfo(integers).max, RANDOM_POINTS, dtype=integers).view(dtype)
    largest = float(limits[0])
    spread = [rng.normal(size=RANDOM_POINTS) * scale for scale in (0.02, 1.0, largest / 10)]
    wide = rng.uniform(-1.2 * largest, 1.1 * largest, RANDOM_POINTS)
    subnormal = rng.uniform(limits[2], limits[1], RANDOM_POINTS // 4)  # e^x is
    x = np.concatenate(
        [
            neighbours(np.concatenate([powers, -powers]), 1),
            fractions,
            -fractions,
            neighbours(np.concatenate([thresholds, -thresholds]).astype(dtype), 4),
            np.array([info.max, -info.max, info.tiny, -info.tiny], dtype),
            bits,
            *(values.astype(dtype) for values in (*spread, 1 + spread[0], spread[0] - 1, wide, subnormal)),
        ]
    )
    x = np.unique(x[np.isfinite(x) & (x != 0)])
    x.flags.writeable = False
    return x


def ulp_errors(name, x, computed):
    """|computed - exact| in units in the last place of the exact result; infinity stands for 2^maxexp."""
    info = np.finfo(x.dtype)
    overflow = mpmath.ldexp(1, info.maxexp)
    errors = np.empty(len(x))
    with mpmath.workprec(info.nmant + 60):
        for i, (argument, value) in enumerate(zip(x.tolist(), computed.tolist(), strict=True)):
            exact = EXACT[name](mpmath.mpf(argument))
            if abs(exact) > overflow:
                exact = overflow * mpmath.sign(exact)
            value = overflow * (1 if value > 0 else -1) if np.isinf(value) else mpmath.mpf(value)
            exponent = max(mpmath.frexp(exact)[1] - 1, info.minexp) if exact else info.minexp
            errors[i] = mpmath.ldexp(abs(value - exact), info.nmant - exponent)
    return errors


def test_there_is_an_oracle_for_every_function():
    assert set(FUNCTIONS) == set(EXACT) == set(AT_INFINITY)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_error_is_within_its_bound(name, dtype):
    x = points(dtype)
    x = x[x > LOWER_END.get(name, -np.inf)]
    computed = apply(name, x, "scalar")
    assert not np.isnan(computed).any(), x[np.isnan(computed)]
    errors = ulp_errors(name, x, computed)
    worst = int(np.argmax(errors))
    bound = kernels.math_ulp(name, dtype)
    print(f"{name} {dtype}: {errors[worst]:.3f} ulp of {bound:g} at {x[worst]!r}")  # pytest -rP shows the table
    assert errors[worst] <= bound, f"{name}({x[worst]!r}) = {computed[worst]!r}: {errors[worst]:.3f} ulp"
    assert bound < 4  # a bound that says something
    assert errors[worst] > 0.45  # and a measure that measures


@pytest.mark.parametrize("isa", [isa for isa in ISAS if isa != "scalar"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_isa_gives_the_bits_of_the_scalar_one(name, dtype, isa):
    specials = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan, -1.0], dtype)
    x = np.concatenate([points(dtype), np.repeat(specials, 40)])
    x = np.random.default_rng(2).permutation(x)  # neighbours in a vector take different branches
    got, wanted = apply(name, x, isa), apply(name, x, "scalar")
    np.testing.assert_array_equal(np.isnan(got), np.isnan(wanted))
    numbers = ~np.isnan(wanted)
    assert numbers.sum() > len(x) / 3
    assert got[numbers].tobytes() == wanted[numbers].tobytes()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_arguments(name, dtype, isa):
    def check(arguments, wanted):
        got = apply(name, np.array(arguments, dtype), isa)
        wanted = np.array(wanted, dtype)
        np.testing.assert_array_equal(got, wanted)
        zeros = wanted == 0
        np.testing.assert_array_equal(np.signbit(got[zeros]), np.signbit(wanted[zeros]))

    check([-np.inf, np.inf, np.nan, -np.nan], [*AT_INFINITY[name], np.nan, np.nan])
    if name in ZERO_FOR_ZERO:
        check([0.0, -0.0], [0.0, -0.0])
    if name in AT_ZERO:
        check([0.0, -0.0], [AT_ZERO[name]] * 2)
    if name in LOWER_END:
        end = np.dtype(dtype).type(LOWER_END[name])
        below = np.nextafter(end, np.dtype(dtype).type(-np.inf))
        check([end, below, end - 1, np.finfo(dtype).min], [-np.inf, np.nan, np.nan, np.nan])


@pytest.mark.parametrize("dtype", DTYPES)
def test_ranges_and_symmetry(dtype):
    x = points(dtype)
    tanh, logistic, exp_, softplus_ = (apply(name, x) for name in ("tanh", "logistic", "exp", "softplus"))
    assert (np.abs(tanh) <= 1).all()
    assert apply("tanh", -x).tobytes() == (-tanh).tobytes()
    assert ((logistic >= 0) & (logistic <= 1)).all()
    assert (exp_ >= 0).all()
    assert (softplus_ >= np.maximum(x, 0)).all()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_ragged_lengths_write_what_they_should_and_no_more(name, dtype, isa):
    x = np.random.default_rng(3).uniform(0.1, 3, 67).astype(dtype)
    wanted = apply(name, x, "scalar")
    poison = np.dtype(dtype).type(-77)
    for n in range(len(x) + 1):
        for offset in (0, 1, 3):  # alignment
            room = np.full(n + offset + 64, poison)
            source = np.full(n + offset + 64, np.nan, dtype)
            source[offset : offset + n] = x[:n]
            probes.math(name, source[offset : offset + n], room[offset : offset + n], isa)
            assert room[offset : offset + n].tobytes() == wanted[:n].tobytes()
            assert (room[:offset] == poison).all()
            assert (room[offset + n :] == poison).all()


def test_in_place():
    x = np.linspace(-3, 3, 41)
    wanted = apply("tanh", x)
    probes.math("tanh", x, x)
    assert x.tobytes() == wanted.tobytes()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("cosine", np.zeros(3), np.zeros(3)), ValueError),
        (("exp", np.zeros(3), np.zeros(4)), ValueError),
        (("exp", np.zeros(3), np.zeros(3, "float32")), ValueError),
        (("exp", np.zeros(4, "float32"), np.zeros(2)), ValueError),
        (("exp", np.zeros(3), np.zeros(3), "sse9"), ValueError),
        (("exp", np.zeros(6)[::2], np.zeros(3)), ValueError),
        (("exp", [1.0, 2.0], np.zeros(2)), TypeError),
    ],
)
def test_arguments(arguments, error):
    with pytest.raises(error):
        probes.math(*arguments)


def test_out_must_be_writable():
    out = np.zeros(3)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        probes.math("exp", np.zeros(3), out)
    with pytest.raises((KeyError, TypeError, ValueError)):
        probes.math("exp", np.zeros(3, int), np.zeros(3, int))
