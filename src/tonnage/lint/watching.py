"""Gathers the facts of one file: looks only into statements that hold a watched word."""

import ast
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tonnage.lint.facts import (
    NO_FACTS,
    CallFact,
    EnvironmentFact,
    FileFacts,
    Literal,
    PortFact,
    TextFact,
)
from tonnage.lint.model import UNREAD, Place
from tonnage.lint.outline import Value
from tonnage.lint.terms import Terms

# A line without any of these holds no fact: new facts must extend them. They are literal words,
# which are searched for far faster than patterns.
_WATCHED_WORDS = (
    *(b"chdir", b"environ", b"putenv", b"unsetenv", b"sleep", b"rand", b"Rand", b"seed"),
    *(b"shuffle", b"default_rng", b"/tmp", b"port=", b"port =", b"PORT", b"port:", b"localhost"),
    *(b"127.0.", b"0.0.0.0", b"::1", b"bind(", b"CUDA_VISIBLE_DEVICES", b"env=", b"env ="),
    *(b"normal(", b"bernoulli(", b"multinomial(", b"Generator("),
)

# What a call is kept for, by its full name.
_WATCHED_CALLS = re.compile(
    r"os\.(f?chdir|putenv|unsetenv)"
    r"|contextlib\.chdir"
    r"|(time|asyncio|anyio|trio|gevent)\.sleep"
    r"|random\.\w+(\.\w+)?"
    r"|(numpy|cupy|jax)\.random\.\w+(\.\w+)?"
    r"|torch\.(cuda\.)?(rand|randn|randint|randperm|rand_like|randn_like|randint_like"
    r"|normal|bernoulli|multinomial|manual_seed|manual_seed_all|seed|Generator)"
    r"|(tensorflow|tf)\.random\.[\w.]+"
)

_ENVIRONMENT_CALLS = {"os.environ.update", "os.environ.setdefault", "os.environ.pop"}
_ENVIRONMENT_CALLS |= {"os.environ.clear", "os.putenv", "os.unsetenv"}
_PORT_NAME = re.compile(r"(.*_)?port", re.IGNORECASE)
_HOST_AND_PORT = re.compile(
    r"(?:.*//)?(?:localhost|\d+\.\d+\.\d+\.\d+|\[?::1?\]?):(\d{2,5})(?:/.*)?", re.DOTALL
)
_HOST = re.compile(r"localhost|\d+\.\d+\.\d+\.\d+|::1?|")
_TMP_FILE = re.compile(r"(?:.*\s|file://)?/tmp/[^\s{}<>%*$]+.*", re.DOTALL)


_LOOPS = (ast.For, ast.AsyncFor, ast.While, ast.comprehension)
_Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def facts_of(module: ast.Module, source: bytes, terms: Terms) -> FileFacts:
    """The facts of a file. Their places have no path yet: that is the reader's to say."""
    lines = _lines_with(_WATCHED_WORDS, source)
    if not lines:
        return NO_FACTS
    names = dict(_imported(module.body))
    renamed = [
        name.encode()
        for name, meant in names.items()
        if _WATCHED_CALLS.match(meant) and not any(word in name.encode() for word in _WATCHED_WORDS)
    ]
    lines = sorted({*lines, *_lines_with(renamed, source)})
    watcher = _Watcher(terms, lines, names)
    watcher.look_into(module.body, ())
    return FileFacts(
        tuple(watcher.calls), tuple(watcher.texts), tuple(watcher.ports), tuple(watcher.environment)
    )


def _lines_with(words: Iterable[bytes], source: bytes) -> list[int]:
    """The numbers of the lines that hold one of the words, in order."""
    ends: list[int] = []
    lines: set[int] = set()
    for word in words:
        at = source.find(word)
        if at >= 0 and not ends:
            ends = [match.start() for match in re.finditer(rb"\n", source)]
        while at >= 0:
            line = bisect_left(ends, at)
            lines.add(line + 1)
            at = source.find(word, ends[line]) if line < len(ends) else -1
    return sorted(lines)


