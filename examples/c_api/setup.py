"""Two extensions that include fastmlp.h; nothing is linked."""

from Cython.Build import cythonize
from setuptools import Extension, setup

import fastmlp

include = [fastmlp.get_include()]
extensions = [
    Extension("pendulum._swing", ["pendulum/swing.c"], include_dirs=include),
    Extension("pendulum._forces", ["pendulum/forces.pyx"], include_dirs=include),
]
setup(packages=["pendulum"], ext_modules=cythonize(extensions))
