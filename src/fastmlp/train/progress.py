"""The progress bar of a training."""

from typing import Any

from fastmlp.train.callbacks import Logs, LoopCallback

__all__ = ["ProgressBar"]


class ProgressBar(LoopCallback):
    """A tqdm bar over the rows of all epochs, moved ten times a second: time left, latest measurements."""

    every = 0.1

    def __init__(self, n_rows: int | None, epochs: int | None, done: int = 0) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            raise ImportError(
                "progress=True draws its bar with tqdm, which is not installed: pip install 'fastmlp[progress]', "
                "or leave progress=False"
            ) from error
        self._tqdm: Any = tqdm
        self._total = None if n_rows is None or epochs is None else n_rows * epochs
        self._done = done  # rows, of a training gone on with
        self._measured: dict[str, str] = {}
        self._bar: Any = None

    def on_epoch_begin(self, net: Any, logs: Logs) -> None:  # noqa: ARG002
        if self._bar is None:
            self._bar = self._tqdm(total=self._total, initial=self._done, unit=" rows", unit_scale=True)
        self._bar.set_description(f"epoch {logs['epoch']}", refresh=False)

    def on_steps(self, net: Any, logs: Logs) -> None:  # noqa: ARG002
        self._bar.set_postfix({**self._measured, "loss": f"{logs['loss']:.4g}"}, refresh=False)
        self._bar.update(logs["rows"])

    def on_epoch_end(self, net: Any, logs: Logs) -> None:  # noqa: ARG002
        hidden = ("epoch", "seconds", "samples_per_second")
        self._measured = {name: f"{value:.4g}" for name, value in logs.items() if name not in hidden}
        self._bar.set_postfix(self._measured, refresh=False)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
