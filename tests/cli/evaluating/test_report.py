"""`rim-edge eval --html` and `--saved`: the page of a run, and a saved run shown again without asking anything."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from rim_edge.cli.show.report.summary import verdict
from rim_edge.evaluation.asking import Asked, Row
from rim_edge.evaluation.items import Item
from rim_edge.evaluation.reading import Given, Reading
from rim_edge.evaluation.report.about import About
from rim_edge.evaluation.report.breakdown import break_down
from rim_edge.evaluation.report.saved import SavedRows
from rim_edge.evaluation.scores import Score
from rim_edge.puzzles.fresh import fresh_puzzles
from rim_edge.puzzles.puzzle import Family
from tests.train.evaluation.test_saved import ROWS, RUN, reading

Run = Callable[..., Any]
DEMO = ("--bundle", "demo", "--engine", "ort-cpu")
ABOUT = About(RUN.subject, RUN.manner, "sums.jsonl", "ab" * 32, 4, (), "0.1.0", "2026-11-29")
EVIL = "<script>document.title = 'taken'</script> & \"quoted\" <img src=x onerror=alert(1)>"


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows <b>.jsonl"
    found = [one.row() | {"subject": f"{family} <i>"} for family in Family for one in fresh_puzzles(8, 77, family)]
    found += [{"question": f"Which? {EVIL}", "options": [EVIL, "b"], "answer": answer} for answer in "AB"]
    path.write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
    return path


class Elements(HTMLParser):
    """The tags of a page, and whether those that are opened are closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(page)
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


def test_a_run_and_another_one_on_a_page(run: Run, rows: Path, tmp_path: Path) -> None:
    less, page = tmp_path / "less.jsonl", tmp_path / "page.html"
    run("eval", str(rows), *DEMO, "--blocks", "0", "--save", str(less))
    done = run("eval", str(rows), *DEMO, "--against", str(less), "--html", str(page), "--json")
    assert done.code == 0, done.err
    told, shown = done.json, page.read_text(encoding="utf-8")
    found = Elements(shown)
    assert not {tag for tag, _ in found.tags} & {"script", "img", "link", "iframe"}
    used = {name for _, names in found.tags for name in names}
    assert not used & {"src", "onerror", "onclick", "srcset", "data", "action"}
    assert {names["href"] for _, names in found.tags if "href" in names} == {
        f"#{name}" for name in ("accuracy", "subjects", "letters", "certainty", "wrong", "changes", "made")
    }
    assert "url(" not in shown and "@import" not in shown
    assert EVIL in unescape(shown) and "<i>" not in shown.replace('<i style="width', "")
    text = re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", shown)))
    last = told["by_blocks"]["4"]
    assert f"{100 * last['accuracy']:.1f} % right, 95 % interval" in text
    assert f"{told['against']['changed']} questions of 26 answered differently" in text
    assert f"here alone {told['against']['gained']:,}, there alone {told['against']['lost']:,}" in text
    fewest = told["fewest_blocks"]
    alone = f"right with 4 blocks alone {fewest['gained']:,}, with 0 blocks alone {fewest['lost']:,}"
    assert f"4 blocks against 0 blocks: {alone}; McNemar's exact p" in text
    assert text.count(" gained ") >= told["against"]["gained"] > 0
    assert f"Position bias {100 * told['position_bias']:.1f} %" in text
    assert "rim-edge eval" in text and "--html" in text
    assert sum(one["n"] for one in told["subjects"]) == 26
    assert [one["subject"] for one in told["subjects"] if not one["subject"]] == [""]
    assert sum(map(sum, (list(row.values()) for row in told["confusion"].values()))) == 26
    assert told["calibration"]["low"] <= told["calibration"]["error"] <= told["calibration"]["high"]


def test_a_saved_run_gives_the_same_figures_and_the_same_page(run: Run, rows: Path, tmp_path: Path) -> None:
    saved, less = tmp_path / "saved.jsonl", tmp_path / "less.jsonl"
    run("eval", str(rows), *DEMO, "--blocks", "3", "--save", str(less))
    first, again = tmp_path / "first.html", tmp_path / "again.html"
    options = ("--against", str(less), "--pass-at", "2", "--json", "--html")
    told = run("eval", str(rows), *DEMO, "--save", str(saved), *options, str(first)).json
    rows.unlink()
    assert run("eval", "--saved", str(saved), *options, str(again)).json == told
    pages = (re.sub("<pre>.*</pre>", "", page.read_text(encoding="utf-8")) for page in (first, again))
    assert len(set(pages)) == 1, "but for the command"
    assert "a blind guess" in run("eval", "--saved", str(saved)).out


