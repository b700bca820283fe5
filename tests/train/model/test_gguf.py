"""A GGUF file as a checkpoint: the same function, the same tokens; or one clear error and no folder."""

import re
import subprocess
import sys

import gguf
import pytest
import torch
from rim_export.checkpoint.folder import Checkpoint
from rim_export.errors import CheckpointError, CheckpointNotFoundError
from rim_runtime.errors import MissingExtraError, TargetExistsError
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
from transformers.convert_slow_tokenizer import bytes_to_unicode

from rim_edge import extras
from rim_edge.model.gguf import convert_gguf

TEMPLATE = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
WORDS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *bytes_to_unicode().values(), "ĠĠ"]
HEADS, KEY_HEADS, LAYERS = 4, 2, 2
PLACES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


@pytest.fixture(scope="module")
def model():
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KEY_HEADS,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        initializer_range=0.2,
    )
    torch.manual_seed(0)
    return LlamaForCausalLM(config).eval()


def write_gguf(path, model, *, split="smollm", template=TEMPLATE):
    """Write a model as llama.cpp's converter does: rows of queries and keys in pairs, names of its own."""
    config, weights = model.config, model.state_dict()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(512)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_rope_dimension_count(config.hidden_size // HEADS)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(len(WORDS))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(split)
    writer.add_token_list(WORDS)
    writer.add_token_types([3, 3, 3, *[1] * (len(WORDS) - 3)])
    writer.add_token_merges(["Ġ Ġ"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    if template:
        writer.add_chat_template(template)
    writer.add_tensor("token_embd.weight", weights["model.embed_tokens.weight"].numpy())
    writer.add_tensor("output_norm.weight", weights["model.norm.weight"].numpy())
    for layer in range(LAYERS):
        for name, place in PLACES.items():
            tensor = weights[f"model.layers.{layer}.{name}.weight"]
            heads = {"attn_q": HEADS, "attn_k": KEY_HEADS}.get(place)
            if heads:
                tensor = tensor.view(heads, 2, -1, tensor.shape[1]).transpose(1, 2).reshape(tensor.shape)
            writer.add_tensor(f"blk.{layer}.{place}.weight", tensor.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_the_checkpoint_computes_the_same(model, tmp_path, capfd):
    file = write_gguf(tmp_path / "m.gguf", model)
    convert_gguf(file, tmp_path / "made")
    assert capfd.readouterr() == ("", "")
    checkpoint = Checkpoint.open(tmp_path / "made")
    assert "quantization_config" not in checkpoint.config
    assert checkpoint.config["tie_word_embeddings"] is True
    assert "lm_head.weight" not in checkpoint.weights.tensors
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "made", dtype=torch.float32)
    ids = torch.arange(3, 60)[None]
    with torch.no_grad():
        torch.testing.assert_close(again(ids).logits, model(ids).logits)
    tokenizer = checkpoint.load_tokenizer()
    assert tokenizer.chat_template == TEMPLATE
    # Digits are tokens of their own before BPE, so both spaces are one token; GPT-2 splits the second one off.
    assert tokenizer.tokenize("a  12") == ["a", "ĠĠ", "1", "2"]


def test_what_cannot_be_converted_leaves_nothing(model, tmp_path, monkeypatch):
    good = write_gguf(tmp_path / "good.gguf", model)
    (tmp_path / "half.gguf").write_bytes(good.read_bytes()[:-20_000])
    (tmp_path / "start.gguf").write_bytes(good.read_bytes()[:500])
    (tmp_path / "page.gguf").write_text("<html>", encoding="utf-8")
    write_gguf(tmp_path / "split.gguf", model, split="viking")
    write_gguf(tmp_path / "plain.gguf", model, template=None)
    for name, error, says in (
        ("half", CheckpointError, "cannot be converted.*half a download"),
        ("start", CheckpointError, "cannot be converted.*half a download"),
        ("page", CheckpointError, re.escape("begins with b'<htm', expected a GGUF file")),
        ("split", CheckpointError, "splits text in the way 'viking', expected one of gpt-2"),
        ("plain", CheckpointError, "has no chat template"),
        ("nothing", CheckpointNotFoundError, "cannot be read"),
    ):
        with pytest.raises(error, match=says):
            convert_gguf(tmp_path / f"{name}.gguf", tmp_path / "made")
    with pytest.raises(TargetExistsError):
        convert_gguf(good, tmp_path)
    monkeypatch.setitem(extras.EXTRAS, "gguf", ("gguf_that_is_not_here",))
    with pytest.raises(MissingExtraError, match=re.escape('pip install "rim-edge[gguf]"')):
        convert_gguf(good, tmp_path / "made")
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".gguf"]


def test_on_the_command_line_an_error_is_one_line(tmp_path):
    command = [sys.executable, "-m", "rim_edge.model.gguf", str(tmp_path / "x.gguf"), str(tmp_path / "made")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
