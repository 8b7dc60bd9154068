"""A network as a file for others: C and ONNX."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastmlp.network.training import Training
from fastmlp.spec import CustomActivation

if TYPE_CHECKING:
    from fastmlp.network.state import Path

__all__ = ["Exports"]


class Exports(Training):
    """A network that can be written for where there is no fastmlp."""

    __slots__ = ()

    def to_c(self, path: Path, *, name: str = "model") -> None:
        """Write the network as one file of C99, with a function from a row to its outputs.

        The file holds the weights as constants, needs C99's standard headers and ``fma``, and takes no memory but its
        stack; its first lines say how much that is. It may be compiled for whatever has IEEE arithmetic, a
        microcontroller, too.

        Parameters
        ----------
        path : str or path-like
            Written aside and renamed: an interruption leaves the old file or the new one.
        name : str
            Of the function ``void {name}_predict(const float *x, float *y)`` (double where the network's dtype is
            float64), and what everything else in the file begins with.

        Raises
        ------
        ValueError
            If `name` is no identifier in C that begins with a letter, or the network has several outputs for each
            target, of which `predict` makes what they stand for, or a `CustomActivation`.
        OSError
            If the file cannot be written.

        Notes
        -----
        The arithmetic is that of the kernels, cut from their sources: the outputs are those of `predict` bit by bit.

        Examples
        --------
        >>> import fastmlp, tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder) / "xor.h"
        ...     fastmlp.MLP([2, 3, 1], seed=0).to_c(file, name="xor")
        ...     "void xor_predict(const float *x, float *y)" in file.read_text()
        True
        """
        from fastmlp.files.c99 import c99_of
        from fastmlp.files.tensors import replacing

        self._refuse_what_files_lack("to_c")
        with self._access.reading("to_c"):
            learner, statistics = self._learner, self.running_statistics
            vectors = self.gammas, self.slopes
            text = c99_of(learner.spec, self.weights, self.biases, name, *vectors, learner.normalizing, statistics)
        with replacing(path) as file:
            file.write(text.encode())

    def to_onnx(self, path: Path) -> None:
        """Write the network as an ONNX model: a Gemm and its activation for each layer, any number of rows.

        Needs onnx: ``pip install 'fastmlp[onnx]'``. `fastmlp.from_onnx` reads it again where there are no
        residual connections and no layer normalisation; batch normalisation is folded into the weights.

        Parameters
        ----------
        path : str or path-like
            Written aside and renamed: an interruption leaves the old file or the new one. The model's input is ``x``
            (n, n_inputs), its output ``y`` (n, n_outputs), both of the network's dtype; its operator set is 18.

        Raises
        ------
        ImportError
            If onnx is missing.
        ValueError
            If ONNX has no operators for an activation, as for a `CustomActivation`; if the network has several outputs
            for each target, of which `predict` makes what they stand for; or if the weights are more than 2 GB.
        OSError
            If the file cannot be written.
        """
        from fastmlp.files.onnx_write import onnx_of
        from fastmlp.files.tensors import replacing

        self._refuse_what_files_lack("to_onnx")
        with self._access.reading("to_onnx"):
            learner, statistics = self._learner, self.running_statistics
            vectors = self.gammas, self.slopes
            content = onnx_of(learner.spec, self.weights, self.biases, *vectors, learner.normalizing, statistics)
        with replacing(path) as file:
            file.write(content)

    def _refuse_what_files_lack(self, call: str) -> None:
        """Say what a network of others cannot do, before anything is written."""
        if self._learner.spec.loss.heads > 1:
            raise ValueError(
                f"{call} writes no file for several outputs of each target, as with {self.loss}: what `predict` makes "
                "of them is not done there"
            )
        own = [number for number, layer in enumerate(self.layers) if isinstance(layer.activation, CustomActivation)]
        if own:
            raise ValueError(f"{call} writes no file of Python's functions, which layer {own[0]} has as its activation")
        if self._learner.spec.bfloat16:
            raise ValueError(
                f"{call} writes no products of bfloat16; a network of dtype='float32' with the parameters of this one "
                "(get_flat, set_flat) computes what it does, up to that rounding"
            )
