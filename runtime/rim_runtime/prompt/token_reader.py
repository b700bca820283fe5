"""Turn the tokens of a text that is being written into characters, as they come."""

from __future__ import annotations

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from rim_runtime.prompt.tokenizer_errors import tokenizer_errors


class TokenReader:
    """Turns the tokens of one text into characters; those of a character that is not whole yet are held back."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._stream = DecodeStream(skip_special_tokens=False)

    def read(self, token: int) -> str:
        """Return the characters that are whole with this token; an id without a text has none.

        Bytes that no further token can make a character are `\ufffd`.
        """
        with tokenizer_errors("The bundle's tokenizer fails on what the model wrote"):
            return self._stream.step(self._tokenizer, token) or ""
