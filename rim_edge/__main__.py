"""`python -m rim_edge` is `rim-edge`."""

from rim_edge.cli import main

main()
