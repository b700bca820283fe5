"""What a file really holds, told from its first bytes: for files that are not what their names say."""

from __future__ import annotations

from pathlib import Path

from rim_export.errors import CheckpointError

_LONGEST = 64
_SIGNS: tuple[tuple[bytes, str], ...] = (
    (
        b"version https://git-lfs.github.com/spec/",
        "a Git LFS pointer: the file itself was not downloaded. Run 'git lfs pull' in the folder it was cloned to",
    ),
    (
        b"GGUF",
        "a GGUF file, llama.cpp's format. Take the transformers folder that it was converted from, or convert it: "
        'pip install "rim-edge[gguf]", then python -m rim_edge.model.gguf FILE.gguf DIR',
    ),
    (b"<!doctype html", "a web page, not the file. Download the file itself"),
    (b"<html", "a web page, not the file. Download the file itself"),
    (b"PK\x03\x04", "a ZIP archive, as torch.save writes it. Save the model with save_pretrained, as safetensors"),
    (b"\x1f\x8b", "compressed with gzip. Unpack it"),
    (b"\x80\x02", "a pickle. Save the model with save_pretrained, as safetensors"),
)
"""Beginnings of files, in lower case where they are text, and what to do about each."""

READ_FILES = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
    "added_tokens.json",
    "model.safetensors.index.json",
)
"""The files of a checkpoint that are read besides its weights."""


def foreign_content(path: Path) -> str | None:
    """Return what the file is and what to do, if its first bytes are those of something else; otherwise None."""
    try:
        with path.open("rb") as file:
            start = file.read(_LONGEST)
    except OSError:
        return None  # whoever reads the file says it
    text = start.lstrip().lower()
    return next((what for sign, what in _SIGNS if start.startswith(sign) or text.startswith(sign)), None)


def refuse_foreign_content(path: Path) -> None:
    """Raise CheckpointError if the file is something else than its name says."""
    if what := foreign_content(path):
        raise CheckpointError(f"{path} is {what}.")


def refuse_foreign_files(folder: Path) -> None:
    """Raise CheckpointError if one of READ_FILES is there and is something else than its name says."""
    for name in READ_FILES:
        if (folder / name).is_file():
            refuse_foreign_content(folder / name)
