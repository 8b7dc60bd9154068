# What setup.py writes into _build_config.py at build time.
PURE: bool
OPENMP: bool
OPENMP_VERSION: int
OPENMP_REASON: str
COMPILER: str
CFLAGS: str
SANITIZE: str
DEBUG: bool
