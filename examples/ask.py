"""Embed the runtime: load a bundle once, ask it as often as you like.

python examples/ask.py path/to/bundle
"""

import sys

from rim_runtime import Engine

with Engine.load(sys.argv[1]) as engine:
    answer = engine.ask(
        "Which vitamin deficiency causes scurvy?",
        ["Vitamin A", "Vitamin B12", "Vitamin C", "Vitamin D"],
    )

print(f"{answer.letter}: {answer.choice}, leads by {100 * answer.lead:.0f} points of 100")
print(f"{answer.engine} at {answer.precision}, {answer.latency_ms:.0f} ms")
