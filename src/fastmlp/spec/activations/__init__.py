"""The activations: a frozen class for each, with its parameters as fields and its formula in NumPy, in families.

To add one: a class in a family's file, its place in `__all__` there and its name in `Name`; nothing here.
"""

from typing import TYPE_CHECKING

from fastmlp.spec.activations import custom, gates, learned, maxout, outputs, rectifiers, sigmoids
from fastmlp.spec.activations.custom import *
from fastmlp.spec.activations.gates import *
from fastmlp.spec.activations.learned import *
from fastmlp.spec.activations.maxout import *
from fastmlp.spec.activations.outputs import *
from fastmlp.spec.activations.rectifiers import *
from fastmlp.spec.activations.sigmoids import *

if not TYPE_CHECKING:  # a checker adds up no lists, and takes what the stars say
    __all__ = []
    __all__ += outputs.__all__
    __all__ += sigmoids.__all__
    __all__ += rectifiers.__all__
    __all__ += gates.__all__
    __all__ += learned.__all__
    __all__ += maxout.__all__
    __all__ += custom.__all__
