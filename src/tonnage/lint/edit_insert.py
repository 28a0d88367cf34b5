"""New statements and arguments for marks: a module's `pytestmark`, `import pytest`, `marks=`."""

import sys
from collections.abc import Sequence

import libcst as cst

from tonnage.lint.edit_lists import line_end
from tonnage.lint.edit_names import code_of

_MARKS = "marks"
_BLANK = cst.EmptyLine(indent=False)


def with_pytestmark(module: cst.Module, value: cst.BaseExpression) -> cst.Module:
    """The module with `pytestmark = value` behind the imports at its top."""
    assign = cst.Assign([cst.AssignTarget(cst.Name("pytestmark"))], value)
    _, end = _imports(module)
    return _with_statement(module, end, assign)


def with_import(module: cst.Module) -> cst.Module:
    """The module with `import pytest` among the imports at its top."""
    statement = cst.Import([cst.ImportAlias(cst.Name("pytest"))])
    start, end = _imports(module)
    standard = [
        index
        for index in range(start, end)
        if _package(module.body[index]) in sys.stdlib_module_names
    ]
    return _with_statement(module, standard[-1] + 1 if standard else end, statement)


def imports_at_top(module: cst.Module) -> list[cst.BaseSmallStatement]:
    """The statements up to the first one that is neither import nor docstring."""
    _, end = _imports(module)
    return [
        small
        for line in module.body[:end]
        if isinstance(line, cst.SimpleStatementLine)
        for small in line.body
    ]


def _imports(module: cst.Module) -> tuple[int, int]:
    start = 1 if module.get_docstring() is not None else 0
    end = start
    while end < len(module.body) and _package(module.body[end]):
        end += 1
    return start, end


def _package(line: cst.CSTNode) -> str:
    """The top-level package that a line imports; empty when it is no import."""
    if not isinstance(line, cst.SimpleStatementLine):
        return ""
    first = line.body[0]
    if isinstance(first, cst.Import):
        return code_of(first.names[0].name).partition(".")[0]
    if isinstance(first, cst.ImportFrom):
        name = code_of(first.module) if first.module is not None else ""
        return "." if first.relative else name.partition(".")[0]
    return ""


def _with_statement(
    module: cst.Module, index: int, statement: cst.BaseSmallStatement
) -> cst.Module:
    """The module with the statement on a line of its own, apart from what it does not belong to."""
    body = list(module.body)
    is_import = isinstance(statement, cst.Import)
    before = _package(body[index - 1]) if index > 0 else ""
    joins = is_import and before and before not in sys.stdlib_module_names
    line = cst.SimpleStatementLine(
        [statement], leading_lines=[] if joins or index == 0 else [_BLANK]
    )
    if index < len(body):
        following = body[index]
        lines: Sequence[cst.EmptyLine] = getattr(following, "leading_lines", ())
        if not lines or lines[0].comment is not None:
            is_definition = isinstance(following, (cst.FunctionDef, cst.ClassDef))
            blank = [_BLANK] * (2 if is_definition else 1)
            body[index] = following.with_changes(leading_lines=[*blank, *lines])
    body.insert(index, line)
    return module.with_changes(body=body)


def with_marks_argument(call: cst.Call, value: cst.BaseExpression) -> cst.Call:
    """The call with `marks=value` as its last argument, laid out as the others are."""
    new = cst.Arg(
        value,
        keyword=cst.Name(_MARKS),
        equal=cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace("")),
    )
    if not call.args:
        return call.with_changes(args=[new])
    last = call.args[-1]
    gap = _gap_between(call)
    comma = last.comma if isinstance(last.comma, cst.Comma) else None
    after = comma.whitespace_after if comma is not None else last.whitespace_after_arg
    if isinstance(after, cst.ParenthesizedWhitespace) and after.first_line.comment is not None:
        # The comment behind the argument that was the last stays with it.
        broken = gap if isinstance(gap, cst.ParenthesizedWhitespace) else after
        gap = broken.with_changes(first_line=after.first_line)
        after = after.with_changes(first_line=line_end(None, after.first_line))
    if comma is not None:
        new = new.with_changes(comma=cst.Comma(whitespace_after=after))
    else:
        new = new.with_changes(whitespace_after_arg=after)
    return call.with_changes(
        args=[
            *call.args[:-1],
            last.with_changes(
                comma=cst.Comma(whitespace_after=gap), whitespace_after_arg=cst.SimpleWhitespace("")
            ),
            new,
        ]
    )


def _gap_between(call: cst.Call) -> cst.BaseParenthesizableWhitespace:
    gap: cst.BaseParenthesizableWhitespace = call.whitespace_before_args
    if len(call.args) > 1 and isinstance(call.args[-2].comma, cst.Comma):
        gap = call.args[-2].comma.whitespace_after
    if isinstance(gap, cst.ParenthesizedWhitespace):
        return gap.with_changes(first_line=line_end(None, gap.first_line), empty_lines=())
    return cst.SimpleWhitespace(" ")
