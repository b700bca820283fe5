"""Products through oneDNN are torch's own, and so are their gradients, whatever the order of memory."""

import pytest
import torch
from torch import nn

from rim_edge.model.cpu import product, through_onednn

WIDER, NARROWER = (24, 40), (40, 24)


@pytest.mark.parametrize(("inner", "outer"), [WIDER, NARROWER])
@pytest.mark.parametrize("lead", [(7,), (3, 5)])
def test_products_and_gradients_are_torchs(inner, outer, lead):
    torch.manual_seed(0)
    states, weight = torch.randn(*lead, inner), torch.randn(inner, outer).t()  # a weight that is not contiguous
    pulled = torch.randn(*lead, outer)
    found, expected = ([value, *_gradients(value, given, pulled)] for value, given in _both(states, weight))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_a_frozen_weight_gets_no_gradient():
    states, weight = torch.randn(4, 8, requires_grad=True), torch.randn(6, 8)
    product(states, weight).sum().backward()
    assert states.grad is not None
    assert weight.grad is None


def test_a_models_layers_take_it_and_keep_names_and_biases():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 3, bias=False))
    states, names = torch.randn(5, 8), list(model.state_dict())
    before = model(states)
    through_onednn(model)
    after = model(states)
    assert "_Product" in type(after.grad_fn).__name__
    assert list(model.state_dict()) == names
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-6)


def test_what_is_no_fp32_is_left_to_torch():
    states, weight = torch.randn(4, 8, dtype=torch.float64), torch.randn(6, 8, dtype=torch.float64)
    assert torch.equal(product(states, weight), nn.functional.linear(states, weight))
    with torch.autocast("cpu", torch.bfloat16):
        assert product(states.float(), weight.float()).dtype is torch.bfloat16


def _both(states, weight):
    for multiply in (product, nn.functional.linear):
        given = states.clone().requires_grad_(), weight.clone().requires_grad_()
        yield multiply(*given), given


def _gradients(value, given, pulled):
    return torch.autograd.grad(value, given, pulled)
