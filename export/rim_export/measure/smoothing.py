"""SmoothQuant for int8: outlier channels move from the activations into the weights that multiply them.

    x W = (x / s)(s W)      s = absmax of x's channel ^ strength / absmax of W's channel ^ (1 - strength)

The division is folded into the producer of x: a norm's gain, or the rows of the projection before. So the graph
gets no new operator, and since s is a power of two, fp32 results are the same bit for bit. The strength of each
layer is the one whose int8 arithmetic adds the least error to the layer's update.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from rim_export.errors import UnsupportedModelError
from rim_export.measure.calibration import ObservedLayer
from rim_export.measure.reference import PROBES
from rim_export.recipes.recipe import Emulate, Recipe
from rim_export.weights.model_weights import Smoothing

STRENGTHS = (0.0, 0.2, 0.35, 0.5, 0.65, 0.8)
"""Strengths that are tried; 0 leaves a layer unchanged."""
_LEAST_SHARE = 1e-5
"""Floor of a channel's absmax, as a share of the largest: dead channels keep a sensible factor."""


@dataclass(frozen=True)
class Site:
    """An activation that can be divided where it is computed."""

    source: str
    """Its producer: a norm, or a projection in whose output it is linear."""
    products: tuple[str, ...]
    """The projections that take it."""

    @property
    def is_norm(self) -> bool:
        """Whether its producer is a norm."""
        return self.source.endswith("norm")


SITES = (
    Site("input_layernorm", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
    Site("self_attn.v_proj", ("self_attn.o_proj",)),
    Site("post_attention_layernorm", ("mlp.gate_proj", "mlp.up_proj")),
    Site("mlp.up_proj", ("mlp.down_proj",)),
)
"""The sites of a layer. Attention mixes tokens, not channels; silu(gate) × up is linear in up.

On rotated weights, norms are no sites: their gains are folded into the products, and nothing is left to divide.
"""


def smoothed(recipe: Recipe, smoothing: Smoothing) -> Recipe:
    """Return the recipe on smoothed weights."""
    assert recipe.emulate is not None
    emulate = partial(_emulate_smoothed, recipe.emulate, smoothing)
    return replace(recipe, smoothing=smoothing, emulate=emulate)


def search_smoothing(layers: Iterator[ObservedLayer], recipe: Recipe) -> Smoothing:
    """Return the smoothing whose arithmetic, layer by layer, adds the least error to the layer's update.

    Each strength costs one more run of the layer on PROBES prompts.
    """
    emulate = recipe.emulate
    assert emulate is not None
    sites = [site for site in SITES if not (site.is_norm and recipe.rotation is not None)]
    found = Smoothing()
    for seen in layers:
        _require_sites(seen)
        tried = [_smoothing_of(seen, sites, strength) for strength in STRENGTHS]
        found = found.joined(min(tried, key=partial(_error, seen, emulate)))
    return found


def _require_sites(seen: ObservedLayer) -> None:
    """Raise UnsupportedModelError unless the layer has the modules of all sites."""
    present = {name for name, _ in seen.layer.module.named_modules()}
    if missing := [name for site in SITES for name in (site.source, *site.products) if name not in present]:
        raise UnsupportedModelError(
            f"--smooth was chosen, and takes layers with {missing[0]} and the like; the layers of this model have "
            "none. Leave it out."
        )


def _emulate_smoothed(
    emulate: Emulate, smoothing: Smoothing, name: str, activations: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Emulate a smoothed product; what its rows are divided by is multiplied back."""
    factors, rows = smoothing.columns.get(name), smoothing.rows.get(name)
    given = activations if factors is None else activations / factors
    found = emulate(name, given, smoothing.apply(name, weight))
    return found if rows is None else found * rows


def _error(seen: ObservedLayer, emulate: Emulate, smoothing: Smoothing) -> float:
    product = partial(_emulate_smoothed, emulate, smoothing)
    return seen.layer.update_error(seen.before[:PROBES], seen.after[:PROBES], product)


def _smoothing_of(seen: ObservedLayer, sites: Sequence[Site], strength: float) -> Smoothing:
    columns: dict[str, torch.Tensor] = {}
    rows: dict[str, torch.Tensor] = {}
    head_size = int(seen.layer.module.self_attn.head_dim)
    for site in sites if strength else ():
        names = [seen.layer.weight_name(product) for product in site.products]
        factors = _factors(seen, names, strength)
        source = seen.layer.weight_name(site.source)
        outputs = seen.layer.module.get_parameter(f"{site.source}.weight").shape[0]
        kept = _shared_by_heads(factors, outputs, head_size)
        rows[source] = kept
        columns |= dict.fromkeys(names, _spread_to_heads(kept, len(factors), head_size))
    return Smoothing(columns, rows, (strength,))


def _factors(seen: ObservedLayer, names: Sequence[str], strength: float) -> torch.Tensor:
    """Return one activation's factors for the products that take it, fp32 [in]."""
    weights = seen.layer.linears
    columns = torch.stack([weights[name].weight.abs().amax(dim=0) for name in names]).amax(dim=0)
    ours, theirs = _floored(seen.reaches[names[0]].channels), _floored(columns)
    return ours**strength / theirs ** (1 - strength)


def _floored(reach: torch.Tensor) -> torch.Tensor:
    return reach.clamp_min(_LEAST_SHARE * float(reach.max())).clamp_min(torch.finfo(torch.float32).tiny)


def _shared_by_heads(factors: torch.Tensor, outputs: int, head_size: int) -> torch.Tensor:
    """Return powers of two, [out]: query heads that share a key head share its factors."""
    shared = factors
    if len(factors) != outputs:
        shared = factors.view(outputs // head_size, -1, head_size).amax(dim=1).flatten()
    return torch.exp2(shared.log2().round())


def _spread_to_heads(kept: torch.Tensor, inputs: int, head_size: int) -> torch.Tensor:
    """Return the factors repeated for each query head, [in]."""
    if len(kept) == inputs:
        return kept
    heads = len(kept) // head_size
    return kept.view(heads, 1, head_size).expand(heads, inputs // len(kept), head_size).flatten()
