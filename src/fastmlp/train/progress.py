"""The progress bar of a training."""

from typing import Any, Self

from fastmlp.train.callbacks import Logs

__all__ = ["Bar", "ProgressBar"]


class Bar:
    """What shows the progress of a training: nothing, and so an epoch is one call of the engine."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def steps(self, left: int) -> int:
        """How many steps the engine shall do before the bar moves."""
        return left

    def begin(self, epoch: int) -> None:
        """An epoch begins."""

    def advance(self, steps: int, rows: int, seconds: float) -> None:
        """Steps have been done."""

    def end(self, logs: Logs) -> None:
        """An epoch has ended."""


class ProgressBar(Bar):
    """A tqdm bar over the rows of all epochs, moved ten times a second."""

    def __init__(self, n_rows: int, epochs: int) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            raise ImportError(
                "progress=True draws its bar with tqdm, which is not installed: pip install 'fastmlp[progress]', "
                "or leave progress=False"
            ) from error
        self._tqdm: Any = tqdm
        self._total = n_rows * epochs
        self._count = 8

    def __enter__(self) -> Self:
        self._bar = self._tqdm(total=self._total, unit=" rows", unit_scale=True)
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def steps(self, left: int) -> int:
        return min(self._count, left)

    def begin(self, epoch: int) -> None:
        self._bar.set_description(f"epoch {epoch}", refresh=False)

    def advance(self, steps: int, rows: int, seconds: float) -> None:
        self._count = max(1, min(8 * self._count, int(0.1 * steps / max(seconds, 1e-9))))
        self._bar.update(rows)

    def end(self, logs: Logs) -> None:
        hidden = ("epoch", "seconds", "samples_per_second")
        shown = {name: f"{value:.4g}" for name, value in logs.items() if name not in hidden}
        self._bar.set_postfix(shown, refresh=False)