def _imported(body: Iterable[ast.stmt]) -> Iterator[tuple[str, str]]:
    """What each name imported here stands for, in full."""
    for node in _outside_functions(body):
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.partition(".")[0]
                yield (alias.asname, alias.name) if alias.asname else (root, root)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _outside_functions(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    pending: list[ast.AST] = list(body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.stmt):
            yield node
        if isinstance(node, (ast.If, ast.Try, ast.With, ast.ExceptHandler)):
            pending.extend(ast.iter_child_nodes(node))


def _parameters(arguments: ast.arguments) -> Iterator[str]:
    for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        yield each.arg


@dataclass(slots=True)
class _Watcher:
    terms: Terms
    lines: Sequence[int]
    names: Mapping[str, str]
    calls: list[CallFact] = field(default_factory=list)
    texts: list[TextFact] = field(default_factory=list)
    ports: list[PortFact] = field(default_factory=list)
    environment: list[EnvironmentFact] = field(default_factory=list)

    def look_into(self, body: Iterable[ast.stmt], path: tuple[str, ...]) -> None:
        """Gather the facts of these statements; `path`: the classes around them."""
        for node in body:
            if not self._is_watched(node):
                continue
            if isinstance(node, ast.ClassDef):
                self.look_into(node.body, (*path, node.name))
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                outside = self.names
                # A parameter hides a module of its name, such as `random`.
                hidden = dict.fromkeys(_parameters(node.args), "")
                self.names = {**outside, **hidden, **dict(_imported(node.body))}
                self._look_at(node, (*path, node.name))
                self.names = outside
            else:
                self._look_at(node, path)

    def _is_watched(self, node: ast.stmt) -> bool:
        first = node.lineno
        if isinstance(node, _Scope) and node.decorator_list:
            first = node.decorator_list[0].lineno
        at = bisect_left(self.lines, first)
        return at < len(self.lines) and self.lines[at] <= (node.end_lineno or first)

    def _look_at(self, root: ast.stmt, function: tuple[str, ...]) -> None:
        pending: list[tuple[ast.AST, bool]] = [(root, False)]
        while pending:
            node, in_loop = pending.pop()
            kept = list(ast.iter_child_nodes(node))
            if isinstance(node, ast.Call):
                self._call(node, function, in_loop)
            elif isinstance(node, (ast.Assign, ast.AnnAssign)):
                self._assignment(node, function)
            elif isinstance(node, ast.Delete):
                for target in node.targets:
                    self._item(target, None, function)
            elif isinstance(node, ast.Tuple):
                self._address(node, function)
            elif isinstance(node, ast.Constant):
                self._text(node, function)
            elif isinstance(node, ast.JoinedStr):
                kept = [part for part in kept if not isinstance(part, ast.Constant)]
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                kept = []  # a docstring
            in_loop = in_loop or isinstance(node, _LOOPS)
            pending.extend(
                (child, in_loop)
                for child in reversed(kept)
                if not isinstance(child, ast.stmt) or self._is_watched(child)
            )

    def _call(self, node: ast.Call, function: tuple[str, ...], in_loop: bool) -> None:
        name = self._full_name(node.func)
        if name in _ENVIRONMENT_CALLS:
            self._environment_call(node, name, function)
        if _WATCHED_CALLS.fullmatch(name):
            kwargs = tuple((word.arg or "", self._literal(word.value)) for word in node.keywords)
            args = tuple(self._literal(arg) for arg in node.args)
            self.calls.append(CallFact(name, args, kwargs, function, self._place(node), in_loop))
        for word in node.keywords:
            if word.arg and _PORT_NAME.fullmatch(word.arg):
                self._port(word.value, function)
            elif word.arg == "env" and isinstance(word.value, ast.Dict):
                self._child_environment(word.value, function)

    def _environment_call(self, node: ast.Call, name: str, function: tuple[str, ...]) -> None:
        given: list[tuple[str | None, str | None]] = []
        if name == "os.environ.update":
            for arg in node.args:
                given += self._pairs(arg) if isinstance(arg, ast.Dict) else [(None, None)]
        elif node.args:
            value = self._text_of(node.args[1]) if len(node.args) > 1 else None
            given.append((self._text_of(node.args[0]), value))
        given += [(word.arg, self._text_of(word.value)) for word in node.keywords]
        place = self._place(node)
        for variable, value in given or [(None, None)]:
            self.environment.append(EnvironmentFact(variable, function, place, value=value))

    def _child_environment(self, node: ast.Dict, function: tuple[str, ...]) -> None:
        for key, (variable, value) in zip(node.keys, self._pairs(node), strict=True):
            if key is not None and variable is not None:
                place = self._place(key)
                self.environment.append(EnvironmentFact(variable, function, place, True, value))

    def _pairs(self, node: ast.Dict) -> list[tuple[str | None, str | None]]:
        return [
            (self._text_of(key), self._text_of(value))
            for key, value in zip(node.keys, node.values, strict=True)
        ]

    def _assignment(self, node: ast.Assign | ast.AnnAssign, function: tuple[str, ...]) -> None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            name = target.attr if isinstance(target, ast.Attribute) else None
            name = target.id if isinstance(target, ast.Name) else name
            if name and _PORT_NAME.fullmatch(name) and node.value is not None:
                self._port(node.value, function)
            self._item(target, node.value, function)

    def _item(self, target: ast.expr, value: ast.expr | None, function: tuple[str, ...]) -> None:
        """`os.environ["X"]`, or `env["CUDA_VISIBLE_DEVICES"]` of a copy, set or deleted."""
        if not isinstance(target, ast.Subscript):
            return
        variable = self._text_of(target.slice)
        is_ours = self._full_name(target.value) == "os.environ"
        if is_ours or variable == "CUDA_VISIBLE_DEVICES":
            fact = EnvironmentFact(
                variable, function, self._place(target), not is_ours, self._text_of(value)
            )
            self.environment.append(fact)

    def _address(self, node: ast.Tuple, function: tuple[str, ...]) -> None:
        if len(node.elts) == 2:
            host = self._text_of(node.elts[0])
            if host is not None and _HOST.fullmatch(host):
                self._port(node.elts[1], function)

    def _text(self, node: ast.Constant, function: tuple[str, ...]) -> None:
        if not isinstance(node.value, str):
            return
        if _TMP_FILE.fullmatch(node.value):
            self.texts.append(TextFact(node.value, function, self._place(node)))
        address = _HOST_AND_PORT.fullmatch(node.value)
        if address:
            self.ports.append(PortFact(int(address.group(1)), function, self._place(node)))

    def _port(self, node: ast.expr, function: tuple[str, ...]) -> None:
        if isinstance(node, ast.Constant) and type(node.value) is int and 0 < node.value < 65536:
            self.ports.append(PortFact(node.value, function, self._place(node)))

    def _full_name(self, node: ast.expr) -> str:
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        parts.append(self.names.get(node.id, node.id))
        return ".".join(reversed(parts))

    def _literal(self, node: ast.expr) -> Literal:
        term = self.terms.term(node)
        return term.value if isinstance(term, Value) else UNREAD

    def _text_of(self, node: ast.expr | None) -> str | None:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        return None

    def _place(self, node: ast.expr | ast.stmt) -> Place:
        line, column, end_line, end_column = self.terms.span(node)
        return Place("", line, column, end_line, end_column)
