"""Clipping: how large a batch's gradient may be when an optimizer gets it."""

from __future__ import annotations

from typing import NamedTuple

from fastmlp.spec.checks import positive

__all__ = ["NO_CLIP", "Clip", "as_clip"]


class Clip(NamedTuple):
    """A bound on the norm of the gradient of all weights and biases together, or one on each of its entries.

    Attributes
    ----------
    norm : float or None
        g *= min(1, norm / (|g| + 1e-6)).
    value : float or None
        g = min(max(g, -value), value).
    """

    norm: float | None = None
    value: float | None = None


NO_CLIP = Clip()


def as_clip(clip_norm: object, clip_value: object) -> Clip:
    """Check both bounds, of which one at most is given; errors name the argument."""
    norm = None if clip_norm is None else positive(clip_norm, "clip_norm")
    value = None if clip_value is None else positive(clip_value, "clip_value")
    if norm is not None and value is not None:
        raise ValueError(
            "clip_norm and clip_value cannot both be given: which comes first would make a difference; got "
            f"clip_norm={norm!r} and clip_value={value!r}"
        )
    return Clip(norm, value)