def test_a_run_that_was_stopped_says_so(run: Run, rows: Path, tmp_path: Path) -> None:
    saved, page = tmp_path / "saved.jsonl", tmp_path / "page.html"
    run("eval", str(rows), *DEMO, "--save", str(saved))
    saved.write_text("".join(saved.read_text(encoding="utf-8").splitlines(keepends=True)[:9]), encoding="utf-8")
    told = run("eval", "--saved", str(saved), "--html", str(page), "--json").json
    assert (told["partial"], told["n"], told["rows"]) == (True, 9, 26)
    assert "Partial: it was stopped" in page.read_text(encoding="utf-8")


def test_texts_have_no_letters_and_no_calibration(run: Run, tmp_path: Path) -> None:
    SavedRows(tmp_path / "saved.jsonl", RUN, ABOUT).add(ROWS, list(map(reading, ROWS)))
    page = tmp_path / "page.html"
    done = run("eval", "--saved", str(tmp_path / "saved.jsonl"), "--html", str(page), "--json")
    assert (done.json["confusion"], done.json["calibration"], done.json["chance"]) == (None, None, None)
    shown = page.read_text(encoding="utf-8")
    Elements(shown)
    assert 'id="letters"' not in shown and 'id="certainty"' not in shown and 'id="accuracy"' in shown
    assert run("eval", "--saved", str(tmp_path / "saved.jsonl"), "--pass-at", "2").code == 0
    few = run("eval", "--saved", str(tmp_path / "saved.jsonl"), "--pass-at", "3")
    assert few.code == 2 and "has 2 drawn texts of each question" in few.err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda row: row.pop("about"), "was written by an earlier release and does not say what was scored"),
        (lambda row: row.update(run="other", scored="another"), "holds rows of two runs (demo int8"),
        (
            lambda row: row["about"].update(scored={"kind": "cat"}),
            "line 26: no row that 'rim-edge eval --save' wrote",
        ),
    ],
)
def test_what_is_no_saved_run_is_refused(
    run: Run, rows: Path, tmp_path: Path, change: Callable[[Any], Any], words: str
) -> None:
    saved = tmp_path / "saved.jsonl"
    run("eval", str(rows), *DEMO, "--blocks", "4", "--save", str(saved))
    lines = [json.loads(line) for line in saved.read_text(encoding="utf-8").splitlines()]
    change(lines[-1])
    saved.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    done = run("eval", "--saved", str(saved), "--html", str(tmp_path / "page.html"))
    assert done.code == 2
    assert words in " ".join(done.err.split())
    assert done.err.count("\n") == 1
    assert not (tmp_path / "page.html").exists()


def given(row: Any) -> Any:
    return row["given"]["2"]


