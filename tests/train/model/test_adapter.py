"""An adapter beside the merged weights: merged again it is the same checkpoint, and peft reads its matrices."""

import json
import shutil

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from rim_edge.cli import main
from rim_edge.model.adapter import ADAPTER
from rim_edge.puzzles.tokenizer import build_tokenizer
from rim_edge.recipe.recipe import Trains
from rim_edge.training.run import run_job
from tests.train.runs import job, write_rows


@pytest.fixture(params=[(True, 1057), (False, 1052)], ids=["tied, unused rows", "own head, a row too few"])
def base(request, tmp_path, tiny_model):
    """A checkpoint without RiM tokens, and rows."""
    tied, vocabulary = request.param
    folder = tmp_path / "base"
    tiny_model(vocabulary=vocabulary, tied=tied).to(torch.bfloat16).save_pretrained(folder)
    tokenizer = build_tokenizer()
    tokenizer.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace("<rim_", "<other_"))
    write_rows(folder)
    return folder


def merge(base, adapter, out, *more):
    with pytest.raises(SystemExit) as ended:
        main(["merge", "--model", str(base), "--adapter", str(adapter), "--output", str(out), *more])
    return ended.value.code or 0


def test_merged_again_it_is_the_same_checkpoint(base, tmp_path, capfd):
    out = tmp_path / "out"
    run_job(job(base, out))
    assert merge(base, out / ADAPTER, tmp_path / "again", "--json") == 0
    assert json.loads(capfd.readouterr().out)["checkpoint"] == str(tmp_path / "again")
    names = {path.name for path in (tmp_path / "again").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    for name in names:
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes(), name


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # peft's own
def test_peft_reads_its_matrices(base, tmp_path):
    out = tmp_path / "out"
    run_job(job(base, out))
    loaded = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    theirs = PeftModel.from_pretrained(loaded, out / ADAPTER).merge_and_unload().state_dict()
    ours = load_file(out / "model.safetensors")
    matrices = [name for name in ours if name.endswith("_proj.weight")]
    assert len(matrices) == 3 * 7
    for name in matrices:
        torch.testing.assert_close(theirs[name].bfloat16(), ours[name], rtol=0, atol=0)


def test_another_base_is_refused_and_nothing_is_written(base, tmp_path, tiny_model, capfd):
    out, other = tmp_path / "out", tmp_path / "other"
    run_job(job(base, out))
    shutil.copytree(base, other)
    tiny_model(seed=1, vocabulary=1057).save_pretrained(other)
    assert merge(other, out / ADAPTER, tmp_path / "again") == 2
    told = capfd.readouterr().err
    assert "belongs to weights with the SHA-256" in told
    assert "(it was called base)" in told
    assert merge(base, out, tmp_path / "again") == 2
    told = capfd.readouterr().err
    assert "is no adapter of a run: rim.json cannot be read (No such file or directory)" in told
    assert not (tmp_path / "again").exists()


def test_damaged_files_are_refused(base, tmp_path, capfd):
    out = tmp_path / "out"
    run_job(job(base, out))
    (out / ADAPTER / "adapter_model.safetensors").write_bytes(b"half")
    assert merge(base, out / ADAPTER, tmp_path / "again") == 2
    assert "cannot be read" in capfd.readouterr().err
    shutil.copy(out / ADAPTER / "rim_tokens.safetensors", out / ADAPTER / "adapter_model.safetensors")
    assert merge(base, out / ADAPTER, tmp_path / "again") == 2
    assert "it belongs to another model" in capfd.readouterr().err
    for file, key, value, told in (
        ("adapter_config.json", "r", 0, "division by zero"),
        ("rim.json", "rim", None, "says nothing of blocks"),
    ):
        body = json.loads((out / ADAPTER / file).read_text())
        (out / ADAPTER / file).write_text(json.dumps(body | {key: value}))
        assert merge(base, out / ADAPTER, tmp_path / "again") == 2
        assert told in capfd.readouterr().err


def test_whole_layers_have_no_adapter(base, tmp_path):
    out = tmp_path / "out"
    run_job(job(base, out, trains=Trains.FULL))
    assert not (out / ADAPTER).exists()
