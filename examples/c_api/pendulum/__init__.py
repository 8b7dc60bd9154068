"""A pendulum that a network steers, and an energy that a network is."""

from pendulum._forces import force
from pendulum._swing import swing

__all__ = ["force", "swing"]
