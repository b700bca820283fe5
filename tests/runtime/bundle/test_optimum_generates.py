"""optimum-onnx itself, in an environment of its own, generates our tokens from the folder that we write."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from rim_runtime import Engine
from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.optimum_folder import write_optimum_folder
from rim_runtime.loading.load import load_encoder

from tests.environments import environment, own_python
from tests.text_bundle import TextBundle, text_bundle

__all__ = ["text_bundle"]

PINS = ("optimum==2.1.0", "optimum-onnx[onnxruntime]==0.1.0", "transformers==4.57.6", "torch==2.13.0")
TOKENS = 6
QUESTIONS = ("Which one is it?", "Why?")
PROGRAM = """
import json, sys
import torch
from optimum.onnxruntime import ORTModelForCausalLM
from transformers import AutoTokenizer

folder, prompts, tokens = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
model, tokenizer = ORTModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)

def generate(prompts):
    given = tokenizer.pad({"input_ids": prompts}, return_tensors="pt")
    found = model.generate(**given, max_new_tokens=tokens, do_sample=False)
    return found[:, given["input_ids"].shape[1]:].tolist()

chat = tokenizer.apply_chat_template(
    [{"role": "user", "content": "Why?"}], add_generation_prompt=True, return_tensors="pt", return_dict=True
)
assert model.generate(**chat, max_new_tokens=2, do_sample=False).shape[1] > chat["input_ids"].shape[1]
print(json.dumps({"alone": [generate([one])[0] for one in prompts], "together": generate(prompts)}))
"""


@pytest.fixture(scope="module")
def python() -> Path:
    """The interpreter of an environment with these packages."""
    return own_python("optimum-onnx", PINS)


@pytest.mark.slow
def test_it_generates_our_tokens(text_bundle: TextBundle, python: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(text_bundle.path)
    write_optimum_folder(bundle, tmp_path / "folder")
    encoder = load_encoder(bundle)
    prompts = [list(encoder.compose(question).ids) for question in QUESTIONS]
    command = [str(python), "-c", PROGRAM, str(tmp_path / "folder"), json.dumps(prompts), str(TOKENS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment(), timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    theirs = json.loads(done.stdout.splitlines()[-1])
    with Engine.load(bundle.path, engine="ort-cpu") as engine:
        ours = [list(engine.generate(one, max_tokens=TOKENS).result().tokens) for one in QUESTIONS]
    assert [len(one) for one in ours] == [TOKENS, TOKENS]
    assert theirs == {"alone": ours, "together": ours}
