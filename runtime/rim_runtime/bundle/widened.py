"""What `rim-edge export --keep-going` kept wider in a bundle's variants, as the manifest says it, and in words.

In the manifest it stands in `optional`, since a reader may leave it unread: the graphs are what they are.

    "widened": {"int8": {"embedding table": "fp32", "layers.1.mlp.down_proj": "fp32"}}
"""

from __future__ import annotations

from collections.abc import Mapping

from rim_runtime.bundle.manifest import Manifest

WIDENED = "widened"
"""Its key in the manifest."""
TABLE = "embedding table"
"""What the table is called there."""
_NAMED = 6
"""Parts that are named one by one."""


def widened_parts(manifest: Manifest, variant: str) -> Mapping[str, str]:
    """Return the form of each part that was kept wider in a variant, by the part's name; empty if none was."""
    listed = manifest.optional.get(WIDENED)
    found = listed.get(variant) if isinstance(listed, dict) else None
    if not isinstance(found, dict) or not all(isinstance(form, str) for form in found.values()):
        return {}
    return found


def in_words(widened: Mapping[str, str]) -> str:
    """Return what was kept wider as words, as in `the embedding table and layers.1.mlp.down_proj in fp32`."""
    forms = dict.fromkeys(widened.values())
    return "; ".join(
        f"{_listed([part for part, chosen in widened.items() if chosen == form])} in {form}" for form in forms
    )


def counted(widened: Mapping[str, str]) -> str:
    """Return how many parts were kept wider, as in `3 parts`."""
    return f"{len(widened)} {'part' if len(widened) == 1 else 'parts'}"


def _listed(parts: list[str]) -> str:
    names = [f"the {part}" if part == TABLE else part for part in parts]
    if len(names) > _NAMED:
        names = [*names[: _NAMED - 1], f"{len(names) - _NAMED + 1} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
