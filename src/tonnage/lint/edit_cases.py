"""Finding one case of a parametrised test by its id, in the syntax tree.

It stands in the values of `parametrize`, as `pytest.param` or as a plain value, or in a table that
these or a fixture's parameters are made from, whose entries carry their own `marks`: a dictionary
by id, or calls with an id.
"""

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import libcst as cst
from libcst import matchers

from tonnage.lint.edit_names import code_of, module_statements
from tonnage.lint.edit_spelling import Spelling

_ID_WORDS = ("id", "name")
_MARKS = "marks"
Literal = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class CaseSite:
    """Where the marks of a case stand.

    `node` is the argument or dictionary entry with the marks, or the `pytest.param` call or the
    plain element that is to get some, whose `values` become arguments of its own. `shared`: the
    name of the list or class that holds the case, which other tests may use too.
    """

    node: cst.Arg | cst.DictElement | cst.Call | cst.Element
    shared: str = ""
    values: tuple[cst.BaseExpression, ...] = ()


def find_case(
    module: cst.Module,
    around: Sequence[cst.FunctionDef | cst.ClassDef],
    case: str,
    spelling: Spelling,
) -> CaseSite | str:
    """The case of that id in one of the parametrisations, or why it is not known which one it is.

    `around` are the function and the classes it is in.
    """
    calls = {
        call: node
        for node in around
        for decorator in node.decorators
        if isinstance(call := decorator.decorator, cst.Call)
        and (mark := spelling.read(code_of(call))) is not None
        and mark.name == "parametrize"
    }
    found = [
        site if site.shared or node is around[-1] else replace(site, shared=node.name.value)
        for call, node in calls.items()
        for site in _in_values(module, call, case)
    ]
    if not found:
        reached = _reached(module, around, [*calls])
        found = [CaseSite(node) for node in _in_tables(reached, case)]
    if len(found) == 1:
        return found[0]
    if found:
        return f"several cases here could be [{case}]"
    return f"no case with the id {case!r} is written out here"


def _in_values(module: cst.Module, call: cst.Call, case: str) -> Iterator[CaseSite]:
    names, values = _argument(call, 0, "argnames"), _argument(call, 1, "argvalues")
    ids = _strings(_argument(call, None, "ids"))
    shared = ""
    if isinstance(values, cst.Name):
        shared = values.value
        values = _bound(module, shared)
    if not isinstance(values, (cst.List, cst.Tuple)):
        return
    for index, element in enumerate(values.elements):
        if not isinstance(element, cst.Element):
            return
        listed = ids[index] if index < len(ids) else None
        value = element.value
        if isinstance(value, cst.Call) and code_of(value.func).rpartition(".")[2] == "param":
            own = _literal(_argument(value, None, "id"))
            given = [each.value for each in value.args if each.keyword is None and not each.star]
            if (own if own is not None else listed or _automatic(given)) == case:
                yield CaseSite(marks_argument(value) or value, shared)
            continue
        parts = _parts(value, _count(names))
        if (listed or _automatic(parts)) == case:
            yield CaseSite(element, shared, tuple(parts))


def _in_tables(
    expressions: Iterable[cst.BaseExpression], case: str
) -> Iterator[cst.Arg | cst.DictElement | cst.Call]:
    finder = _Tables(case)
    for expression in expressions:
        expression.visit(finder)
    yield from finder.marks
    yield from (call for call in finder.bare if code_of(call.func) in finder.takers)


def _reached(
    module: cst.Module,
    around: Sequence[cst.FunctionDef | cst.ClassDef],
    calls: Sequence[cst.Call],
) -> Iterator[cst.BaseExpression]:
    """The parametrisations of a test and its fixtures, and what the names in them are bound to."""
    pending: list[cst.BaseExpression] = list(calls)
    function = around[-1]
    if isinstance(function, cst.FunctionDef):
        wanted = {parameter.name.value for parameter in function.params.params}
        pending += [
            decorator.decorator
            for statement in module.body
            if isinstance(statement, cst.FunctionDef) and statement.name.value in wanted
            for decorator in statement.decorators
        ]
    seen: set[str] = set()
    while pending:
        expression = pending.pop()
        yield expression
        names = {code_of(name) for name in matchers.findall(expression, matchers.Name())}
        for name in sorted(names - seen):
            seen.add(name)
            if (value := _bound(module, name)) is not None:
                pending.append(value)


