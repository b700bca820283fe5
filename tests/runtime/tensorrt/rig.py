"""The `trt` engine on stand-ins for CUDA and TensorRT; nothing here has run on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from rim_runtime import Bundle, Engine
from rim_runtime.bundle.manifest import Profile
from rim_runtime.engines.backend import Floats
from rim_runtime.engines.graph import Graph
from rim_runtime.engines.ort_cpu import OrtCpuBackend
from rim_runtime.engines.trt import TrtBackend
from rim_runtime.libraries.tensorrt import Library, TensorRt
from rim_runtime.loading.load import load_encoder
from rim_runtime.tensorrt import cuda_stream
from rim_runtime.tensorrt.plans import LoadablePlan

from tests.runtime.tensorrt.fake_cuda import FakeCuda
from tests.runtime.tensorrt.fake_tensorrt import PLAN, FakeTensorRt

PROFILES = (Profile(1, 96, 4), Profile(97, 512, 2))


@dataclass
class Rig:
    """The stand-ins, and a bundle to open on them."""

    cuda: FakeCuda
    library: FakeTensorRt
    bundle: Bundle
    kernels: Path

    def backend(
        self,
        plan: bytes = PLAN,
        profiles: tuple[Profile, ...] = PROFILES,
        obtain: Callable[[], LoadablePlan] | None = None,
    ) -> TrtBackend:
        """Open the engine."""
        variant = self.bundle.manifest.variants[0]
        return TrtBackend(
            Graph.of(self.bundle, variant),
            TensorRt(Library.RTX, self.library),
            obtain or (lambda: LoadablePlan(plan, profiles, ())),
            kernels=self.kernels,
            precision=variant.precision,
            fingerprint="fake gpu",
        )

    def engine(self, backend: TrtBackend | None = None) -> Engine:
        """Open the public face on it."""
        return Engine(self.bundle.manifest, load_encoder(self.bundle), backend or self.backend())


def rig_of(bundle: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Let the engine's CUDA and TensorRT be stand-ins."""
    loaded, cuda = Bundle.load(bundle), FakeCuda()
    monkeypatch.setattr(cuda_stream, "import_cuda_runtime", lambda: cuda)
    library = FakeTensorRt(cuda, OrtCpuBackend(loaded, loaded.manifest.variants[0]))
    return Rig(cuda, library, loaded, home / "kernels" / "rtx")


def ask(backend: TrtBackend, length: int = 1, rows: int = 1) -> Floats:
    """Ask questions of this many tokens."""
    return backend.run(np.ones((rows, length), np.int64), np.full(rows, length), np.full(rows, 8))
