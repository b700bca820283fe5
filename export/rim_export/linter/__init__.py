"""What TensorRT's parsers refuse, or accept and then ignore, found in a graph before it is written.

A rule is a function from a graph to findings, listed in RULES with what to do about it. The rules come from the
vendor's headers and from builds with TensorRT-RTX 1.7.1; docs/tensorrt.md says which was seen how.
"""

from __future__ import annotations

import onnx_ir as ir

from rim_export.errors import GraphRuleError
from rim_export.linter.attention import ATTENTION_RULES
from rim_export.linter.graph import GRAPH_RULES
from rim_export.linter.quantization import QUANTIZATION_RULES
from rim_export.linter.rule import Finding, Rule

__all__ = ["RULES", "Finding", "Rule", "lint", "require_legal"]

RULES: tuple[Rule, ...] = (*GRAPH_RULES, *ATTENTION_RULES, *QUANTIZATION_RULES)
_SHOWN = 5


def lint(model: ir.Model) -> tuple[Finding, ...]:
    """Return everything in a graph that is illegal for TensorRT; numbers not yet computed are not looked at."""
    return tuple(
        Finding(rule.name, where, found, rule.remedy) for rule in RULES for where, found in rule.check(model)
    )


def require_legal(model: ir.Model, name: str) -> None:
    """Raise GraphRuleError, naming nodes and rules, if a graph is not legal for TensorRT."""
    findings = lint(model)
    if findings:
        shown = "\n".join(f"  {finding}" for finding in findings[:_SHOWN])
        more = f"\n  … and {len(findings) - _SHOWN} more" if len(findings) > _SHOWN else ""
        raise GraphRuleError(
            f"The {name} graph breaks {len(findings)} rules of TensorRT, expected none; nothing was written:\n"
            f"{shown}{more}"
        )
