"""Who may import whom, what the core may not reach for, and how SQL may be written.

``api -> broker -> storage``, and nothing points back (see ARCHITECTURE.md).  All of it is read
from the sources; nothing is imported.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("api", "broker", "storage")
OURS = {*LAYERS, "tests", "examples"}

Function = ast.FunctionDef | ast.AsyncFunctionDef

#: Time, chance and surroundings are handed to the core; it does not fetch them.
AMBIENT = {"datetime", "os", "random", "secrets", "time", "uuid"}
#: Where they come from, and what a store does with files.
AMBIENT_ALLOWED = {
    ("broker/clock.py", "time"): "the clock of the machine, which everybody else is handed",
    ("broker/ids.py", "os"): "its randomness",
    ("storage/sqlite/database.py", "os"): "files: permissions, locks, fsync",
}

#: what runs the SQL that is its first argument
_RUNS_SQL = {"execute", "_execute", "executemany", "_one"}
#: Statements that are not written where they are run.
SQL_ALLOWED = {
    ("storage/sqlite/database.py", "path.read_text('utf-8')"): "the migrations, files of ours",
}


class Import(NamedTuple):
    """A name that a module imports, and whether only the type checker does."""

    name: str
    line: int


def sources(layer: str) -> list[str]:
    """The modules of a layer, as paths from the root."""
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / layer).rglob("*.py"))


def read(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


def imports(source: str) -> Iterator[Import]:
    """All that a module imports, wherever in it; of ``from a import b`` it is ``a.b``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where they lead"
            for alias in node.names:
                yield Import(f"{node.module}.{alias.name}", node.lineno)


def _within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def forbidden_imports(path: str, source: str) -> list[str]:
    """What a module imports although it is in another layer's private part, or above its own."""
    layer = path.split("/")[0]
    return [
        f"{path}:{line} imports {name}"
        for name, line in imports(source)
        if name.split(".")[0] in OURS and not _is_allowed(layer, name)
    ]


def _is_allowed(layer: str, name: str) -> bool:
    if layer == "storage":
        return _within(name, "storage")
    if layer == "broker":
        return _within(name, "broker", "storage")
    if _within(name, "api"):
        return True
    # what ``broker/__init__.py`` exports, and the errors
    package, _, rest = name.partition(".")
    is_export = rest in exports_of_the_broker()
    is_error = _within(rest, "errors", "topic_errors")
    return package == "broker" and (is_export or is_error or rest == "")


