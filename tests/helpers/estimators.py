"""What tests of estimators share."""

from random_networks import flat

__all__ = ["coefficients"]


def coefficients(estimator):
    """All that an estimator has learnt, as one vector."""
    return flat((estimator.coefs_, estimator.intercepts_))
