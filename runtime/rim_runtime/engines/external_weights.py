"""How an engine comes to a graph's weights: from memory if they are small, else from the file that was hashed.

Engines map large files. From memory they would copy them: with 0.47 GB of int8 weights, ONNX Runtime 1.31 and
OpenVINO 2026.4 then held twice as much.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rim_runtime.bundle.external_data import with_weights
from rim_runtime.bundle.integrity import GraphFiles

FOLDER = "session.model_external_initializers_file_folder_path"
"""ONNX Runtime's option for the folder of a graph's weights, where the graph itself comes from memory."""


def add_weights(options: Any, files: GraphFiles) -> bytes:
    """Add a graph's weights to the options of a session of ONNX Runtime, and return the graph to make it of."""
    if files.weights is None:
        place = files.data.path  # without links, which it refuses
        options.add_session_config_entry(FOLDER, str(place.parent))
        return files.model if place.name == files.location else with_weights(files.model, place.name)
    if files.weights:
        options.add_external_initializers_from_files_in_memory(
            [files.location], [files.weights], [len(files.weights)]
        )
    return files.model


def whole_graph(files: GraphFiles) -> bytes | Path:
    """Return a graph that holds its weights, or the path of one that is read with its weights from its folder."""
    return files.graph.path if files.weights is None else with_weights(files.model, files.weights)


def weights_are_elsewhere(files: GraphFiles) -> bool:
    """Whether large weights have another folder or name than the graph expects, by a link."""
    return files.weights is None and files.data.path != files.graph.path.with_name(files.location)
