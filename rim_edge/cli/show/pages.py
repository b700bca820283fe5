"""Help pages: what typer's look like here, and the examples at their end."""

from __future__ import annotations

import math
from typing import Any

from typer.core import TyperCommand, TyperGroup

from rim_edge.cli.errors.usage import not_finite, unknown_verb


class Plain:
    """A page that shows no type where it says nothing: of flags, and beside an argument's metavar."""

    def get_params(self, ctx: Any) -> Any:
        """Return all options and arguments."""
        parameters = super().get_params(ctx)  # type: ignore[misc]
        for parameter in parameters:
            if parameter.param_type_name == "argument":
                parameter.display_type_rich = lambda ctx: None
            elif parameter.is_flag:
                parameter.metavar = ""
        return parameters


class Command(Plain, TyperCommand):
    """A verb."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Return what is left of the words. Raises BadParameter for an infinite number, which bounds let pass."""
        left = super().parse_args(ctx, args)
        for parameter in self.get_params(ctx):
            value, bounds = ctx.params.get(parameter.name), _bounds(parameter)
            if bounds != (None, None) and isinstance(value, float) and not math.isfinite(value):
                raise not_finite(ctx, parameter.opts, value, bounds)
        return left


class Group(Plain, TyperGroup):
    """A verb that has verbs of its own."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the verb that the words begin with. Raises UsageError that says which there are."""
        known = self.list_commands(ctx)
        if args[0] not in known and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise unknown_verb(args[0], known, ctx.command_path)
        return super().resolve_command(ctx, args)


def _bounds(parameter: Any) -> tuple[float | None, float | None]:
    return getattr(parameter, "min", None), getattr(parameter, "max", None)


def epilog(*examples: str) -> str:
    """Return the end of a page: examples, one a line."""
    return "\n".join(["Examples:", *(f"$ {example}" for example in examples)]).replace("[", r"\[")
