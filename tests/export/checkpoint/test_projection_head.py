"""Files of projection heads: what is read, and what is refused without running anything in it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rim_export.checkpoint.projection_head import find_projection_head, read_projection_head
from rim_export.errors import CheckpointError
from safetensors.torch import save_file
from torch import nn

from tests.export.latent.latent_models import qthink_head, save_as_codi, save_pickled

WIDTH = 12


@pytest.mark.parametrize(("save", "name"), [(save_pickled, "head.pt"), (save_as_codi, "head.safetensors")])
@pytest.mark.parametrize("inner", [None, 20])
def test_a_head_projects_as_torch_does(
    save: Callable[[nn.Sequential, Path], None], name: str, inner: int | None, tmp_path: Path
) -> None:
    head = qthink_head(WIDTH, inner)
    save(head, tmp_path / name)
    states = torch.randn(3, WIDTH)
    with torch.no_grad():
        torch.testing.assert_close(read_projection_head(tmp_path / name, WIDTH).project(states), head(states))


def test_a_head_may_have_no_norm_and_be_in_bf16(tmp_path: Path) -> None:
    head = qthink_head(WIDTH)[:3].to(torch.bfloat16)
    save_pickled(head, tmp_path / "projection_head.pt")
    found = read_projection_head(tmp_path / "projection_head.pt", WIDTH)
    states = torch.randn(3, WIDTH)
    with torch.no_grad():
        torch.testing.assert_close(found.project(states), head.float()(states))
    assert find_projection_head(tmp_path) == tmp_path / "projection_head.pt"


class Canary:
    """What a pickle runs when it is opened as anything else than tensors."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("write", [torch.save, lambda value, file: file.write_bytes(pickle.dumps(value, 2))])
def test_a_malicious_pickle_is_refused_and_nothing_in_it_runs(
    write: Callable[[Any, Path], Any], tmp_path: Path
) -> None:
    canary, file = tmp_path / "canary", tmp_path / "projection_head.pt"
    write({"mlp.0.weight": torch.zeros(WIDTH, WIDTH), "mlp.0.bias": Canary(canary)}, file)
    with pytest.raises(CheckpointError, match=r"cannot be read as tensors alone .* Nothing in it was run"):
        read_projection_head(file, WIDTH)
    assert not canary.exists()
    torch.load(file, weights_only=False) if write is torch.save else pickle.loads(file.read_bytes())
    assert canary.exists(), "the pickle would have run"


def saved(**tensors: torch.Tensor) -> Callable[[Path], None]:
    return lambda file: save_file(tensors, file)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (saved(), "has no tensors"),
        (saved(weight=torch.zeros(WIDTH, WIDTH)), "expected those of Linear, GELU, Linear"),
        (
            lambda file: save_as_codi(qthink_head(WIDTH + 1), file),
            "goes from 13 channels to 13 .* the model has 12",
        ),
        (lambda file: save_as_codi(nan_head(), file), "weights that are not finite"),
        (lambda file: file.write_bytes(b"{}"), "cannot be read as tensors alone"),
    ],
)
def test_what_is_no_head_is_refused(write: Callable[[Path], Any], said: str, tmp_path: Path) -> None:
    file = tmp_path / "projection_head.safetensors"
    write(file)
    with pytest.raises(CheckpointError, match=said):
        read_projection_head(file, WIDTH)


def nan_head() -> nn.Sequential:
    head = qthink_head(WIDTH)
    nn.init.constant_(head[0].bias, float("nan"))
    return head


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        (b"hello", "is no file of torch.save or safetensors"),
        (b"PK\x03\x04broken", "cannot be read as tensors alone"),
    ],
)
def test_files_that_torch_did_not_write_are_refused(content: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "projection_head.pt"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=said):
        read_projection_head(file, WIDTH)


def test_a_list_of_tensors_is_no_head(tmp_path: Path) -> None:
    torch.save([torch.zeros(2)], tmp_path / "head.pt")
    with pytest.raises(CheckpointError, match="holds no tensors by name"):
        read_projection_head(tmp_path / "head.pt", WIDTH)
