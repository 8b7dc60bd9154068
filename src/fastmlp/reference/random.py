"""Counter-based random numbers: Philox4x32-10, uniform, normal, permutation, and one for each element of a matrix.

Mirror of csrc/kernels/random.inl (philox, elements) and csrc/random.h (permutation).

A number is a function of (seed, stream, substream, index) alone: no state, no order of drawing, the same on every
platform.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Streams: what the numbers are for. The substream is the epoch (SHUFFLE) or the layer (INIT, DROPOUT).
SHUFFLE, INIT, SPLIT, DROPOUT, NOISE, MIXUP = 1, 2, 3, 4, 5, 6

_CHUNK = 1 << 14  # blocks at a time: the temporaries stay in the cache
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_BELOW = 204914971528899  # of 2^53, the share of a standard normal below -2, rounded up


def philox(seed: int, stream: int, substream: int, start: int, n: int) -> NDArray[np.uint32]:
    """Blocks start ... start + n - 1 of Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers, SC 2011).

    Parameters
    ----------
    seed : int
        64 bits; the key is (low half, high half).
    stream, substream : int
        32 bits each: the two upper words of the counter.
    start : int
        64 bits: index of the first block, the two lower words of the counter.
    n : int
        Number of blocks.

    Returns
    -------
    ndarray of uint32, shape (n, 4)
    """
    out = np.empty((n, 4), np.uint32)
    for first in range(0, n, _CHUNK):
        _blocks(seed, stream, substream, start + first, out[first : first + _CHUNK])
    return out


def _blocks(seed: int, stream: int, substream: int, start: int, out: NDArray[np.uint32]) -> None:
    n = len(out)
    index = np.arange(n, dtype=np.uint64)
    index += np.uint64(start & 0xFFFFFFFFFFFFFFFF)  # wraps like the counter
    c0, c1 = index & _LOW, index >> _HALF
    c2 = np.full(n, substream & 0xFFFFFFFF, np.uint64)
    c3 = np.full(n, stream & 0xFFFFFFFF, np.uint64)
    k0, k1 = seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF
    for _ in range(10):
        c0 *= np.uint64(0xD2511F53)
        c2 *= np.uint64(0xCD9E8D57)
        new0 = (c2 >> _HALF) ^ c1 ^ np.uint64(k0)
        new2 = (c0 >> _HALF) ^ c3 ^ np.uint64(k1)
        c0, c1, c2, c3 = new0, c2 & _LOW, new2, c0 & _LOW
        k0 = (k0 + 0x9E3779B9) & 0xFFFFFFFF
        k1 = (k1 + 0xBB67AE85) & 0xFFFFFFFF
    for word, counter in enumerate((c0, c1, c2, c3)):
        out[:, word] = counter


def _bits53(seed: int, stream: int, substream: int, n: int) -> NDArray[np.uint64]:
    """Integers of 53 random bits, n of them, two words of a block for each."""
    words = philox(seed, stream, substream, 0, (n + 1) // 2).reshape(-1, 2)[:n].astype(np.uint64)
    return ((words[:, 0] >> np.uint64(5)) << np.uint64(26)) | (words[:, 1] >> np.uint64(6))


def uniform(seed: int, stream: int, substream: int, n: int) -> NDArray[np.float64]:
    """Numbers uniform in [0, 1), n of them: k / 2^53 with k of 53 random bits."""
    return _bits53(seed, stream, substream, n).astype(np.float64) * 2.0**-53


def normal(seed: int, stream: int, substream: int, n: int) -> NDArray[np.float64]:
    """Standard normal numbers, n of them: the quantiles of (k + 1/2) / 2^53 with k of 53 random bits."""
    return quantile53(_bits53(seed, stream, substream, n))


def truncated_normal(seed: int, stream: int, substream: int, n: int) -> NDArray[np.float64]:
    """Numbers of a standard normal that is cut at -2 and 2, n of them: the quantiles between, by 53 random bits."""
    shares = _bits53(seed, stream, substream, n).astype(np.float64)
    shares *= (2.0**53 - 2.0 * _BELOW) * 2.0**-53  # rounded once, and always below 2^53 - 2 _BELOW
    return quantile53(shares.astype(np.uint64) + np.uint64(_BELOW))


def permutation(seed: int, epoch: int, n: int, into: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """The order of n rows in an epoch: rows sorted by a 32-bit random key, equal keys by row.

    Row r's key is word r % 4 of block r // 4 of stream SHUFFLE, substream `epoch`. `into` is an array of n that is no
    longer needed: the answer may be made in it.

    Examples
    --------
    >>> sorted(permutation(seed=0, epoch=3, n=5).tolist())
    [0, 1, 2, 3, 4]
    """
    del into  # a new array is made on the way in any case
    keys = philox(seed, SHUFFLE, epoch, 0, (n + 3) // 4).reshape(-1)[:n]
    if n > 1 << 32:
        return np.argsort(keys, kind="stable").astype(np.int64, copy=False)
    pairs = keys.astype(np.uint64)  # (key, row) as one number: no two are equal, so that any sort is stable
    pairs <<= _HALF
    pairs |= np.arange(n, dtype=np.uint64)
    pairs.sort()
    pairs &= _LOW
    return pairs.view(np.int64)


def _keyed_hash(key0: Any, key1: Any, number: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Hash 32 bits by a key of 64: C. Wellons' "lowbias32" (hash-prospector, 2018), with the key in between.

    Half of it is added before the first multiplication and half before the second. For a given key no two numbers have
    the same hash.
    """
    x: NDArray[np.uint32] = number * np.uint32(0x9E3779B9) + key0
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x += key1
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return x


