"""A network as one C99 file: constant tables and a function from one row to its outputs, to the bits of `predict`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from fastmlp.files.c_source import constant, needed, renamed
from fastmlp.spec import NORM_EPSILON, NOT_NORMALIZED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastmlp.spec import Array, NetworkSpec, Normalizing
    from fastmlp.spec.network import Layer

__all__ = ["c99_of"]

_HEAD = """\
/* {name}_predict: a multi-layer perceptron of {sizes}.
 *
 *   void {name}_predict(const {real} *x, {real} *y)
 *
 * computes the {outputs} of one row of {inputs}. It is C99, needs the standard headers and fma() of <math.h>, asks for
 * no memory and keeps none between calls, so that any number of threads may call it. To be compiled in one file; others
 * declare the function. The results are those of fastmlp's predict bit by bit, on every processor with IEEE arithmetic.
 *
 * Bytes: {flash} of constants (flash), no static variables (RAM), {stack} of layers on the stack; machine code and the
 * frames of calls come on top.
 *
 * {layers}
 */
#ifdef __FAST_MATH__
#error "-ffast-math changes what is computed"
#endif

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if {excess}
#error "intermediate results are rounded to {real} here; on x86 take -msse2 -mfpmath=sse"
#endif
/* A product and a sum that follow each other are rounded twice; fma() is where they are not. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC optimize("fp-contract=off")
#else
#pragma STDC FP_CONTRACT OFF
#endif
"""

_LAYER = """\
/* y = W x + b, a row of W for each output. */
static void affine(int n_in, int n_out, const real *W, const real *b, const real *x, real *y) {
  for (int o = 0; o < n_out; o++, W += n_in) {
    real sum = 0;
    for (int i = 0; i < n_in; i++) sum = vfma(x[i], W[i], sum);
    y[o] = sum + b[o];
  }
}
"""

_DOTS = """\
/* The same where outputs are few: as other sums along a row, in interleaved partial sums and one fixed tree. */
static void affine_dots(int n_in, int n_out, const real *W, const real *b, const real *x, real *y) {
  for (int o = 0; o < n_out; o++, W += n_in) {
    lane_sums sums = lane_sums_zero();
    for (int i = 0; i < n_in; i++) lane_sums_fma(&sums, i, x[i], W[i]);
    y[o] = lane_sums_total(&sums) + b[o];
  }
}
"""


def _without_bias(text: str) -> str:
    """Return the function of a product without its biases, for layers that normalise it."""
    return (
        text.replace("affine", "product")
        .replace("W x + b", "W x")
        .replace("const real *b, ", "")
        .replace(" + b[o]", "")
    )


_TAIL = """\
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif
"""


def c99_of(
    spec: NetworkSpec,
    weights: Sequence[Array],
    biases: Sequence[Array],
    name: str,
    gammas: Sequence[Array] = (),
    slopes: Sequence[Array] = (),
    normalizing: Normalizing = NOT_NORMALIZED,
    statistics: Sequence[tuple[Array, Array]] = (),
) -> str:
    """The text of the file.

    Parameters
    ----------
    spec : NetworkSpec
    weights, biases : sequence of ndarray
        Of each layer, (n_in, n_out) and (n_out,), in the network's dtype.
    name : str
        What the function's name begins with, and everything else in the file.
    gammas : sequence of ndarray
        Of each layer that normalises, (n_out,).
    slopes : sequence of ndarray
        Of each layer whose activation learns them, (n_out,) or (1,).
    normalizing : Normalizing
        What the function does to its inputs and outputs besides.
    statistics : sequence of (ndarray, ndarray)
        Means and variances of each layer with a batch norm.

    Raises
    ------
    ValueError
        If `name` is no identifier in C, or an activation has no C.
    """
    given: object = name
    if not isinstance(given, str) or not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
        raise ValueError(f"name must be an identifier in C that begins with a letter; it is {name!r}")
    is_float = spec.dtype == "float32"
    functions = sorted({function for layer in spec.layers for function in _functions(layer)})
    kinds = {(_by_dots(layer), norm is not None) for layer, norm in zip(spec.layers, spec.norms, strict=True)}
    sums = ["lane_sums_zero", "lane_sums_fma", "lane_sums_total"] if {(True, False), (True, True)} & kinds else []
    norms = ["normalise_rows"] if spec.norm == "layer" else []
    code, names = needed(["real", "vfma", *sums, *norms, *functions], is_float=is_float)
    products = {(False, False): _LAYER, (True, False): _DOTS}
    products |= {(dots, True): _without_bias(text) for (dots, _), text in products.items()}
    affine = "\n".join(text for kind, text in products.items() if kind in kinds)
    norms_of = {f"gamma{number}": gamma for number, gamma in enumerate(gammas, start=1)}
    for number, (mean, variance) in enumerate(statistics, start=1):
        norms_of |= {f"mean{number}": mean, f"scale{number}": scale_of(variance)}
    tables, flash = _tables(spec, weights, biases, norms_of, slopes, normalizing)
    body = f"{code}\n\n{affine}\n{tables}\n{_predict(spec, normalizing)}"
    names += [
        "affine",
        "affine_dots",
        "product",
        "product_dots",
        "predict",
        *re.findall(r"^static const (?:real|double) (\w+)", tables, re.MULTILINE),
    ]
    body = re.sub(r"\bFM_INLINE\b", "static inline", re.sub(r"\s*\bFM_UNUSED\b", "", body))
    return _head(spec, name, flash, normalizing) + "\n" + renamed(body, names, f"{name}_") + "\n" + _TAIL


def _by_dots(layer: Layer) -> bool:
    """Whether the kernels make a layer's products as dot products, whose sums have an order of their own."""
    return layer.n_signals <= constant("FM_DOT_COLUMNS") and layer.n_signals < layer.n_in


