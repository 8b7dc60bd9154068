"""Many networks at once: trained side by side, compared, and taken together."""

from fastmlp.many.ensemble import Ensemble
from fastmlp.many.fit import fit_many
from fastmlp.many.results import Result, Results

__all__ = ["Ensemble", "Result", "Results", "fit_many"]
