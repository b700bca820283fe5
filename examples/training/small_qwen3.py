"""Make a small Qwen3 with seeded random weights, to walk the whole path before the real model is worth its hours.

python examples/training/small_qwen3.py path/to/Qwen3-1.7B small-qwen3 --layers 4 --width 256

The first folder needs no weights: the tokenizer's files are taken, with every id where it is (151,936 rows).
"""

import argparse
from pathlib import Path

import torch
from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

HEAD = 64
OWN_LOGIT = 12.8
"""What a state that points to a word gives that word. The head is the embedding, which learns nothing: with a wide
model's small rows a narrow one could not say anything loud enough."""


def make(tokenizer_folder: Path, out: Path, layers: int, width: int, seed: int) -> None:
    """Write the checkpoint, in bf16 like the real one."""
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder, local_files_only=True)
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=151_936,
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // HEAD,
        num_key_value_heads=max(1, width // HEAD // 2),
        head_dim=HEAD,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = Qwen3ForCausalLM(config)
    torch.nn.init.normal_(model.get_input_embeddings().weight, 0.0, OWN_LOGIT / width)
    model.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)


def main() -> None:
    """Read the arguments and make it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer", type=Path, help="a folder with Qwen3's tokenizer files")
    parser.add_argument("out", type=Path, help="the checkpoint folder to write; must not exist")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=256, help=f"a multiple of {HEAD}")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.out.exists():
        parser.error(f"{given.out} already exists, expected a new path")
    if given.width < HEAD or given.width % HEAD:
        parser.error(f"--width is {given.width}, expected a multiple of {HEAD}")
    make(given.tokenizer, given.out, given.layers, given.width, given.seed)


if __name__ == "__main__":
    main()
