"""Several networks in one file: each as `save_model` writes it, its tensors and metadata under a number."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, BinaryIO, Final

from fastmlp.files.model import SEVERAL, read_model, written
from fastmlp.files.tensors import reading, save_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastmlp.files.checkpoint import Checkpoint
    from fastmlp.files.header import Entry
    from fastmlp.files.tensors import FilePath
    from fastmlp.spec import Array

__all__ = ["load_models", "read_models", "save_models", "written_models"]

_NUMBERED: Final = re.compile(r"networks\.(0|[1-9][0-9]{0,5})\.(.+)", re.ASCII | re.DOTALL)


def save_models(path: FilePath, checkpoints: Sequence[Checkpoint]) -> None:
    """Write networks to a file, which then holds the old ones or the new ones, whatever happens.

    Network k's tensors are in ``networks.k.layers.0.weight`` and so on, its metadata in ``networks.k.fastmlp``; the
    metadata's ``fastmlp.networks`` is how many there are.
    """
    save_file(path, *written_models(checkpoints))


def written_models(checkpoints: Sequence[Checkpoint]) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the tensors and the metadata of a file of networks, beside which a file may have others."""
    tensors: dict[str, Array] = {}
    metadata = {SEVERAL: str(len(checkpoints))}
    for number, checkpoint in enumerate(checkpoints):
        own_tensors, own_metadata = written(checkpoint)
        tensors |= {f"networks.{number}.{name}": tensor for name, tensor in own_tensors.items()}
        metadata |= {f"networks.{number}.{name}": text for name, text in own_metadata.items()}
    return tensors, metadata


def load_models(path: FilePath) -> list[Checkpoint]:
    """Read the networks that `save_models` wrote.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        The file is not one of ours, or is damaged; the message names the file and the fault.
    """
    with reading(path) as (file, entries, metadata):
        return read_models(file, entries, metadata)


def read_models(file: BinaryIO, entries: Mapping[str, Entry], metadata: Mapping[str, str]) -> list[Checkpoint]:
    """Read the networks of an open file, whose other tensors and metadata are left alone."""
    count = metadata.get(SEVERAL)
    if count is None:
        raise ValueError(f'not an ensemble: its metadata has no "{SEVERAL}" (fastmlp.load reads a single network)')
    if re.fullmatch(r"[1-9][0-9]{0,5}", count, re.ASCII) is None or int(count) > len(entries):
        raise ValueError(f"{SEVERAL} is {count!r:.40}; it must be a number of networks that are there")
    tensors: list[dict[str, Entry]] = [{} for _ in range(int(count))]
    texts: list[dict[str, str]] = [{} for _ in range(int(count))]
    for found, parts in ((entries, tensors), (metadata, texts)):
        for name in found:
            match = _NUMBERED.fullmatch(name)
            if match is None:
                continue
            number = int(match[1])
            if number >= len(parts):
                raise ValueError(f"{name!r:.80} is of none of the {count} networks")
            parts[number][match[2]] = found[name]  # type: ignore[assignment]
    checkpoints = []
    for number in range(int(count)):
        try:
            checkpoints.append(read_model(file, tensors[number], texts[number], None))
        except (TypeError, ValueError) as error:
            raise ValueError(f"network {number}: {error}") from error
    return checkpoints
