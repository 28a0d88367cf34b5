"""Changing the decorators of a function or class in the syntax tree, with their comments."""

from collections.abc import Sequence

import libcst as cst

from tonnage.lint.edit_lists import line_end
from tonnage.lint.edit_rows import Entry, merged_comment


def with_decorators(
    node: cst.FunctionDef | cst.ClassDef,
    entries: Sequence[Entry],
    expressions: Sequence[cst.BaseExpression],
) -> cst.FunctionDef | cst.ClassDef:
    """The definition with these decorators; `expressions` are theirs, in the same order.

    The comment at the end of a line, and the lines above a decorator, go where it goes. The lines
    above one that is taken away stay.
    """
    old = node.decorators
    homes: dict[int, int] = {}
    for index, entry in enumerate(entries):
        if entry.origin is not None:
            homes[entry.origin] = index
    for index, entry in enumerate(entries):
        if entry.slot is not None:
            homes.setdefault(entry.slot, index)
    above: list[list[cst.EmptyLine]] = [[] for _ in range(len(entries) + 1)]
    for index, decorator in enumerate(old):
        below = sum(1 for e in entries if e.slot is not None and e.slot < index)
        above[homes.get(index, below)] += decorator.leading_lines
    decorators = [
        cst.Decorator(expression, leading_lines=lines, trailing_whitespace=_ending(old, entry))
        if entry.origin is None
        else old[entry.origin].with_changes(
            decorator=expression, leading_lines=lines, trailing_whitespace=_ending(old, entry)
        )
        for entry, expression, lines in zip(entries, expressions, above, strict=False)
    ]
    return node.with_changes(
        decorators=decorators,
        lines_after_decorators=[*above[-1], *node.lines_after_decorators],
    )


def _ending(old: Sequence[cst.Decorator], entry: Entry) -> cst.TrailingWhitespace:
    ending = cst.TrailingWhitespace()
    if entry.origin is not None:
        ending = old[entry.origin].trailing_whitespace
    elif entry.slot is not None:
        ending = line_end(None, old[entry.slot].trailing_whitespace)
    if entry.mark is None:
        return ending
    before = ending.comment.value if ending.comment is not None else None
    comment = merged_comment(before, entry.mark.comment)
    return ending if comment == before else line_end(comment, ending)