def elements(seed: int, stream: int, substream: int, index: int, rows: range, columns: int) -> NDArray[np.uint16]:
    """Numbers of 16 random bits, one for each element of some rows of a matrix.

    Parameters
    ----------
    seed, stream, substream, index : int
        As of a block of Philox, which has four words k. Row r's key is (hash of r by k[0], k[1]; hash of r by k[2],
        k[3]).
    rows : range
        Numbers of the rows, one after the other.
    columns : int
        Of 64 columns in a run, number i has the lower half of a hash by the row's key and number 32 + i its upper
        half: in run m, of the number 32 m + i.

    Returns
    -------
    ndarray of uint16, shape (rows, columns)
    """
    k = philox(seed, stream, substream, index, 1)[0]
    numbers = np.arange(rows.start, rows.stop, dtype=np.uint64).astype(np.uint32)[:, np.newaxis]
    key0, key1 = _keyed_hash(k[0], k[1], numbers), _keyed_hash(k[2], k[3], numbers)
    runs = (columns + 63) // 64
    out = np.empty((len(rows), runs, 2, 32), np.uint16)
    chunk = max(1, _CHUNK // (8 * runs))
    for first in range(0, len(rows), chunk):
        some = slice(first, first + chunk)
        hashes = _keyed_hash(key0[some], key1[some], np.arange(32 * runs, dtype=np.uint32)).reshape(-1, runs, 32)
        out[some, :, 0], out[some, :, 1] = hashes & np.uint32(0xFFFF), hashes >> np.uint32(16)
    return out.reshape(len(rows), 64 * runs)[:, :columns]


# Wichura, Algorithm AS 241 (PPND16), Applied Statistics 37 (1988): numerator and denominator, highest power first.
_CENTRE = (
    (
        2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
        1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080e0,
    ),
    (
        5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
        5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0,
    ),
)  # fmt: skip
_MIDDLE = (
    (
        7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258e0,
        3.64784832476320460504e0, 5.76949722146069140550e0, 4.63033784615654529590e0, 1.42343711074968357734e0,
    ),
    (
        1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
        6.89767334985100004550e-1, 1.67638483018380384940e0, 2.05319162663775882187e0, 1.0,
    ),
)  # fmt: skip
_TAIL = (
    (
        2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
        2.96560571828504891230e-1, 1.78482653991729133580e0, 5.46378491116411436990e0, 6.65790464350110377720e0,
    ),
    (
        2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
        1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0,
    ),
)  # fmt: skip


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: NDArray[np.float64]) -> NDArray[np.float64]:
    above, below = (np.full_like(x, row[0]) for row in coefficients)
    for a, b in zip(coefficients[0][1:], coefficients[1][1:], strict=True):
        above *= x
        above += a
        below *= x
        below += b
    above /= below
    return above


def log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of positive normal x by + - * / alone: x = 2^e m, log m = 2 artanh s with s = (m - 1) / (m + 1).

    NumPy's log is the C library's or its own vector code, and differs from platform to platform.
    """
    m, e = np.frexp(x)
    low = m < 0.70710678118654752
    m = np.where(low, m + m, m)
    exponent = e.astype(np.float64) - low
    s = (m - 1.0) / (m + 1.0)  # |s| < 0.172
    square = s * s
    series = np.zeros_like(s)
    for k in range(23, 0, -2):
        series *= square
        series += 1.0 / k
    # log 2 in two parts, the first with zeros at its end: exponent times it is exact.
    return exponent * 0.693147180369123816490 + (exponent * 1.90821492927058770002e-10 + 2.0 * s * series)


def quantile53(k: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Standard normal quantiles of (k + 1/2) / 2^53, k < 2^53, by Wichura's AS 241.

    k + 1/2 is a float64 only in the lower half; the upper half is its mirror image, exactly.
    """
    mirrored = k >= np.uint64(1 << 52)
    p = (np.where(mirrored, np.uint64((1 << 53) - 1) - k, k).astype(np.float64) + 0.5) * 2.0**-53  # in (0, 1/2)
    q = p - 0.5
    value = q * _ratio(_CENTRE, 0.180625 - q * q)
    outer = np.flatnonzero(q < -0.425)
    if outer.size:
        r = np.sqrt(-log(p[outer]))
        value[outer] = -np.where(r <= 5.0, _ratio(_MIDDLE, r - 1.6), _ratio(_TAIL, r - 5.0))
    return np.where(mirrored, -value, value)
