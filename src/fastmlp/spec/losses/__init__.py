"""The losses: a frozen class for each, which says what targets, output and metric it has, and its formula in NumPy.

To add one: a class in a family's file, its place in `__all__` there and its name in `Name`; nothing here.
"""

from typing import TYPE_CHECKING

from fastmlp.spec.losses import cosine, custom, deviances, entropies, focal, gaussian, margins, regression
from fastmlp.spec.losses.cosine import *
from fastmlp.spec.losses.custom import *
from fastmlp.spec.losses.deviances import *
from fastmlp.spec.losses.entropies import *
from fastmlp.spec.losses.focal import *
from fastmlp.spec.losses.gaussian import *
from fastmlp.spec.losses.margins import *
from fastmlp.spec.losses.regression import *

if not TYPE_CHECKING:  # a checker adds up no lists, and takes what the stars say
    __all__ = []
    __all__ += regression.__all__
    __all__ += entropies.__all__
    __all__ += focal.__all__
    __all__ += deviances.__all__
    __all__ += margins.__all__
    __all__ += cosine.__all__
    __all__ += gaussian.__all__
    __all__ += custom.__all__