def _functions(layer: Layer) -> list[str]:
    kind = layer.activation.name
    if kind == "softmax":
        return ["row_softmax", "row_max"]
    return [] if kind in {"identity", "maxout"} else [f"{kind}_value"]


def _head(spec: NetworkSpec, name: str, flash: int, normalizing: Normalizing) -> str:
    real, item = ("float", 4) if spec.dtype == "float32" else ("double", 8)
    layers = [
        f"{number}: {layer.n_in} -> {layer.n_out}, {_shown(layer)}" for number, layer in enumerate(spec.layers, start=1)
    ]
    return _HEAD.format(
        name=name,
        sizes=" - ".join(map(str, spec.sizes)),
        real=real,
        inputs=f"{spec.sizes[0]} inputs",
        outputs=f"{spec.sizes[-1]} output{'s' if spec.sizes[-1] > 1 else ''}",
        flash=flash,
        stack=item * sum(_buffers(spec, normalizing).values()),
        layers="\n * ".join(layers),
        excess="FLT_EVAL_METHOD == 2" + (" || FLT_EVAL_METHOD == 1" if real == "float" else ""),
    )


def _shown(layer: Layer) -> str:
    learned = layer.activation.vectors(layer.n_out)  # its parameter is what that began with
    params = "" if learned else ", ".join(f"{value:.6g}" for value in layer.activation.params)
    return f"{layer.activation.name}({params})" if params else layer.activation.name


def _buffers(spec: NetworkSpec, normalizing: Normalizing) -> dict[str, int]:
    """Names and lengths of the buffers: of normalised inputs, and between the layers two that are used in turns."""
    widths = [layer.n_signals for layer in spec.layers[:-1]]
    scaled = {} if normalizing.input_scaling is None else {"scaled": spec.sizes[0]}
    return scaled | {name: max(of) for name, of in (("odd", widths[::2]), ("even", widths[1::2])) if of}


def _tables(
    spec: NetworkSpec,
    weights: Sequence[Array],
    biases: Sequence[Array],
    norms: Mapping[str, Array],
    slopes: Sequence[Array],
    normalizing: Normalizing,
) -> tuple[str, int]:
    """Weights by output, vectors, parameters of activations and scalings as constants, and how many bytes they are."""
    learned = iter(slopes)
    tables = dict(norms)
    for of, scaling in (("in", normalizing.input_scaling), ("out", normalizing.target_scaling)):
        if scaling is not None:
            tables |= {f"{of}_shift": scaling.shift, f"{of}_scale": scaling.scale}
    for number, (layer, W, b) in enumerate(zip(spec.layers, weights, biases, strict=True), start=1):
        tables |= {f"W{number}": np.ascontiguousarray(W.T).ravel(), f"b{number}": b}
        if layer.activation.vectors(layer.n_out):
            tables[f"slope{number}"] = next(learned)
        elif layer.activation.params and layer.activation.name != "maxout":
            tables[f"params{number}"] = np.array(layer.activation.params, spec.dtype)
    text = "\n".join(_table(name, values) for name, values in tables.items())
    return text + "\n", sum(values.nbytes for values in tables.values())