class _Tables(cst.CSTVisitor):
    """Collects the `marks` of each entry that has this id.

    `bare` are calls that have none; `takers` the functions that are given some elsewhere.
    """

    def __init__(self, case: str) -> None:
        super().__init__()
        self.case = case
        self.marks: dict[cst.Arg | cst.DictElement, None] = {}
        self.bare: dict[cst.Call, None] = {}
        self.takers: set[str] = set()

    def visit_DictElement(self, node: cst.DictElement) -> None:  # noqa: N802 - LibCST's name
        if _literal(node.key) == self.case:
            self._add(node.value)

    def visit_Call(self, node: cst.Call) -> None:  # noqa: N802 - LibCST's name
        if marks_argument(node) is not None:
            self.takers.add(code_of(node.func))
        if any(
            arg.keyword is not None
            and arg.keyword.value in _ID_WORDS
            and _literal(arg.value) == self.case
            for arg in node.args
        ):
            self._add(node)

    def visit_Dict(self, node: cst.Dict) -> None:  # noqa: N802 - LibCST's name
        if any(
            isinstance(each, cst.DictElement)
            and _literal(each.key) in _ID_WORDS
            and _literal(each.value) == self.case
            for each in node.elements
        ):
            self._add(node)

    def _add(self, entry: cst.BaseExpression) -> None:
        marks: cst.Arg | cst.DictElement | None = None
        if isinstance(entry, cst.Call):
            marks = marks_argument(entry)
            if marks is None:
                self.bare[entry] = None
        elif isinstance(entry, cst.Dict):
            marks = next(
                (
                    each
                    for each in entry.elements
                    if isinstance(each, cst.DictElement) and _literal(each.key) == _MARKS
                ),
                None,
            )
        if marks is not None:
            self.marks[marks] = None


def marks_argument(call: cst.Call) -> cst.Arg | None:
    """The `marks=` of a call."""
    return next((a for a in call.args if a.keyword and a.keyword.value == _MARKS), None)


def _parts(value: cst.BaseExpression, count: int) -> list[cst.BaseExpression]:
    """A plain value of `parametrize`, taken apart where it stands for several arguments."""
    if count > 1 and isinstance(value, (cst.Tuple, cst.List)):
        return [element.value for element in value.elements]
    return [value]


def _count(names: cst.BaseExpression | None) -> int:
    if isinstance(names, (cst.List, cst.Tuple)):
        return len(names.elements)
    text = _literal(names) if names is not None else None
    return len([name for name in text.split(",") if name.strip()]) if isinstance(text, str) else 1


def _argument(call: cst.Call, position: int | None, name: str) -> cst.BaseExpression | None:
    for index, arg in enumerate(call.args):
        if arg.keyword is not None and arg.keyword.value == name:
            return arg.value
        if arg.keyword is None and not arg.star and index == position:
            return arg.value
    return None


def _strings(ids: cst.BaseExpression | None) -> list[str | None]:
    if not isinstance(ids, (cst.List, cst.Tuple)):
        return []
    texts = [_literal(element.value) for element in ids.elements]
    return [text if isinstance(text, str) else None for text in texts]


def _automatic(values: Sequence[cst.BaseExpression]) -> str | None:
    """The id that pytest makes of these values, where they are all simple."""
    parts = []
    for value in values:
        found = _literal(value)
        if (found is None and code_of(value) != "None") or (
            isinstance(found, str) and not (found.isascii() and found.isprintable())
        ):
            return None
        parts.append(str(found))
    return "-".join(parts) if parts else None


def _literal(node: cst.BaseExpression | None) -> Literal:
    if node is None:
        return None
    try:
        value = ast.literal_eval(code_of(node))
    except (ValueError, SyntaxError, TypeError):
        return None
    return value if isinstance(value, (str, int, float, bool)) else None


def _bound(module: cst.Module, name: str) -> cst.BaseExpression | None:
    """What the module binds a name to, where it does so once."""
    values = []
    for statement in module_statements(module):
        if isinstance(statement, cst.Assign):
            targets = [each.target for each in statement.targets]
        elif isinstance(statement, (cst.AnnAssign, cst.AugAssign)):
            targets = [statement.target]
        else:
            continue
        if any(isinstance(target, cst.Name) and target.value == name for target in targets):
            values.append(None if isinstance(statement, cst.AugAssign) else statement.value)
    return values[0] if len(values) == 1 else None
