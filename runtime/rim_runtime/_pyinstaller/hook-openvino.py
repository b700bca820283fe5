"""What OpenVINO opens by itself, for a CPU and graphs in ONNX, without what its converters import.

PyInstaller sees only what is linked; and torch in whatever imports it, where that is installed.
"""  # noqa: N999

from importlib.util import find_spec
from pathlib import Path

_OPENED = ("*openvino_intel_cpu_plugin*", "*openvino_onnx_frontend*", "*tbbbind*", "*hwloc*")
_package = find_spec("openvino")
_folders = [Path(place) / "libs" for place in (_package and _package.submodule_search_locations) or ()]
binaries = [
    (str(file), "openvino/libs") for folder in _folders for name in _OPENED for file in sorted(folder.glob(name))
]
excludedimports = ["openvino.tools", "torch", "transformers"]
