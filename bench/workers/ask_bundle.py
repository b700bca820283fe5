"""One of our bundles through `Engine`: `ask_bundle.py BUNDLE ENGINE`."""

from __future__ import annotations

import sys

from rim_runtime import Engine, Question
from serving import Ask, Prompt, serve


def bundle_asks(engine: Engine) -> dict[str, Ask]:
    """Return one question at a time, many in a batch, and the same many one by one."""

    def ask(prompt: Prompt) -> str:
        return engine.ask(prompt["question"]).letter

    def batch(prompt: Prompt) -> list[str]:
        return [answer.letter for answer in engine.ask_many([Question(text) for text in prompt["questions"]])]

    def singles(prompt: Prompt) -> list[str]:
        return [engine.ask(text).letter for text in prompt["questions"]]

    return {"ask": ask, "batch": batch, "singles": singles}


if __name__ == "__main__":
    loaded = Engine.load(sys.argv[1], engine=sys.argv[2])
    serve(bundle_asks(loaded), {"engine": loaded.name, "precision": str(loaded.precision)})
