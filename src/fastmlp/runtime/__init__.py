"""The machinery under the arithmetic: engines and their backends, threads, the machine, its measures, the report."""

from fastmlp.runtime.backend import (
    BACKENDS,
    Backend,
    choose_backend,
    get_backend,
    is_pure,
    load_passes,
    warn_of_emulation,
)
from fastmlp.runtime.engine import Engine, optimizer_state, set_optimizer_state
from fastmlp.runtime.report import VERSION, config, show_config
from fastmlp.runtime.threads import engine_threads, get_num_threads, set_num_threads, set_workers

__all__ = [
    "BACKENDS",
    "VERSION",
    "Backend",
    "Engine",
    "choose_backend",
    "config",
    "engine_threads",
    "get_backend",
    "get_num_threads",
    "is_pure",
    "load_passes",
    "optimizer_state",
    "set_num_threads",
    "set_optimizer_state",
    "set_workers",
    "show_config",
    "warn_of_emulation",
]