def exports_of_the_broker() -> set[str]:
    """The names in ``broker.__all__``, and the modules of errors."""
    for node in ast.parse(read("broker/__init__.py")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return {*ast.literal_eval(node.value), "errors", "topic_errors"}
    raise AssertionError("broker/__init__.py says nothing of what it exports")


def ambient_imports(path: str, source: str) -> list[tuple[str, str]]:
    """What a module takes from its surroundings."""
    tops = {name.split(".")[0] for name, _ in imports(source)}
    return [(path, top) for top in sorted(tops & AMBIENT)]


# --- SQL ----------------------------------------------------------------------------------------


class _Texts:
    """Which expressions of a module can only be text that stands in the sources."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self._constants: dict[str, ast.expr] = {}
        self._imported: set[str] = set()
        self._asked: set[tuple[str, ast.AST | None]] = set()
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self._constants[node.targets[0].id] = node.value
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                if node.value is not None:
                    self._constants[node.target.id] = node.value
            elif isinstance(node, ast.ImportFrom):
                self._imported |= {alias.name for alias in node.names if alias.name.isupper()}

    def are_fixed(self, node: ast.expr, function: Function | None) -> bool:
        """Whether an expression, within a function, is one of fixed texts."""
        if isinstance(node, ast.Constant):
            return isinstance(node.value, str)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self.are_fixed(node.left, function) and self.are_fixed(node.right, function)
        if isinstance(node, ast.IfExp):
            return self.are_fixed(node.body, function) and self.are_fixed(node.orelse, function)
        if isinstance(node, ast.Tuple | ast.List):
            return all(self.are_fixed(each, function) for each in node.elts)
        if isinstance(node, ast.Name):
            return self._is_fixed_name(node.id, function)
        return False

    def _is_fixed_name(self, name: str, function: Function | None) -> bool:
        if (name, function) in self._asked:
            return True  # bound to something made of itself: the rest of it decides
        self._asked.add((name, function))
        try:
            bound = list(self._bound(name, function)) if function is not None else []
            if bound:
                return all(each is not None and self.are_fixed(*each) for each in bound)
            if name in self._constants:
                return self.are_fixed(self._constants[name], None)
            return name in self._imported
        finally:
            self._asked.remove((name, function))

    def _bound(
        self, name: str, function: Function
    ) -> Iterator[tuple[ast.expr, Function | None] | None]:
        """What a name is bound to in a function, and where; None where that cannot be read."""
        for node in ast.walk(function):
            if isinstance(node, ast.Assign):
                targets, value = node.targets, node.value
            elif isinstance(node, ast.AugAssign | ast.NamedExpr):
                targets, value = [node.target], node.value
            elif isinstance(node, ast.For | ast.comprehension):
                targets, value = [node.target], node.iter
            elif isinstance(node, ast.arg) and node.arg == name:
                yield from self._given(name, function)
                continue
            else:
                continue
            for target in targets:
                if any(isinstance(each, ast.Name) and each.id == name for each in ast.walk(target)):
                    yield value, function

    def _given(
        self, name: str, function: Function
    ) -> Iterator[tuple[ast.expr, Function | None] | None]:
        """What the calls in this module give to a parameter; ``_RUNS_SQL`` is checked anyway."""
        if function.name in _RUNS_SQL:
            yield ast.Constant(""), None
            return
        parameters = [each.arg for each in function.args.args if each.arg != "self"]
        calls = [
            (call, inside) for call, inside in _calls(self._tree) if _called(call) == function.name
        ]
        if name not in parameters or not calls:
            yield None
            return
        at = parameters.index(name)
        for call, inside in calls:
            yield (call.args[at], inside) if at < len(call.args) else None


def composed_sql(path: str, source: str) -> list[str]:
    """Statements run by a module that are not texts of the sources throughout."""
    tree = ast.parse(source)
    texts = _Texts(tree)
    found = []
    for call, function in _calls(tree):
        if _called(call) not in _RUNS_SQL or not call.args:
            continue
        statement = call.args[0]
        if (path, ast.unparse(statement)) in SQL_ALLOWED:
            continue
        if not texts.are_fixed(statement, function):
            found.append(f"{path}:{call.lineno} {ast.unparse(statement)}")
    return found


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)


def _calls(
    node: ast.AST, function: Function | None = None
) -> Iterator[tuple[ast.Call, Function | None]]:
    """Each call with the outermost function that it is in."""
    for child in ast.iter_child_nodes(node):
        inside = function
        if inside is None and isinstance(child, Function):
            inside = child
        if isinstance(child, ast.Call):
            yield child, inside
        yield from _calls(child, inside)


# --- the promises -------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", LAYERS)
def test_no_module_imports_what_its_layer_may_not_know(layer: str) -> None:
    assert sources(layer)
    assert [each for path in sources(layer) for each in forbidden_imports(path, read(path))] == []


def test_below_the_api_nothing_takes_time_chance_or_surroundings_for_itself() -> None:
    """And every exception that is listed is one."""
    found = [
        each
        for layer in ("broker", "storage")
        for path in sources(layer)
        for each in ambient_imports(path, read(path))
    ]
    assert set(found) == AMBIENT_ALLOWED.keys()


def test_every_sql_statement_stands_in_the_sources() -> None:
    """Values are bound, never written into a statement."""
    paths = sources("storage")
    assert [each for path in paths for each in composed_sql(path, read(path))] == []


def test_every_exception_for_sql_is_still_needed() -> None:
    for path, statement in SQL_ALLOWED:
        assert statement.replace("'", '"') in read(path)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("storage/memory.py", "from broker import limits"),
        ("storage/memory.py", "def f():\n    import api.names"),
        ("broker/queues.py", "from api.errors import WireError"),
        ("broker/queues.py", "import tests.support.clock"),
        ("api/app.py", "from broker.queues import Queues"),
        ("api/app.py", "from broker import queues"),
        ("api/app.py", "import broker.queues"),
        ("api/app.py", "from storage import open_storage"),
        ("api/app.py", "from tests.support import clock"),
    ],
)
def test_an_import_in_the_wrong_direction_is_found(path: str, source: str) -> None:
    assert len(forbidden_imports(path, source)) == 1


def test_imports_in_the_right_direction_are_fine() -> None:
    source = "from broker import Broker, errors\nimport broker.errors\nfrom api.names import x"
    assert forbidden_imports("api/app.py", source) == []
    assert forbidden_imports("broker/queues.py", "from storage.records import QueueKey") == []


@pytest.mark.parametrize(
    "source",
    ["import time", "from os import environ", "def f():\n    import datetime", "import os.path"],
)
def test_a_look_at_the_surroundings_is_found(source: str) -> None:
    assert len(ambient_imports("broker/queues.py", source)) == 1


@pytest.mark.parametrize(
    "statement",
    [
        'f"SELECT {x}"',
        '"SELECT %s" % x',
        '"SELECT {}".format(x)',
        '"SELECT " + x',
        '"".join(["SELECT ", x])',
        "x",
        "self.statement",
        '"SELECT 1" if x else x',
    ],
)
def test_a_composed_statement_is_found(statement: str) -> None:
    source = f"def f(self, x):\n    self._execute({statement}, ())"
    assert len(composed_sql("storage/sqlite/store.py", source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        'def f(x):\n    s = f"SELECT {x}"\n    run.execute(s)',
        'def f(x):\n    s = "SELECT "\n    s += x\n    run.execute(s)',
        'S = "SELECT {}"\ndef f(x):\n    run.execute(S.format(x))',
        "def f(x):\n    for s in x:\n        run.execute(s)",
        'def f(s):\n    run.execute("SELECT " + s)\ndef g(x):\n    f(x)',
        "def f(s):\n    run.execute(s)",
        'S = f"SELECT {1}"\ndef f():\n    run.execute(S)',
    ],
)
def test_a_composed_statement_is_found_behind_a_name(source: str) -> None:
    assert len(composed_sql("storage/sqlite/store.py", source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        'def f(x):\n    run.execute("SELECT ?", (x,))',
        'def f(s):\n    run.execute("SELECT 1" + s)\ndef g():\n    f(" LIMIT 1")',
        "def _one(self, s):\n    self._execute(s)",
        'S = "SELECT ?"\ndef f(x):\n    run.execute(S, (x,))',
        "from a import S\ndef f(x):\n    run.execute(S, (x,))",
        'S = ("SELECT 1", "SELECT 2")\ndef f():\n    for s in S:\n        run.execute(s)',
        'S = [("SELECT 1", "SELECT 2")]\ndef f():\n    for s, t in S:\n        run.execute(t)',
        'def f(x):\n    run.execute("SELECT 1" if x else "SELECT 2")',
        'def f(x):\n    run.execute("SELECT " "1" + " WHERE x = ?", (x,))',
    ],
)
def test_statements_that_stand_in_the_sources_are_fine(source: str) -> None:
    assert composed_sql("storage/sqlite/store.py", source) == []
