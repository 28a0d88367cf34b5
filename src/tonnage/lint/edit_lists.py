"""Changing a written-out list of marks in the syntax tree, with its comments and line breaks.

A list is seen as values and the gaps around them: before the first, between each two, behind the
last. The comment behind a value lies in the gap that follows it, a comment above it in the gap
before.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import libcst as cst

from tonnage.lint.edit_rows import Entry, merged_comment

Gap = cst.BaseParenthesizableWhitespace
MarkList = cst.List | cst.Tuple
_WIDTH = 100
_STEP = "    "


def with_entries(
    marks: MarkList, entries: Sequence[Entry], expressions: Sequence[cst.BaseExpression], line: str
) -> MarkList:
    """The list with these entries; `expressions` are theirs, in the same order.

    `line`: the start of the line that the list opens on; where the list has to be broken into
    lines, they are indented after it.
    """
    row = _Row.of(marks)
    indent = line[: len(line) - len(line.lstrip())]
    comments = [row.comment(index) for index in range(len(row.values))]
    kept = {entry.slot for entry in entries}
    for index in reversed(range(len(row.values))):
        if index not in kept:
            row.delete(index)
    for index, (entry, expression) in enumerate(zip(entries, expressions, strict=True)):
        if entry.slot is None:
            row.insert(index, expression, indent)
        row.values[index] = expression
    if any(entry.mark is not None and entry.mark.comment for entry in entries):
        row.break_lines(indent)
    for index, entry in enumerate(entries):
        if entry.mark is not None:
            old = comments[entry.origin] if entry.origin is not None else None
            row.set_comment(index, merged_comment(old, entry.mark.comment), indent)
    if len(line) + row.width() > _WIDTH:
        row.break_lines(indent)
    return row.into(marks)


def list_of(values: Sequence[cst.BaseExpression]) -> cst.List:
    """A new list of these on one line."""
    last = len(values) - 1
    return cst.List(
        [
            cst.Element(value, cst.Comma(whitespace_after=cst.SimpleWhitespace(" ")))
            if index < last
            else cst.Element(value)
            for index, value in enumerate(values)
        ]
    )


@dataclass
class _Row:
    """The values, the gaps around them (one more), and whether the last value has a comma."""

    values: list[cst.BaseExpression]
    gaps: list[Gap]
    has_last_comma: bool

    @classmethod
    def of(cls, marks: MarkList) -> "_Row":
        gaps: list[Gap] = [_opening(marks)]
        for element in marks.elements[:-1]:
            assert isinstance(element.comma, cst.Comma)
            gaps.append(element.comma.whitespace_after)
        has_last_comma = bool(marks.elements) and isinstance(marks.elements[-1].comma, cst.Comma)
        if marks.elements:
            gaps.append(_closing(marks))
        return cls([element.value for element in marks.elements], gaps, has_last_comma)

    def into(self, marks: MarkList) -> MarkList:
        """The list again, in the kind of brackets that it had."""
        is_tuple = isinstance(marks, cst.Tuple)
        has_last_comma = self.has_last_comma or (is_tuple and len(self.values) == 1)
        last = len(self.values) - 1
        elements = []
        for index, value in enumerate(self.values):
            if index < last:
                elements.append(
                    cst.Element(value, cst.Comma(whitespace_after=self.gaps[index + 1]))
                )
            elif has_last_comma:
                elements.append(cst.Element(value, cst.Comma()))
            else:
                elements.append(cst.Element(value))
        end = self.gaps[-1] if self.values else cst.SimpleWhitespace("")
        if isinstance(marks, cst.Tuple):
            opening = cst.LeftParen(whitespace_after=self.gaps[0])
            closing = cst.RightParen(whitespace_before=end)
            return marks.with_changes(
                elements=elements,
                lpar=[*marks.lpar[:-1], opening],
                rpar=[closing, *marks.rpar[1:]],
            )
        return marks.with_changes(
            elements=elements,
            lbracket=cst.LeftSquareBracket(whitespace_after=self.gaps[0]),
            rbracket=cst.RightSquareBracket(whitespace_before=end),
        )

    def comment(self, index: int) -> str | None:
        """The comment behind a value, with its #."""
        gap = self.gaps[index + 1]
        if isinstance(gap, cst.ParenthesizedWhitespace) and gap.first_line.comment is not None:
            return gap.first_line.comment.value
        return None

    def set_comment(self, index: int, text: str | None, indent: str) -> None:
        gap = self.gaps[index + 1]
        if not isinstance(gap, cst.ParenthesizedWhitespace):
            if text is None:
                return
            gap = self._line_break(indent, is_last=index == len(self.values) - 1)
        self.gaps[index + 1] = gap.with_changes(first_line=line_end(text, gap.first_line))

    def delete(self, index: int) -> None:
        """Take a value away, with the comment behind it; a comment above it stays."""
        before, after = self.gaps[index], self.gaps[index + 1]
        if index == 0 and len(self.values) == 1:
            gap: Gap = before
        elif isinstance(before, cst.ParenthesizedWhitespace):
            gap = before
            if isinstance(after, cst.ParenthesizedWhitespace):
                gap = before.with_changes(
                    empty_lines=[*before.empty_lines, *after.empty_lines],
                    indent=after.indent,
                    last_line=after.last_line,
                )
        else:
            gap = before if index == 0 else after
        self.gaps[index : index + 2] = [gap]
        del self.values[index]

    def insert(self, index: int, value: cst.BaseExpression, indent: str) -> None:
        """Put a value before the one at `index`; what stands above that one stays above it."""
        if not self.values:
            inside = self.gaps[0]
            self.gaps = [inside, cst.SimpleWhitespace("")]
            self.values = [value]
            if isinstance(inside, cst.ParenthesizedWhitespace):
                last_line = cst.SimpleWhitespace(indent + _STEP)
                first = inside.with_changes(indent=False, last_line=last_line)
                self.gaps = [first, _new_line(indent)]
            return
        is_last = index == len(self.values)
        gap = self.gaps[index]
        if isinstance(gap, cst.ParenthesizedWhitespace):
            before: Gap = self._line_break(indent, is_last=False).with_changes(
                first_line=gap.first_line
            )
            after: Gap = gap.with_changes(first_line=line_end(None, gap.first_line))
        else:
            space = cst.SimpleWhitespace(" ")
            before, after = (space, gap) if is_last else (gap, space)
        self.gaps[index : index + 1] = [before, after]
        self.values.insert(index, value)

    def break_lines(self, indent: str) -> None:
        """One value a line, where the list is on one line."""
        if any(isinstance(gap, cst.ParenthesizedWhitespace) for gap in self.gaps):
            return
        inner = _new_line(indent + _STEP)
        self.gaps = [*([inner] * len(self.values)), _new_line(indent)]
        self.has_last_comma = True

    def width(self) -> int:
        """Columns that the values take on one line; 0 where they are on several already."""
        if any(isinstance(gap, cst.ParenthesizedWhitespace) for gap in self.gaps):
            return 0
        module = cst.Module([])
        return sum(len(module.code_for_node(value)) + 2 for value in self.values)

    def _line_break(self, indent: str, *, is_last: bool) -> cst.ParenthesizedWhitespace:
        """A line break as this list has them: before a value, or before the closing bracket."""
        breaks = [gap for gap in self.gaps[:-1] if isinstance(gap, cst.ParenthesizedWhitespace)]
        if is_last or not breaks:
            return _new_line(indent if is_last else indent + _STEP)
        return breaks[0].with_changes(
            first_line=line_end(None, breaks[0].first_line), empty_lines=()
        )


def _opening(marks: MarkList) -> Gap:
    if isinstance(marks, cst.List):
        return marks.lbracket.whitespace_after
    return marks.lpar[-1].whitespace_after if marks.lpar else cst.SimpleWhitespace("")


def _closing(marks: MarkList) -> Gap:
    if isinstance(marks, cst.List):
        return marks.rbracket.whitespace_before
    return marks.rpar[0].whitespace_before if marks.rpar else cst.SimpleWhitespace("")


def _new_line(indent: str) -> cst.ParenthesizedWhitespace:
    return cst.ParenthesizedWhitespace(
        first_line=cst.TrailingWhitespace(),
        empty_lines=[],
        indent=False,
        last_line=cst.SimpleWhitespace(indent),
    )


def line_end(text: str | None, old: cst.TrailingWhitespace) -> cst.TrailingWhitespace:
    """The end of a line with this comment (with its #) or none; the line ending stays."""
    if text is None:
        return old.with_changes(whitespace=cst.SimpleWhitespace(""), comment=None)
    if old.comment is not None:
        return old.with_changes(comment=cst.Comment(text))
    return old.with_changes(whitespace=cst.SimpleWhitespace("  "), comment=cst.Comment(text))
