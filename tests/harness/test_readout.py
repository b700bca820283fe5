"""What a request of the harness is to a bundle."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from rim_runtime.errors import InputError

from rim_edge.harness.readout import by_context, log_shares, split_spaces


def test_letters_are_read_together_for_each_context() -> None:
    asked = by_context([("q", " A"), ("r", "B"), ("q", " C"), ("r", "A"), ("q", " A")], "ABCD")
    assert [(one.context, one.letters) for one in asked] == [("q", ("A", "C")), ("r", ("B", "A"))]


def test_what_is_no_letter_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"how likely ' yes' is, and this bundle reads letters \(A to D\).*readout=text"
    ):
        by_context([("q", " yes"), ("q", " no")], "ABCD")
    with pytest.raises(InputError, match=r"The letter A alone is asked for behind 'q'.*acc_mutual_info"):
        by_context([("q", " A")], "ABCD")


def test_shares_are_among_the_letters_that_were_asked_for() -> None:
    logits = {"A": 700.0, "B": 700.0 + math.log(3), "C": 2_000.0}
    assert log_shares(logits, "AB") == pytest.approx({"A": math.log(0.25), "B": math.log(0.75)})


def test_white_space_belongs_to_the_continuation() -> None:
    assert split_spaces("Question: \n", " yes") == ("Question:", " \n yes")


def test_without_the_harness_the_command_says_what_to_install() -> None:
    code = "import sys; sys.modules['lm_eval'] = None; import importlib.util as u; u.find_spec = lambda n: None\n"
    code += "from rim_edge.harness.__main__ import main; sys.exit(main(['--tasks', 'x']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 4
    assert "pip install lm-eval" in done.stderr and "Traceback" not in done.stderr