def scale_of(variance: Array) -> Array:
    """What batch norms multiply by, as the kernels compute it."""
    scale: Array = 1 / np.sqrt(variance + variance.dtype.type(NORM_EPSILON))
    return scale


def _table(name: str, values: Array) -> str:
    suffix = "f" if values.dtype == np.float32 else ""
    kind = "double" if name.endswith(("_shift", "_scale")) else "real"
    numbers = [f"{value.hex()}{suffix}" for value in values.tolist()]
    lines = [", ".join(numbers[start : start + 5]) for start in range(0, len(numbers), 5)]
    return f"static const {kind} {name}[{len(numbers)}] = {{\n  " + ",\n  ".join(lines) + "\n};"


def _predict(spec: NetworkSpec, normalizing: Normalizing) -> str:
    real = "float" if spec.dtype == "float32" else "double"
    signature = f"void predict(const {real} *x, {real} *y)"
    lines, last = [f"{signature};", f"{signature} {{"], len(spec.layers)
    lines += [f"  real {name}[{length}];" for name, length in _buffers(spec, normalizing).items()]
    at = "x"
    if normalizing.input_scaling is not None:
        at = "scaled"
        scaled = "(real)(((double)x[i] - in_shift[i]) * in_scale[i])"
        lines.append(f"  for (int i = 0; i < {spec.sizes[0]}; i++) scaled[i] = {scaled};")
    for number, (layer, norm) in enumerate(zip(spec.layers, spec.norms, strict=True), start=1):
        to = "y" if number == last else ("even", "odd")[number % 2]
        dots, sizes = "_dots" if _by_dots(layer) else "", f"{layer.n_in}, {layer.n_signals}"
        if norm is None:
            lines.append(f"  affine{dots}({sizes}, W{number}, b{number}, {at}, {to});")
        else:  # of one row, in panels of two columns
            x = f"({to}[o] - mean{number}[o]) * scale{number}[o]"
            normalise = {
                "layer": f"  normalise_rows(1, {layer.n_signals}, {NORM_EPSILON}, gamma{number}, {to}, 2, NULL, NULL);",
                "batch": f"  for (int o = 0; o < {layer.n_out}; o++) {to}[o] = gamma{number}[o] * ({x});",
            }
            lines += [
                f"  product{dots}({sizes}, W{number}, {at}, {to});",
                normalise[norm],
                f"  for (int o = 0; o < {layer.n_signals}; o++) {to}[o] += b{number}[o];",
            ]
        lines += _activated(number, layer, to)
        if spec.residuals[number - 1]:
            lines.append(f"  for (int o = 0; o < {layer.n_out}; o++) {to}[o] += {at}[o];")
        at = to
    if normalizing.target_scaling is not None:
        lines.append(
            f"  for (int o = 0; o < {spec.sizes[-1]}; o++) y[o] = (real)((double)y[o] / out_scale[o] + out_shift[o]);"
        )
    return "\n".join([*lines, "}", ""])


def _activated(number: int, layer: Layer, row: str) -> list[str]:
    kind, params = layer.activation.name, f"params{number}" if layer.activation.params else "NULL"
    if kind == "identity":
        return []
    if kind == "maxout":
        place = f"{row}[p * {layer.n_out} + o]"
        return [
            f"  for (int p = 1; p < {layer.n_signals // layer.n_out}; p++)",
            f"    for (int o = 0; o < {layer.n_out}; o++)",
            f"      if ({row}[o] < {place} || {place} != {place}) {row}[o] = {place};",
        ]
    if kind == "prelu":
        place = "o" if layer.activation.vectors(layer.n_out)["slope"] > 1 else "0"
        value = f"prelu_value({row}[o], slope{number}[{place}])"
        return [f"  for (int o = 0; o < {layer.n_out}; o++) {row}[o] = {value};"]
    if kind == "softmax":  # the kernel's rows lie in panels of two columns
        return [f"  row_softmax({layer.n_out}, {row}, 2, row_max({layer.n_out}, {row}, 2));"]
    return [f"  for (int o = 0; o < {layer.n_out}; o++) {row}[o] = {kind}_value({row}[o], {params});"]
