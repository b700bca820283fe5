"""A card: which models are asked in which ways about which data, as a TOML file says it (docs/evaluation.md)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rim_runtime.bundle.manifest import Precision
from rim_runtime.engines.names import EngineName
from rim_runtime.generate.sampling import MOST_SAMPLES
from rim_runtime.machine.given_file import read_given

from rim_edge.errors import CurriculumError, DataError
from rim_edge.evaluation.way import Draws, Manner, Way
from rim_edge.recipe.bounds import SettingError, positive, text, whole
from rim_edge.recipe.toml import from_table


@dataclass(frozen=True)
class CardData:
    """One file of rows."""

    name: str
    """As the table has it."""
    file: Path
    """The rows."""
    limit: int | None = None
    """The first rows only; None: as the card says."""

    def __post_init__(self) -> None:
        text("data", "name", self.name)
        if self.limit is not None:
            whole("data", "limit", self.limit, 1)


@dataclass(frozen=True)
class CardWay:
    """One way of asking."""

    name: str
    """As the table has it."""
    way: Way
    """How an answer comes about."""
    blocks: str | None = None
    """Numbers of memory blocks, `LOW..HIGH` or one; None: all."""
    max_tokens: int | None = None
    """Tokens of a text at most; None: the way's own limit."""
    instruction: str = ""
    """What is said before each question."""

    def __post_init__(self) -> None:
        text("ways", "name", self.name)
        if self.max_tokens is not None:
            whole("ways", "max_tokens", self.max_tokens, 1)


@dataclass(frozen=True)
class CardModel:
    """One bundle or checkpoint."""

    name: str
    """As the table has it."""
    bundle: str | None = None
    """Folder or .zip file beside the card, or a name that `rim-edge bundle list` knows."""
    checkpoint: Path | None = None
    """A transformers folder, instead of a bundle."""
    engine: EngineName = EngineName.AUTO
    """What runs a bundle."""
    precision: Precision | None = None
    """A bundle's variant, or a checkpoint's arithmetic."""
    device: str = "auto"
    """Where a checkpoint runs."""
    ways: tuple[str, ...] | None = None
    """Names of the ways in which it is asked; None: all."""

    def __post_init__(self) -> None:
        text("models", "name", self.name)
        if (self.bundle is None) == (self.checkpoint is None):
            raise SettingError("models", "bundle", str(self.bundle), "a bundle or a checkpoint, one of the two")
        if self.checkpoint is not None and self.engine is not EngineName.AUTO:
            raise SettingError("models", "engine", self.engine, "none beside a checkpoint, which has a device")
        if self.bundle is not None and self.device != "auto":
            raise SettingError("models", "device", self.device, "none beside a bundle, which has an engine")


@dataclass(frozen=True)
class Card:
    """All that one table shows."""

    data: tuple[CardData, ...]
    """The files, each a part of the table."""
    ways: tuple[CardWay, ...]
    """The ways of asking."""
    models: tuple[CardModel, ...]
    """What is asked."""
    title: str = "Scores"
    """Above the table."""
    rows: Path = Path("rows")
    """Folder of saved rows, beside the card: what is in it is not asked again."""
    limit: int | None = None
    """The first rows of each file only; None: all."""
    one_by_one: bool = True
    """Whether questions are asked alone, so that times can be told."""
    pass_at: tuple[int, ...] = ()
    """Each k of pass@k."""
    samples: int | None = None
    """Texts that are drawn of each question, for pass@k."""
    temperature: float = 0.8
    """Of these texts."""
    seed: int = 0
    """Of all that is drawn."""

    def __post_init__(self) -> None:
        for key in ("data", "ways", "models"):
            names = [one.name for one in getattr(self, key)]
            if not names:
                raise SettingError("", key, "empty", f"one at least ([[{key}]])")
            slugs = list(map(slug, names))
            if twice := [name for name, one in zip(names, slugs, strict=True) if slugs.count(one) > 1]:
                raise SettingError("", key, f"named {twice[0]} twice", "a name of its own for each")
        known = {way.name for way in self.ways}
        for place, model in enumerate(self.models):
            if lost := [name for name in model.ways or () if name not in known]:
                expected = f"one of: {', '.join(sorted(known))}"
                raise SettingError("", f"models[{place}].ways", repr(lost[0]), expected)
        if self.limit is not None:
            whole("", "limit", self.limit, 1)
        if self.samples is not None:
            whole("", "samples", self.samples, 1, MOST_SAMPLES)
        for k in self.pass_at:
            whole("", "pass_at", k, 1)
        whole("", "seed", self.seed, 0)
        positive("", "temperature", self.temperature)

    def manner(self, way: CardWay) -> Manner:
        """Return how questions are asked in a way."""
        draws = None
        if self.samples is not None and way.way is not Way.LETTER:
            draws = Draws(self.samples, self.temperature, seed=self.seed)
        return Manner(way.way, way.max_tokens, way.instruction, self.one_by_one, draws)

    def ways_of(self, model: CardModel) -> Sequence[CardWay]:
        """Return the ways in which a model is asked."""
        return [way for way in self.ways if model.ways is None or way.name in model.ways]

    def pass_at_of(self, way: CardWay) -> tuple[int, ...]:
        """Return each k of pass@k that can be told of a way: of texts, as many as are drawn."""
        most = max(self.pass_at, default=0) if way.way is Way.LETTER else self.samples or 0
        return tuple(k for k in self.pass_at if k <= most)

    def saved(self, model: CardModel, way: CardWay, data: CardData) -> Path:
        """Return the file of saved rows of one cell."""
        return self.rows / f"{slug(model.name)}.{slug(way.name)}.{slug(data.name)}.jsonl"


def slug(name: str) -> str:
    """Return a name as a part of a file's name."""
    return re.sub(r"\W+", "-", name.casefold()).strip("-") or "-"


def read_card(file: Path) -> Card:
    """Read a card; its paths are beside it. Raises DataError with the file, the key and what was expected."""
    content = read_given(file, "a card in TOML", DataError)
    try:
        table = tomllib.loads(content.decode("utf-8-sig"))
        card = from_table(Card, table, "")
    except CurriculumError as error:
        raise DataError(f"{file}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is no TOML file that can be read ({error}). Pass one, as --card FILE.") from None
    beside = file.parent
    return replace(
        card,
        data=tuple(replace(one, file=beside / one.file) for one in card.data),
        models=tuple(_beside(model, beside) for model in card.models),
        rows=beside / card.rows,
    )


def _beside(model: CardModel, folder: Path) -> CardModel:
    """Return a model whose paths start at a folder; a bundle that is not there is a name."""
    if model.checkpoint is not None:
        return replace(model, checkpoint=folder / model.checkpoint)
    assert model.bundle is not None
    place = folder / model.bundle
    return replace(model, bundle=str(place)) if place.exists() else model
