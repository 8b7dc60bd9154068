"""How a network normalises what it reads: columns of its inputs, and of a regression's targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np

from fastmlp.spec.checks import choice

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastmlp.spec.network import NetworkSpec

__all__ = ["NORMALIZATIONS", "NOT_NORMALIZED", "Normalization", "Normalizing", "Scaling"]

Normalization: TypeAlias = Literal["standard", "minmax", "robust"]
NORMALIZATIONS: Final = ("standard", "minmax", "robust")


@dataclass(frozen=True, eq=False)
class Scaling:
    """Column c becomes (x - shift[c]) * scale[c], in float64, and is rounded once.

    Attributes
    ----------
    shift, scale : ndarray of float64, (columns,)
        Finite; no scale is 0.
    """

    shift: NDArray[np.float64]
    scale: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in ("shift", "scale"):
            array = getattr(self, name)
            if array.dtype != np.float64 or array.ndim != 1 or not np.isfinite(array).all():
                raise ValueError(f"{name} of a normalisation must be finite numbers of float64")
        if len(self.shift) != len(self.scale) or not self.scale.all():
            raise ValueError("a normalisation must have a shift and a scale, not 0, for each column")


@dataclass(frozen=True)
class Normalizing:
    """What a network normalises, and by what.

    Attributes
    ----------
    inputs, targets : {"standard", "minmax", "robust"} or None
        How; None: not at all.
    input_scaling, target_scaling : Scaling or None
        By what; None before that has been measured.
    """

    inputs: Normalization | None = None
    targets: Normalization | None = None
    input_scaling: Scaling | None = None
    target_scaling: Scaling | None = None

    def check(self, spec: NetworkSpec) -> None:
        """Raise a TypeError or ValueError where these are not of such a network."""
        for name, kind in (("normalize", self.inputs), ("normalize_targets", self.targets)):
            if kind is not None:
                choice(kind, name, NORMALIZATIONS)
        if self.targets is not None and not (spec.loss.in_units and spec.output.name == "identity"):
            raise ValueError(
                "normalize_targets is for regression, by a loss of errors and with the output 'identity'; this network "
                f"has the loss {spec.loss.name} and the output {spec.output.name}"
            )
        if self.targets is not None and spec.loss.ignores_nan:
            raise ValueError(f"normalize_targets is measured on targets, of which {spec.loss!r} may lack some")
        for of, kind, scaling, columns in (
            ("inputs", self.inputs, self.input_scaling, spec.sizes[0]),
            ("targets", self.targets, self.target_scaling, spec.loss.target_width(spec.sizes[-1])),
        ):
            if scaling is not None and (kind is None or len(scaling.shift) != columns):
                raise ValueError(f"what normalises {of} must be of {columns} columns that are to be normalised")

    def written(self) -> str:
        """Return the arguments of a network as `repr` writes them; nothing where nothing is normalised."""
        given = {"normalize": self.inputs, "normalize_targets": self.targets}
        return "".join(f", {name}={kind!r}" for name, kind in given.items() if kind is not None)

    @property
    def kinds(self) -> tuple[Normalization | None, Normalization | None]:
        """How inputs and targets are normalised."""
        return self.inputs, self.targets

    @property
    def measured(self) -> bool:
        """Whether it is known by what, where anything is to be normalised."""
        return (self.inputs is None or self.input_scaling is not None) and (
            self.targets is None or self.target_scaling is not None
        )


NOT_NORMALIZED: Final = Normalizing()
