"""C programs that tests compile and run."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sysconfig

__all__ = ["native_compiler", "run"]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Without LD_PRELOAD: a sanitizer's library that is preloaded for Python is not for compilers."""
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)


def native_compiler() -> list[str] | None:
    """The compiler that Python was built with, unless CC says otherwise; without its flags, and without ccache."""
    words = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    wanted = [word for word in words if word != "ccache"][:1]
    found = [name for name in (*wanted, "cc", "gcc", "clang") if shutil.which(name)]
    return found[:1] or None
