"""Memory that runs out is told with what a recipe can do about it; other errors stay what they are."""

import pytest
import torch

from rim_edge.errors import OutOfMemoryError
from rim_edge.recipe.recipe import Resources, Sharding
from rim_edge.training.out_of_memory import in_passes, report_out_of_memory


def test_the_machine_has_not_enough():
    said = r"tried to allocate 4503599627370496 .* \[resources\] micro_batch = 4, \[resources\] recompute = true"
    with pytest.raises(OutOfMemoryError, match=said), report_out_of_memory(in_passes(Resources())):
        torch.empty(2**50)


def test_the_gpu_has_not_enough_and_what_is_done_already_is_not_proposed():
    resources = Resources(micro_batch=2, recompute=True, sharding=Sharding.LAYERS)
    with pytest.raises(OutOfMemoryError) as error, report_out_of_memory(in_passes(resources)):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")
    assert str(error.value) == (
        "Memory ran out (CUDA out of memory. Tried to allocate 2.00 GiB.). "
        "Take a recipe with [resources] micro_batch = 1, [limits] fewer tokens; a run that has saved a "
        "state goes on with --resume."
    )


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="cannot be multiplied"), report_out_of_memory(in_passes(Resources())):
        torch.zeros(2) @ torch.zeros(3, 3)
