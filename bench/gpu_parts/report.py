"""What the GPU benchmark prints: rates, what was left out, each engine's memory, targets, and the table."""

from __future__ import annotations

from typing import Any

TARGET = (152, 1)
"""Length and batch of the targets: 8 × the snippet, 4 × the forward pass, within 3 × of the larger floor."""


def print_result(result: dict[str, Any]) -> None:
    """Print what was measured, the table last."""
    rates = result["rates"]
    print(f"{result['device']['name']}: {result['what']}, {result['minutes']} minutes")
    if note := result["device"].get("note"):
        print(note)
    print(f"copy {rates['copy_bytes_per_s'] / 1e9:,.0f} GB/s, bf16 {rates['bf16_flop_per_s'] / 1e12:,.1f} TFLOP/s")
    for name, why in result["skipped"].items():
        print(f"not measured: {name}: {why}")
    for name, told in result["remarks"].items():
        print(f"{name}: {_memory(told) if isinstance(told, dict) else told}")
    _print_targets(result["rows"])
    head = ("what", "precision", "tokens", "batch", "p50_ms", "p99_ms", "memory_gib", "bytes_ms", "operations_ms")
    print("".join(f"{name:>14}" for name in head))
    for row in sorted(result["rows"], key=lambda row: (row["tokens"], row["batch"], row["p50_ms"])):
        print("".join(f"{'-' if row[name] is None else row[name]:>14}" for name in head))


def _print_targets(rows: list[dict[str, Any]]) -> None:
    """Say how ours compare at the target's size, if it was measured."""
    here = [row for row in rows if (row["tokens"], row["batch"]) == TARGET]
    base = {row["what"]: row["p50_ms"] for row in here if row["what"] in ("snippet", "forward")}
    for row in here:
        if row["what"] not in base and len(base) == 2:
            floor = max(row["bytes_ms"], row["operations_ms"])
            print(
                f"{row['what']} {row['precision']} at {TARGET[0]} tokens: {base['snippet'] / row['p50_ms']:.1f} × "
                f"the snippet (target 8), {base['forward'] / row['p50_ms']:.1f} × the forward pass (target 4), "
                f"{row['p50_ms'] / floor:.1f} × the larger floor (target 3)"
            )


def _memory(told: dict[str, Any]) -> str:
    """Say what an engine took, in GiB: with its weights loaded, after all cases, and after it was closed."""
    said = "; ".join(["", *told["notes"]])
    return (
        f"{told['loaded_gib']:.2f} GiB loaded, {told['asked_gib']:.2f} after all cases, {told['left_gib']:.2f} "
        f"after closing, for {told['weights_gib']:.2f} GiB of weights; written in {told['write_s']} s, loaded in "
        f"{told['load_s']} s{said}"
    )
