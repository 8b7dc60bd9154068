"""The machine: its processor's name and caches."""

import platform
import re
from pathlib import Path

__all__ = ["cache_sizes", "cpu_model"]


def cpu_model() -> str:
    """The processor's name as its maker writes it."""
    try:
        found = re.search(
            r"^(?:model name|Model|cpu model)\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE
        )
        if found:
            return found[1].strip()
    except OSError:
        pass
    return _sysctl("machdep.cpu.brand_string") or platform.processor() or platform.machine() or "unknown"


def cache_sizes() -> dict[str, int]:
    """Bytes of each level of data cache that the first processor sees, {"L1d": ..., "L2": ..., "L3": ...}."""
    sizes: dict[str, int] = {}
    units = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        found = re.fullmatch(r"(\d+)([KMG]?)", size)
        if found and kind in ("Data", "Unified"):
            sizes[f"L{level}" + ("d" if kind == "Data" else "")] = int(found[1]) * units[found[2]]
    if not sizes:
        for name, key in (("L1d", "hw.l1dcachesize"), ("L2", "hw.l2cachesize"), ("L3", "hw.l3cachesize")):
            if (text := _sysctl(key)).isdecimal() and int(text) > 0:
                sizes[name] = int(text)
    return sizes


def _sysctl(key: str) -> str:
    if platform.system() != "Darwin":
        return ""
    import subprocess

    try:
        command = ["/usr/sbin/sysctl", "-n", key]
        return subprocess.run(command, capture_output=True, check=False, text=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