DAMAGED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "no flag": (lambda row: given(row).update(cut=None), "'cut' is null, expected true or false"),
    "no count": (lambda row: given(row).update(tokens="3"), "'tokens' is \"3\", expected a whole number"),
    "no answer": (lambda row: given(row).update(answer=1), "'answer' is 1, expected a text"),
    "no shares": (
        lambda row: given(row).update(probabilities=[0.5]),
        "'probabilities' is [0.5], expected numbers",
    ),
    "a text as a share": (lambda row: given(row).update(probabilities={"A": "x"}), "expected numbers from 0 to 1"),
    "other letters": (lambda row: row.update(letters="AB", answer="C"), "lacks the answer or the right one"),
    "no mark": (lambda row: given(row).update(mark="cat"), "'mark' is \"cat\", expected one of"),
    "no samples": (lambda row: given(row).update(samples=[1]), "'samples' is [1], expected a list of texts"),
    "an infinite time": (lambda row: given(row).update(full_ms=float("inf")), "'full_ms' is Infinity"),
    "one more": (lambda row: given(row).update(more=1), "'more' is unknown"),
    "one less": (lambda row: given(row).pop("cut"), "'cut' is missing"),
    "a missing block": (
        lambda row: row["given"].pop("0"),
        "'given' has the blocks [2], the row line 1 has [0, 2]",
    ),
    "no right answer": (lambda row: row.update(answer=None), "'answer' is null, expected a text"),
    "no control": (lambda row: row.update(shuffled_blocks=2), "'shuffled_blocks' is 2"),
    "no exchange": (lambda row: row.update(exchanged_block={"1": 2}), "'exchanged_block' is"),
    "no hash": (lambda row: row["about"].update(file_sha256=3), "'file_sha256' is 3"),
    "no rows": (lambda row: row["about"].update(rows=[]), "'rows' is []"),
    "no draws": (lambda row: row["about"]["asked"].update(draws={"samples": "x"}), "'samples' is \"x\""),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_row_is_named_before_anything_is_printed(run: Run, tmp_path: Path, case: str) -> None:
    change, words = DAMAGED[case]
    saved = tmp_path / "saved.jsonl"
    SavedRows(saved, RUN, ABOUT).add(ROWS, list(map(reading, ROWS)))
    assert run("eval", "--saved", str(saved)).code == 0
    lines = [json.loads(line) for line in saved.read_text(encoding="utf-8").split("\n")[:-1]]
    change(lines[-1])
    saved.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    done = run("eval", "--saved", str(saved))
    assert (done.code, done.out) == (2, "")
    assert f"{saved}, line {len(lines)}: no row that 'rim-edge eval --save' wrote (" in done.err
    assert words in done.err


def test_a_folder_in_the_place_of_a_file_is_told(run: Run, rows: Path, tmp_path: Path) -> None:
    for command in (
        ("eval", "--saved", str(tmp_path)),
        ("eval", str(rows), *DEMO, "--against", str(tmp_path)),
        ("eval", str(rows), *DEMO, "--save", str(tmp_path)),
    ):
        done = run(*command)
        assert (done.code, done.out) == (2, "")
        assert f"{tmp_path} is a folder, expected " in done.err


def test_nothing_is_overwritten(run: Run, rows: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("mine")
    done = run("eval", str(rows), *DEMO, "--html", str(page))
    assert done.code == 2 and "already exists" in done.err
    assert page.read_text() == "mine"


@pytest.mark.parametrize(
    ("right", "usual", "chance", "words"),
    [
        (90, 30, 0.25, "the whole interval lies above both"),
        (35, 34, 0.25, "not shown to be better than always giving"),
        (26, 30, 0.25, "Not told apart from a blind guess"),
        (10, 30, 0.25, "Worse than a blind guess"),
        (60, 30, None, "Better than always giving"),
        (31, 30, None, "Not shown to be better than"),
    ],
)
def test_what_a_score_shows(right: int, usual: int, chance: float | None, words: str) -> None:
    assert words in verdict(Score(right, 100), Score(usual, 100), chance)[0]


def test_parts_by_hand() -> None:
    def row(number: int, answer: str, letters: str = "ABC", subject: str = "x") -> Row:
        return Row(f"line {number}", Item("?", answer, letters), subject)

    rows = (row(1, "A"), row(2, "B", "AB"), row(3, "A", subject="y"), row(4, "C", "ABCDEFGHIJ", ""))
    shares = ({"A": 0.8, "B": 0.1, "C": 0.1}, {"A": 0.9, "B": 0.1}, {"A": 0.2, "B": 0.6, "C": 0.2}, {"C": 1.0})
    given = [Given(max(one, key=one.__getitem__), one) for one in shares]
    found = break_down(Asked(rows, {place: Reading({0: one}) for place, one in enumerate(given)}))
    assert found.chance == pytest.approx((1 / 3 + 1 / 2 + 1 / 3 + 1 / 10) / 4)
    assert {name: (one.right, one.n) for name, one in found.subjects.items()} == {
        "": (1, 1),
        "x": (1, 2),
        "y": (0, 1),
    }
    assert found.confusion is not None
    assert found.confusion.to_json() == {
        "A": {"A": 1, "B": 1, "C": 0},
        "B": {"A": 1, "B": 0, "C": 0},
        "C": {"A": 0, "B": 0, "C": 1},
    }
    assert [row.place for row, _ in found.surest_wrong] == ["line 2", "line 3"]
    assert found.confidence == pytest.approx((0.8 + 0.9 + 0.6 + 1.0) / 4)
