"""`tonnage rule`: what a rule of lint is about."""

from typing import Annotated

import typer

from tonnage.errors import OptionError, suggestion


def rule(
    code: Annotated[
        str | None,
        typer.Argument(metavar="CODE", help="Such as TNG101; all, in a line each, without."),
    ] = None,
) -> None:
    """Explain a rule of `tonnage lint`, with an example."""
    from tonnage.lint.reference import rule_text
    from tonnage.lint.rules import RULES

    if code is None:
        for each in RULES:
            typer.echo(f"{each.code}  {each.severity.value:<7}  {each.name}: {each.summary}")
        return
    for each in RULES:
        if code.upper() == each.code or code.lower() == each.name:
            typer.echo(rule_text(each))
            return
    known = [name for each in RULES for name in (each.code, each.name)]
    raise OptionError(
        f'there is no rule "{code}"',
        where="tonnage rule",
        remedy=suggestion(code, known) or "`tonnage rule` lists them.",
    )
