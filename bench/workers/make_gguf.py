"""A GGUF file of a Qwen3 checkpoint, as llama.cpp quantizes it: `make_gguf.py CHECKPOINT TARGET TYPE`.

The weights go over as they are, in bf16 (norm gains in fp32, as llama.cpp wants them), memory-mapped;
then llama.cpp's own `llama_model_quantize` writes TYPE with its defaults. No tokenizer: prompts come as ids.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import llama_cpp
import numpy as np

TYPES = {
    "Q8_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0,
    "Q4_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0,
    "Q4_K_M": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M,
}


def stored_tensors(checkpoint: Path, dtype: str, kind: type[np.generic]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield names and values, memory-mapped as `kind`, of the tensors of a checkpoint, all of this dtype."""
    for file in sorted(checkpoint.glob("*.safetensors")):
        with file.open("rb") as stream:
            (size,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(size))
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            assert entry["dtype"] == dtype, f"{name} is {entry['dtype']}, expected {dtype}"
            begin = 8 + size + entry["data_offsets"][0]
            yield name, np.memmap(file, kind, "r", begin, tuple(entry["shape"]))


def write_bf16(checkpoint: Path, target: Path) -> None:
    """Write the checkpoint as a bf16 GGUF file without a tokenizer."""
    config = json.loads((checkpoint / "config.json").read_text())
    layers = config["num_hidden_layers"]
    writer = gguf.GGUFWriter(target, gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.QWEN3])
    describe(writer, config, gguf.LlamaFileType.MOSTLY_BF16)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN3, layers)
    for name, bits in stored_tensors(checkpoint, "BF16", np.uint16):
        ours = names.get_name(name, try_suffixes=(".weight",))
        assert ours is not None, f"llama.cpp's qwen3 has no tensor for {name}"
        if bits.ndim == 1:
            writer.add_tensor(ours, (bits.astype(np.uint32) << 16).view(np.float32))
        else:
            writer.add_tensor(ours, bits.view(np.uint8), raw_dtype=gguf.GGMLQuantizationType.BF16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def describe(writer: Any, config: dict[str, Any], file_type: gguf.LlamaFileType) -> None:
    """Write the geometry."""
    size = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    rope = config.get("rope_parameters") or config
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("no_vocab")
    writer.add_file_type(file_type)


def quantize(source: Path, target: Path, kind: str) -> None:
    """Let llama.cpp quantize a GGUF file."""
    settings = llama_cpp.llama_model_quantize_default_params()
    settings.ftype = TYPES[kind]
    if llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), settings):
        raise RuntimeError(f"llama.cpp cannot quantize {source} to {kind}")


def main() -> None:
    """Convert, quantize, delete the file between."""
    checkpoint, target, kind = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    between = target.with_name(f"{target.name}.bf16")
    try:
        write_bf16(checkpoint, between)
        quantize(between, target, kind)
    finally:
        between.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
