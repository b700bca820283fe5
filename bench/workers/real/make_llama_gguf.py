"""A GGUF file of a Llama checkpoint, as llama.cpp quantizes it: `make_llama_gguf.py CHECKPOINT TARGET TYPE`.

The fp32 weights go over as they are, memory-mapped; rows of queries and keys are put in the order of llama.cpp's
rotary embedding, which pairs neighbours. Then llama.cpp's own `llama_model_quantize` writes TYPE with its
defaults. No tokenizer: prompts come as ids. The head is the table, if the checkpoint ties them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import gguf
import numpy as np
from make_gguf import describe, quantize, stored_tensors

ARCHITECTURE = gguf.MODEL_ARCH.LLAMA


def in_pairs(weight: np.ndarray, heads: int) -> np.ndarray:
    """Return a projection whose rows' halves of a head, [first half, second half], lie in pairs."""
    size, width = weight.shape[0] // heads, weight.shape[1]
    return weight.reshape(heads, 2, size // 2, width).swapaxes(1, 2).reshape(weight.shape)


def write(checkpoint: Path, target: Path) -> None:
    """Write the checkpoint as an fp32 GGUF file without a tokenizer."""
    config = json.loads((checkpoint / "config.json").read_text())
    assert config["model_type"] == "llama", f"the model is a {config['model_type']}, expected a llama"
    writer = gguf.GGUFWriter(target, gguf.MODEL_ARCH_NAMES[ARCHITECTURE])
    describe(writer, config, gguf.LlamaFileType.ALL_F32)
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    names = gguf.get_tensor_name_map(ARCHITECTURE, config["num_hidden_layers"])
    heads = {"q_proj.weight": config["num_attention_heads"], "k_proj.weight": config["num_key_value_heads"]}
    for name, values in stored_tensors(checkpoint, "F32", np.float32):
        ours = names.get_name(name, try_suffixes=(".weight",))
        assert ours is not None, f"llama.cpp's llama has no tensor for {name}"
        count = next((count for ending, count in heads.items() if name.endswith(ending)), None)
        writer.add_tensor(ours, in_pairs(values, count) if count else values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    """Convert, quantize, delete the file between."""
    checkpoint, target, kind = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    between = target.with_name(f"{target.name}.f32")
    try:
        write(checkpoint, between)
        quantize(between, target, kind)
    finally:
        between.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
