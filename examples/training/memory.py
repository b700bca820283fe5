"""What a run needs on each GPU, on paper: from the model's config.json and the recipe, without loading anything.

python examples/training/memory.py path/to/Qwen3-1.7B recipe.toml --processes 8

The formula, and what it leaves out: rim_edge/training/memory.py. `rim-edge train` prints its sum before it trains.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rim_export.checkpoint.folder import read_config

from rim_edge.recipe.toml import read_recipe
from rim_edge.training.memory import Shape, memory


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a folder with config.json")
    parser.add_argument("recipe", type=Path, help="a recipe in TOML")
    parser.add_argument("--processes", type=int, default=1, help="one a GPU")
    given = parser.parse_args()
    parts = memory(Shape.of(read_config(given.model)), read_recipe(given.recipe), given.processes)
    for name, size in parts.items():
        print(f"{size / 1e9:8.2f} GB  {name}")
    print(f"{sum(parts.values()) / 1e9:8.2f} GB  together")


if __name__ == "__main__":
    main()
