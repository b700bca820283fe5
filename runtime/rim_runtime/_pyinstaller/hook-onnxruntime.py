"""ONNX Runtime's libraries, without what its tools import: those bring torch, where that is installed."""  # noqa: N999

from PyInstaller.utils.hooks import collect_dynamic_libs

binaries = collect_dynamic_libs("onnxruntime")
excludedimports = ["onnxruntime.transformers", "torch"]
