"""A user's X, y and weights, checked: arrays that the engine reads where they lie."""

from fastmlp.data.arrays import SOURCE_DTYPES, as_real, as_source
from fastmlp.data.class_weight import with_class_weight
from fastmlp.data.frames import names_of, table
from fastmlp.data.inputs import are_chunks, as_inputs
from fastmlp.data.parameters import as_parameters, checked_flat
from fastmlp.data.parquet import ParquetBatches, parquet
from fastmlp.data.rows import Data, as_data, as_validation, chunk_rows, chunks
from fastmlp.data.scaling import measure_scaling
from fastmlp.data.shard import shard
from fastmlp.data.split import chosen, split_rows
from fastmlp.data.table import Inputs, Table, dense, dense_parts
from fastmlp.data.targets import (
    as_targets,
    as_weights,
    count_classes,
    leave_out,
    mean_of_targets,
    quantiles_of_targets,
)
from fastmlp.data.values import Finite, check_finite, refuse_overflow

__all__ = [
    "SOURCE_DTYPES",
    "Data",
    "Finite",
    "Inputs",
    "ParquetBatches",
    "Table",
    "are_chunks",
    "as_data",
    "as_inputs",
    "as_parameters",
    "as_real",
    "as_source",
    "as_targets",
    "as_validation",
    "as_weights",
    "check_finite",
    "checked_flat",
    "chosen",
    "chunk_rows",
    "chunks",
    "count_classes",
    "dense",
    "dense_parts",
    "leave_out",
    "mean_of_targets",
    "measure_scaling",
    "names_of",
    "parquet",
    "quantiles_of_targets",
    "refuse_overflow",
    "shard",
    "split_rows",
    "table",
    "with_class_weight",
]
