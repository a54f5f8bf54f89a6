"""Files become values with lines, whatever is in them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.config.hocon_reader import read_hocon
from api.config.nodes import ConfigError, Node
from api.config.yaml_reader import read_yaml


def lines(node: Node) -> dict[str, int]:
    """The line of each part."""
    inner = node.value if isinstance(node.value, dict) else {}
    items = node.value if isinstance(node.value, list) else []
    found = {node.path: node.line}
    for each in [*inner.values(), *items]:
        found |= lines(each)
    return found


# --- YAML and JSON ------------------------------------------------------------------------------


def test_each_value_knows_its_line_and_path() -> None:
    text = "a:\n  b: 1\n  c:\n    - x\n    - d: y\n"
    assert lines(read_yaml(text, "f.yaml")) == {
        "": 1, "a": 1, "a.b": 2, "a.c": 3, "a.c[0]": 4, "a.c[1]": 5, "a.c[1].d": 5
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("-5", -5), ("1.5", 1.5), ("true", True), ("False", False), ("null", None),
        ("~", None), ("''", ""), ("'1'", "1"),
        ("yes", "yes"), ("off", "off"), ("000000000000", "000000000000"), ("0123", "0123"),
        ("1:30", "1:30"), ("2024-01-01", "2024-01-01"), ("1_000", "1_000"), (".inf", ".inf"),
    ],
)  # fmt: skip
def test_plain_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    node = read_yaml(f"a: {text}", "f.yaml")
    assert repr(node.plain()["a"]) == repr(value)


def test_anchors_and_merge_keys_work_and_own_keys_win() -> None:
    text = "x: &d {a: 1, b: 2}\ny: {<<: *d, b: 3}\nz: {<<: [*d, {a: 9, c: 4}]}"
    node = read_yaml(text, "f.yaml")
    assert node.plain()["y"] == {"a": 1, "b": 3}
    assert node.plain()["z"] == {"a": 1, "b": 2, "c": 4}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=20,
)


@given(_JSON, st.sampled_from([None, 2, "\t"]), st.booleans())
def test_json_is_read_as_json(value: Any, indent: Any, escaped: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=escaped or not _printable(value))
    assert read_yaml(text, "f.json").plain() == value


def _printable(value: Any) -> bool:
    return all(each.isprintable() for each in json.dumps(value, ensure_ascii=False))


@pytest.mark.parametrize(
    ("name", "text", "line", "said"),
    [
        ("f.yaml", "a: 1\nb: [1, 2\n", "f.yaml:3:", "expected"),
        ("f.yaml", "a: 1\nb: 2\na: 3\n", "f.yaml:3: a:", "is there twice, first in line 1"),
        ("f.yaml", "a: 1\n? [x]\n: 2\n", "f.yaml:2:", "a key must be a text"),
        ("f.yaml", "a: !!python/object:os.system x", "f.yaml:1: a:", "has no meaning here"),
        ("f.yaml", "a: 1\n---\nb: 2\n", "f.yaml:2:", "expected a single document"),
        ("f.yaml", "a: &x [*x]", "f.yaml:1: a", "nested too deeply"),
        ("f.yaml", "a: {<<: 3}", "f.yaml:1: a:", "<< must be a mapping"),
        ("f.yaml", "a: *nowhere", "f.yaml:1:", "undefined alias"),
        ("f.yaml", "a: \x00", "f.yaml:1:", "not allowed"),
        ("f.json", '{\n"a": 1,\n}', "f.json:3:", "Expecting property name"),
        ("f.json", "[" * 200 + "]" * 200, "f.json:1:", "nested too deeply"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(
    name: str, text: str, line: str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read_yaml(text, name)
    assert caught.value.lines[0].startswith(line)
    assert said in caught.value.lines[0]


def test_aliases_cannot_make_much_of_little() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(ConfigError, match="too much by repeating aliases"):
        read_yaml("\n".join(rows), "f.yaml")


# --- HOCON --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a = 1", {"a": 1}),
        ("a : text of words // comment", {"a": "text of words"}),
        ('a = "1" # comment', {"a": "1"}),
        ('{"a": {"b": [1, 2.5, true, null, "x"]}}', {"a": {"b": [1, 2.5, True, None, "x"]}}),
        ("a { b = 1, c = 2 }", {"a": {"b": 1, "c": 2}}),
        ("a.b.c = 1\na.b.d = 2", {"a": {"b": {"c": 1, "d": 2}}}),
        ('a."b.c".d = 1', {"a": {"b.c": {"d": 1}}}),
        ("a { b = 1 }\na { c = 2 }\na.b = 3", {"a": {"b": 3, "c": 2}}),
        ("a = { b = 1 } { c = 2 }", {"a": {"b": 1, "c": 2}}),
        ("a = 1\na = 2", {"a": 2}),
        ("a += 1\na += 2", {"a": [1, 2]}),
        ("a = [\n  x\n  y, z\n]", {"a": ["x", "y", "z"]}),
        ("a =\n  5 seconds", {"a": "5 seconds"}),
        ('a = """x "y"\nz"""', {"a": 'x "y"\nz'}),
        ('a = ""\nb = "\\u0041\\n"', {"a": "", "b": "A\n"}),
        ('a = one "two" three', {"a": "one two three"}),
        ('include classpath("application.conf")\na = 1', {"a": 1}),
        ('include required(classpath("x"))\na = 1', {"a": 1}),
        ("a = ${?HOME}\nb = 1", {"b": 1}),
        ("a = 1\na = ${?HOME}", {"a": 1}),
        ("accountId = 000000000000", {"accountId": "000000000000"}),
        ("", {}),
    ],
)
def test_hocon_is_read(text: str, value: object) -> None:
    assert read_hocon(text, "f.conf")[0].plain() == value


def test_values_of_hocon_know_their_lines() -> None:
    text = "# first\na {\n  b = 1 // x\n  c = [\n    x\n  ]\n}\nd.e = 2\n"
    assert lines(read_hocon(text, "f.conf")[0]) == {
        "": 2, "a": 2, "a.b": 3, "a.c": 4, "a.c[0]": 5, "d": 8, "d.e": 8
    }  # fmt: skip


@given(_JSON)
def test_json_is_hocon(value: Any) -> None:
    text = json.dumps({"": 0, "a": value}, indent=1)
    assert read_hocon(text, "f.conf")[0].plain()["a"] == value


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 1\nb {\n  c = 2\n", "f.conf:4: the { of b is not closed"),
        ("a = 1\n}", "f.conf:2: expected a key, not '}'"),
        ("a = [1", "f.conf:1: the [ of a is not closed"),
        ("a\nb", "f.conf:2: a: expected = or {, not 'b'"),
        ("a =\n", "f.conf:2: a: expected a value, not the end of the file"),
        ('a = "x\n', "f.conf:1: a quote is not closed"),
        ('a = "\\q"\n', 'f.conf:1: "\\q" has an escape that is none'),
        ("a = 1\nb = ${a}", "f.conf:2: b: substitutions such as ${a} are not read"),
        ('include "other.conf"', 'f.conf:1: other files are not included: "other.conf"'),
        ("a = {} x", "f.conf:1: unexpected 'x' after a value"),
        ("{ a = 1 }\nb = 2", "f.conf:2: unexpected 'b'"),
        ("a = " + "[" * 200, "f.conf:1: nested too deeply"),
        ("a = " + "{b:" * 200, "f.conf:1: nested too deeply"),
    ],
)
def test_what_is_not_read_of_hocon_is_told_with_its_line(text: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_hocon(text, "f.conf")
    assert caught.value.lines == [line]


def test_an_optional_substitution_is_warned_of() -> None:
    _, [warning] = read_hocon("\na.b = ${?HOME}", "f.conf")
    assert warning.text("f.conf") == ("f.conf:2: a.b: ${?HOME} is not read: it counts as not set")


@given(st.text(alphabet='ab={}[]",.\n#/$? "', max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read, name in ((read_hocon, "f.conf"), (read_yaml, "f.yaml")):
        try:
            read(text, name)
        except ConfigError as error:
            assert all(line.startswith(f"{name}:") for line in error.lines)
