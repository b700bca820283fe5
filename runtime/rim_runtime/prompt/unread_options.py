"""Lists at the end of a question that look like options, in a form that is not read: 1., 2., …; I., II., …; ① ….

Such a question would be answered over letters that nobody offered, so it is refused instead.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_WRITTEN = """
A B C D E F G H I J K L M N O P Q R S T U V W X Y Z
1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20
0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20
I II III IV V VI VII VIII IX X XI XII
① ② ③ ④ ⑤ ⑥ ⑦ ⑧ ⑨ ⑩ ⑪ ⑫
А Б В Г Д Е Ж З И К
А В С D Е F
Α Β Γ Δ Ε Ζ Η Θ Ι Κ
甲 乙 丙 丁 戊
一 二 三 四 五 六 七 八 九 十
أ ب ج د ه
ا ب ج د ه
א ב ג ד ה
"""
_FAMILIES = tuple(line.split() for line in _WRITTEN.strip().splitlines())
"""Ways to number a list; the second one with А is Cyrillic that looks like Latin."""
_LABEL = r"[A-Za-z0-9]{1,4}|[①-⑫]|[А-Яа-яΑ-Ωα-ω甲乙丙丁戊一-十أ-يא-ת]"
_BEFORE = r"[\W_]{0,5}(?:(?:option|choice|answer)\s+)?"
_AT_LINE_START = re.compile(
    rf"""{_BEFORE} (?: (?P<circled>[①-⑫])
        | (?P<signed>{_LABEL}) (?! \s | [.,:/–-]\d ) [\W_]   # 1.  I)  А:  but neither "1 tablet" nor "1.5 mg"
        | (?P<dashed>{_LABEL}) \s+ [-–—] \s                # 1 - text
        | (?P<bare>[A-Za-z]) \s                            # A text
        ) .*""",
    re.IGNORECASE | re.VERBOSE,
)
_ALONE = re.compile(rf"{_BEFORE}({_LABEL})[\W_]{{0,4}}", re.IGNORECASE)
"""A label on a line of its own."""
_BULLET = re.compile(r"\s*[-*•–—·▪◦☐□○]\s+\S.*")
_AFTER_QUESTION = re.compile(rf"(?:^|(?<=[\s,;]))\(?({_LABEL})(?:\)\s*|[.:]\s?(?!\d))(?=\S)")
_LETTERS_INSIDE = re.compile(r"(?:^|(?<=[\s,;?!:|]))([A-Za-z])\)\s+(?=\S)")


def unread_list(question: str) -> str | None:
    """Return what marks the list with which a question ends; None where it ends in no list."""
    lines = [line.strip() for line in question.splitlines() if line.strip()]
    if not lines:
        return None
    return _numbering(_labels(lines)) or _numbering(_alone(lines)) or _bullets(lines) or _inside(lines[-1])


def _labels(lines: Sequence[str]) -> list[str]:
    """Return the label with which each line begins, empty without one."""
    found = [_AT_LINE_START.fullmatch(line) for line in lines]
    return [match[match.lastgroup or 0] if match else "" for match in found]


def _alone(lines: Sequence[str]) -> list[str]:
    """Return the labels that stand on lines of their own; none where the last one does not head the last line."""
    found = [_ALONE.fullmatch(line) for line in lines]
    return [match[1] for match in found if match] if len(lines) > 1 and found[-2] and not found[-1] else []


def _numbering(labels: Sequence[str]) -> str | None:
    """Return the numbering with which labels end, from its first member on; None without one."""
    named = [label.upper() for label in labels]
    for family in _FAMILIES:
        if family[0] not in named:
            continue
        start = len(named) - 1 - named[::-1].index(family[0])
        run = [label for label in named[start:] if label in family]
        if len(run) > 1 and run == family[: len(run)] and named[-1] == run[-1]:
            return ", ".join(label for label in labels[start:] if label.upper() in family)
    return None


def _bullets(lines: Sequence[str]) -> str | None:
    """Return the sign of a list of bullets right after a question mark."""
    count = 0
    while count < len(lines) - 1 and _BULLET.fullmatch(lines[-1 - count]):
        count += 1
    return f"{lines[-1][0]} …" if count > 1 and lines[-1 - count].endswith("?") else None


def _inside(line: str) -> str | None:
    """Return the numbering of a list on the question's own line: `Which? 1) x 2) y`, or `Which a) x b) y`."""
    listed = line.rpartition("?")[2] if "?" in line else ""
    after = [found[1] for found in _AFTER_QUESTION.finditer(listed)]
    letters = [found[1] for found in _LETTERS_INSIDE.finditer(line) if not _in_brackets(line[: found.start()])]
    return _numbering(after) or _numbering(letters)


def _in_brackets(before: str) -> bool:
    """Whether a bracket is open: `(group A)` is no list."""
    return before.count("(") > before.count(")")
