"""Which messages pass a filter policy (SNS reference, 7.5), and what is said of those that do not.

The tables are the reference's cases.  Random policies and messages are held against a second,
slow matcher, written from the reference alone.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from broker.filter_matching import (
    MESSAGE_ATTRIBUTES,
    MESSAGE_BODY,
    Clause,
    FilterIndex,
    FilterPolicy,
    MessageFacts,
)
from broker.filter_policies import FilterPolicyError, parse_filter_policy
from storage.records import MessageAttribute

Attributes = Mapping[str, MessageAttribute]


def parsed(policy: Any, scope: str) -> FilterPolicy:
    found = parse_filter_policy(json.dumps(policy), scope)
    assert found is not None
    return found


def string(value: str) -> MessageAttribute:
    return MessageAttribute("String", value)


def num(value: str) -> MessageAttribute:
    return MessageAttribute("Number", value)


def array(value: str) -> MessageAttribute:
    return MessageAttribute("String.Array", value)


BINARY = MessageAttribute("Binary", b"value")


def passes_attributes(policy: Any, attributes: Attributes | None) -> bool:
    return parsed(policy, MESSAGE_ATTRIBUTES).matches(MessageFacts(attributes, ""))


def passes_body(policy: Any, body: Any) -> bool:
    text = body if isinstance(body, str) else json.dumps(body)
    return parsed(policy, MESSAGE_BODY).matches(MessageFacts(None, text))


# --- rules, in both scopes ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "fitting", "others"),
    [
        (["a"], ["a"], ["A", "", "ab", 1]),
        ([""], [""], ["a"]),
        (["a", "b"], ["a", "b"], ["c"]),
        (["1"], ["1"], [1]),
        ([1], [1, 1.0], ["1", 2]),
        ([301.5], [301.5, 3.015e2], [301.51, "301.5"]),
        ([{"prefix": "ab"}], ["ab", "abc"], ["a", "AB", "cab", 1]),
        ([{"prefix": ""}], ["", "a"], [1]),
        ([{"suffix": "ab"}], ["ab", "cab"], ["b", "AB", "abc", 1]),
        ([{"equals-ignore-case": "aB"}], ["ab", "AB", "aB"], ["abc", "b", 1]),
        ([{"equals-ignore-case": "ὈΔΟΣ"}], ["ὀδος", "ὀδοσ"], ["ὀδο"]),
        ([{"wildcard": "*"}], ["", "a", "ab"], [1]),
        ([{"wildcard": "a*"}], ["a", "ab"], ["ba", "A"]),
        ([{"wildcard": "*a"}], ["a", "ba"], ["ab"]),
        ([{"wildcard": "a*a"}], ["aa", "aba", "abaca"], ["a", "ab", "aab"]),
        ([{"wildcard": "*ab*ab*"}], ["abab", "xabyabz"], ["ab", "aba", "aabb"]),
        ([{"wildcard": "a*b*c"}], ["abc", "a-b-bc"], ["ac", "abb", "acb"]),
        ([{"wildcard": "ab"}], ["ab"], ["aab", "abb"]),
        ([{"wildcard": "a\\*b"}], ["a*b"], ["axb", "a\\*b"]),
        ([{"wildcard": "a\\\\*"}], ["a\\", "a\\b"], ["a", "a*"]),
        ([{"wildcard": "a.c*"}], ["a.c"], ["abc"]),
        ([{"anything-but": "a"}], ["b", "", 1], ["a"]),
        ([{"anything-but": ["a", "b"]}], ["c", "A"], ["a", "b"]),
        ([{"anything-but": 1}], [2, "1"], [1, 1.0]),
        ([{"anything-but": [1, 2.5]}], [2, 3], [1, 2.5]),
        ([{"anything-but": {"prefix": "ab"}}], ["a", "cab"], ["ab", "abc"]),
        ([{"anything-but": {"prefix": ["a", "b"]}}], ["c", ""], ["a", "bc"]),
        ([{"anything-but": {"wildcard": "a*b"}}], ["a", "cab"], ["ab", "acb"]),
        ([{"anything-but": {"wildcard": ["a*", "*b"]}}], ["ca", ""], ["a", "cb"]),
        ([{"anything-but": "a"}, {"anything-but": "b"}], ["a", "b", "c"], []),
        ([{"anything-but": "a"}, "a"], ["a", "b"], []),
        ([{"numeric": ["=", 5]}], [5, 5.0], [5.1, "5"]),
        ([{"numeric": ["<", 5]}], [4.9, -5], [5, 6, "4"]),
        ([{"numeric": ["<=", 5]}], [5], [5.1]),
        ([{"numeric": [">", 5]}], [5.1, 1e300], [5, "6"]),
        ([{"numeric": [">=", 5]}], [5], [4.9]),
        ([{"numeric": [">", 1, "<", 2]}], [1.5], [1, 2, 0, 3, "1.5"]),
        ([{"numeric": [">=", 1, "<=", 2]}], [1, 1.5, 2], [0.9, 2.1]),
        ([{"numeric": ["<", 1]}, {"numeric": [">", 2]}], [0, 3], [1, 2]),
        ([{"cidr": "10.0.0.0/24"}], ["10.0.0.0", "10.0.0.255"], ["10.0.1.0", "10.0.0.256", "10"]),
        ([{"cidr": "10.0.0.77/24"}], ["10.0.0.1"], ["10.1.0.1", "::a00:1", ""]),
        ([{"cidr": "10.0.0.7/32"}], ["10.0.0.7"], ["10.0.0.6"]),
        ([{"cidr": "0.0.0.0/0"}], ["1.2.3.4"], ["::1", "a", 1, "1.2.3.4/32"]),
        (
            [{"cidr": "2001:db8::/32"}],
            ["2001:db8::1", "2001:0db8:0000:0000:0000:0000:0000:0001"],
            ["2001:db9::1", "10.0.0.1", "2001:db8::1%eth0"],
        ),
        ([{"exists": True}], ["", "a", 0], []),
        ([{"exists": False}], [], ["", "a", 0]),
        ([{"exists": False}, "a"], ["a"], ["b"]),
        (["a", {"prefix": "b"}, {"numeric": [">", 5]}], ["a", "bc", 6], ["c", 5]),
    ],
)
def test_a_rule_fits_some_values_and_not_others(
    rules: list[Any], fitting: list[Any], others: list[Any]
) -> None:
    for value, fits in [*((each, True) for each in fitting), *((each, False) for each in others)]:
        attribute = string(value) if isinstance(value, str) else num(json.dumps(value))
        assert passes_attributes({"key": rules}, {"key": attribute}) == fits, value
        assert passes_body({"key": rules}, {"key": value}) == fits, value


ABSENCE = [
    (["a"], False),
    ([None], False),
    ([None, {"anything-but": "x"}], False),
    ([{"anything-but": "a"}], False),
    ([{"anything-but": {"prefix": "a"}}], False),
    ([{"exists": True}], False),
    ([{"exists": False}], True),
    ([{"anything-but": "a"}, {"exists": False}], True),
    ([{"exists": True}, {"exists": False}], True),
]


@pytest.mark.parametrize(("rules", "passes"), ABSENCE)
def test_an_absent_key_passes_only_if_it_may_be_absent(rules: list[Any], passes: bool) -> None:
    assert passes_attributes({"key": rules}, {"other": string("a")}) == passes
    assert passes_attributes({"key": rules}, None) == passes
    assert passes_body({"key": rules}, {"other": "a"}) == passes
    assert passes_body({"above": {"key": rules}}, {"other": "a"}) == passes


@pytest.mark.parametrize(
    ("attributes", "passes"),
    [
        ({"a": "1", "b": "1"}, True),
        ({"a": "1", "b": "2"}, False),
        ({"a": "1"}, False),
        ({"a": "1", "b": "1", "c": "1"}, True),
    ],
)
def test_all_keys_have_to_fit(attributes: dict[str, str], passes: bool) -> None:
    policy = {"a": ["1"], "b": ["1"]}
    named = {name: string(value) for name, value in attributes.items()}
    assert passes_attributes(policy, named) == passes
    assert passes_body(policy, attributes) == passes


OR_POLICY = {
    "source": ["s"],
    "$or": [
        {"metric": ["m"]},
        {"kind": ["k"], "$or": [{"id": ["1"]}, {"space": ["1"]}]},
    ],
}


@pytest.mark.parametrize(
    ("attributes", "passes"),
    [
        ({"source": "s", "metric": "m"}, True),
        ({"source": "s", "kind": "k", "id": "1"}, True),
        ({"source": "s", "kind": "k", "space": "1"}, True),
        ({"source": "s", "kind": "k"}, False),
        ({"source": "s", "id": "1"}, False),
        ({"source": "s"}, False),
        ({"metric": "m"}, False),
        ({"source": "t", "metric": "m"}, False),
    ],
)
def test_one_of_the_alternatives_has_to_fit(attributes: dict[str, str], passes: bool) -> None:
    named = {name: string(value) for name, value in attributes.items()}
    assert passes_attributes(OR_POLICY, named) == passes
    assert passes_body(OR_POLICY, attributes) == passes


# --- attributes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "attribute", "passes"),
    [
        ([301.5], num("3.015e2"), True),
        ([301.5], num("301.50"), True),
        ([5], num("+5"), True),
        ([0.5], num(".5"), True),
        (["5"], num("5"), False),
        ([5], string("5"), False),
        ([{"numeric": [">", 1]}], string("5"), False),
        ([{"prefix": "5"}], num("5"), False),
        ([5], MessageAttribute("Number.int", "5"), True),
        (["a"], MessageAttribute("String.name", "a"), True),
        ([9007199254740993], num("9007199254740992"), False),
        # what Python would take for a number
        ([{"anything-but": 1}], num("NaN"), False),
        ([10], num("1_0"), False),
        ([{"exists": True}], num("NaN"), True),
        # Binary
        (["value"], BINARY, False),
        ([{"anything-but": "a"}], BINARY, False),
        ([{"exists": True}], BINARY, True),
        ([{"exists": False}], BINARY, False),
        # String.Array
        (["value1"], array('["value1","value2"]'), True),
        (["value1"], array('["value2","value3"]'), False),
        (["value1", "value3"], array('["value2","value3"]'), True),
        ([{"prefix": "v"}], array('["a","value"]'), True),
        ([5], array('["5",5]'), True),
        ([5], array('["5"]'), False),
        ([{"numeric": ["<", 5]}], array("[6,4]"), True),
        ([True], array("[true]"), True),
        ([1], array("[true]"), False),
        ([False], array("[0,null]"), False),
        ([None], array("[null]"), True),
        ([None], array("[false]"), False),
        ([{"anything-but": "a"}], array('["b","c"]'), True),
        ([{"anything-but": "a"}], array('["a","b"]'), False),
        ([{"anything-but": ["a", "b"]}], array('["b","c"]'), False),
        ([{"anything-but": {"prefix": "a"}}], array('["ab","b"]'), False),
        ([{"anything-but": {"prefix": "a"}}], array('["cb","b"]'), True),
        ([{"anything-but": "a"}, {"anything-but": "b"}], array('["a","c"]'), True),
        ([{"anything-but": "a"}, "a"], array('["a","b"]'), True),
        ([{"exists": True}], array("[]"), True),
        ([{"exists": False}], array("[]"), False),
        ([{"anything-but": "a"}], array("[]"), False),
        (["a"], array("a"), False),
        (["a"], array('"a"'), False),
        (["a"], array('["a"'), False),
        (["a"], array('{"a":"a"}'), False),
        (["a"], array('[["a"],{"a":"a"}]'), False),
        ([{"anything-but": "b"}], array("a"), False),
        ([{"exists": True}], array("not an array"), True),
        (['["a"]'], string('["a"]'), True),
    ],
)
def test_an_attribute_is_compared_by_its_type(
    rules: list[Any], attribute: MessageAttribute, passes: bool
) -> None:
    assert passes_attributes({"key": rules}, {"key": attribute}) == passes


def test_a_dot_in_the_name_of_an_attribute_is_a_character_like_others() -> None:
    assert passes_attributes({"a.b": ["v"]}, {"a.b": string("v")})
    assert not passes_attributes({"a.b": ["v"]}, {"a": string('{"b":"v"}')})


# --- bodies -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    ["text", "", '"a"', "1", "null", '["a"]', '[{"key":"a"}]', "{", '{"key":NaN}', '{"key":"a"} x'],
)
def test_a_body_that_is_no_json_object_never_passes(body: str) -> None:
    for rules in (["a"], [{"exists": True}], [{"exists": False}], [{"anything-but": "b"}]):
        assert not passes_body({"key": rules}, body)


@pytest.mark.parametrize(
    ("policy", "body", "passes"),
    [
        # a path may be split among keys in every way
        ({"object.nested": ["v"]}, {"object": {"nested": "v"}}, True),
        ({"object.nested": ["v"]}, {"object.nested": "v"}, True),
        ({"object": {"nested": ["v"]}}, {"object": {"nested": "v"}}, True),
        ({"object": {"nested": ["v"]}}, {"object.nested": "v"}, True),
        ({"object": {"nested.test": ["v"]}}, {"object.nested": {"test": "v"}}, True),
        ({"object.nested": {"test": ["v"]}}, {"object": {"nested.test": "v"}}, True),
        ({"object.nested.test": ["v"]}, {"object": {"nested": {"test": "v"}}}, True),
        ({"a.b": ["v"]}, {"a": {"b": "x"}, "a.b": "v"}, True),
        ({"object": {"nested": ["v"]}}, {"nested": "v"}, False),
        ({"object": {"nested": ["v"]}}, {"object": {"x": {"nested": "v"}}}, False),
        ({"nested": ["v"]}, {"object": {"nested": "v"}}, False),
        ({"ab.c": ["v"]}, {"a": {"b.c": "v"}}, False),
        ({"": ["v"]}, {"": "v"}, True),
        ({"a.": ["v"]}, {"a": {"": "v"}}, True),
        ({"a": ["v"]}, {"a": {"": "v"}}, False),
        ({".": ["v"]}, {"": {"": "v"}}, True),
        ({".": ["v"]}, {"": "v"}, False),
        # arrays are transparent
        ({"a": ["v"]}, {"a": ["x", "v"]}, True),
        ({"a": ["v"]}, {"a": ["x"]}, False),
        ({"a": ["v"]}, {"a": [["x"], [["v"]]]}, True),
        ({"a": {"b": ["v"]}}, {"a": [{"b": "x"}, {"b": "v"}]}, True),
        ({"a": {"b": ["v"]}}, {"a": [[{"b": "v"}]]}, True),
        ({"a": {"b": ["v"]}}, {"a": ["v", {"c": "v"}]}, False),
        ({"a": {"b": ["v"], "c": ["v"]}}, {"a": [{"b": "v"}, {"c": "v"}]}, True),
        ({"a": [{"anything-but": "v"}]}, {"a": ["v", "x"]}, True),
        ({"a": [{"anything-but": "v"}]}, {"a": ["v", "v"]}, False),
        # emptiness
        ({"a": [{"exists": True}]}, {"a": []}, False),
        ({"a": [{"exists": False}]}, {"a": []}, True),
        ({"a": [{"exists": False}]}, {"a": [[]]}, True),
        ({"a": [{"exists": False}]}, {"a": {}}, True),
        ({"a": [{"exists": True}]}, {"a": [[], "x"]}, True),
        ({"a": [{"anything-but": "v"}]}, {"a": []}, False),
        ({"a": ["v"]}, {"a": "v", "b": [], "c": None, "d": {}}, True),
        ({"a": [""]}, {"a": ""}, True),
        # only leaves are there
        ({"a": [{"exists": True}]}, {"a": {"b": "v"}}, False),
        ({"a": [{"exists": False}]}, {"a": {"b": "v"}}, True),
        ({"a": {"b": [{"exists": True}]}}, {"a": "v"}, False),
        ({"a": {"b": [{"exists": False}]}, "c": [{"exists": False}]}, {"d": "v"}, True),
        ({"a": {"b": [{"exists": False}]}, "c": [{"exists": False}]}, {"c": "v"}, False),
        # types are strict
        ({"a": [True]}, {"a": True}, True),
        ({"a": [True]}, {"a": 1}, False),
        ({"a": [True]}, {"a": "true"}, False),
        ({"a": [1]}, {"a": True}, False),
        ({"a": [0]}, {"a": False}, False),
        ({"a": [None]}, {"a": None}, True),
        ({"a": [None]}, {"a": "null"}, False),
        ({"a": [None]}, {"a": 0}, False),
        ({"a": [{"exists": True}]}, {"a": None}, True),
        ({"a": [{"exists": False}]}, {"a": None}, False),
        ({"a": [{"anything-but": "v"}]}, {"a": None}, True),
        ({"a": [0.1]}, '{"a":1e-1}', True),
        ({"a": [0]}, '{"a":-0.0}', True),
        ({"a": [9007199254740993]}, '{"a":9007199254740992}', False),
        ({"a": ["v"]}, '{"a":"x","a":"v"}', True),
        ({"a": ["ä"]}, '{"a":"\\u00e4"}', True),
        # $or below a key
        ({"a": {"$or": [{"b": ["v"]}, {"c": ["v"]}]}}, {"a": {"c": "v"}}, True),
        ({"a": {"$or": [{"b": ["v"]}, {"c": ["v"]}]}}, {"c": "v"}, False),
        ({"$or": ["v", "w"]}, {"$or": "w"}, True),
    ],
)
def test_a_body_is_compared_path_by_path(policy: Any, body: Any, passes: bool) -> None:
    assert passes_body(policy, body) == passes


def test_long_paths_are_found_like_short_ones() -> None:
    long = "x" * 300
    policy = {f"{long}.b.c": ["v"]}
    assert passes_body(policy, {f"{long}.b": [{"c": "v"}]})
    assert passes_body(policy, {long: {"b.c": "v"}})
    assert not passes_body(policy, {f"{long}.b": {"cc": "v"}})
    assert not passes_body(policy, {f"{long}.b.": {"c": "v"}})
    assert not passes_body(policy, {long: "v", f"{long}.": "v", f"{long}.b.cc": "v"})
    assert not passes_body(policy, {f"{long}.": {".c": "v"}})


# --- what nobody should send --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "text", "passes"),
    [
        ("*a*a*a*b", "a" * 262_144, False),
        ("*" + "a*" * 50_000 + "b", "a" * 262_144, False),
        ("*" + "a" * 100 + "b*", "a" * 262_144, False),
        ("*" + "a*" * 50_000 + "b*", "a" * 200_000 + "b", True),
    ],
)
def test_wildcards_take_linear_time(pattern: str, text: str, passes: bool) -> None:
    policy = parsed({"key": [{"wildcard": pattern}]}, MESSAGE_ATTRIBUTES)
    facts = MessageFacts({"key": string(text)}, "")
    began = time.process_time()
    assert policy.matches(facts) == passes
    assert time.process_time() - began < 0.05


def test_vast_numbers_are_values_but_fit_no_range() -> None:
    for digits in ("1e999999999999999999999", "9" * 5_000):
        body = f'{{"a":{digits}}}'
        assert not passes_body({"a": [{"numeric": [">", 1]}]}, body)
        assert not passes_body({"a": [digits]}, body)
        assert passes_body({"a": [{"exists": True}]}, body)
        assert passes_body({"a": [{"anything-but": 1}]}, body)
        same = parse_filter_policy(f'{{"a":[{digits}]}}', MESSAGE_BODY)
        assert same is not None
        assert same.matches(MessageFacts(None, body))


def test_a_bottomless_body_does_not_pass() -> None:
    for body in ("[" * 100_000, '{"a":' * 50_000, '{"a":' + "[" * 50_000 + "]" * 50_000 + "}"):
        assert not passes_body({"a": [{"exists": False}]}, body)


def test_a_deep_body_is_searched() -> None:
    path = ".".join("a" * 400)
    assert passes_body({path: ["v"]}, '{"a":' * 400 + '"v"' + "}" * 400)
    assert passes_body({"a": ["v"]}, '{"a":' + "[" * 800 + '"v"' + "]" * 800 + "}")


# --- many policies ------------------------------------------------------------------------------


def test_items_are_found_in_the_order_in_which_they_were_given() -> None:
    policies: list[Any] = [
        ("prefix", {"a": [{"prefix": "v"}]}, MESSAGE_ATTRIBUTES),
        ("exact", {"a": ["v"]}, MESSAGE_ATTRIBUTES),
        ("body", {"b": ["w"]}, MESSAGE_BODY),
        ("other", {"a": ["w"]}, MESSAGE_ATTRIBUTES),
        ("absent", {"b": [{"exists": False}]}, MESSAGE_ATTRIBUTES),
        ("either", {"$or": [{"a": ["v"]}, {"a": ["v", "w"]}]}, MESSAGE_ATTRIBUTES),
    ]
    entries: list[tuple[str, FilterPolicy | None]] = [("first", None)]
    entries += [(name, parsed(policy, scope)) for name, policy, scope in policies]
    entries.append(("last", None))
    index = FilterIndex(entries)
    facts = MessageFacts({"a": string("v")}, '{"b":"w"}')
    assert index.matching(facts) == ["first", "prefix", "exact", "body", "absent", "either", "last"]
    assert index.matching(MessageFacts(None, "text")) == ["first", "absent", "last"]


def test_a_policy_is_found_by_an_alternative_that_lists_no_values() -> None:
    policy = parsed({"$or": [{"a": ["v"]}, {"a": [{"prefix": "w"}]}]}, MESSAGE_ATTRIBUTES)
    index = FilterIndex([(1, policy)])
    assert index.matching(MessageFacts({"a": string("wx")}, "")) == [1]
    assert index.matching(MessageFacts({"a": string("v")}, "")) == [1]
    assert index.matching(MessageFacts({"a": string("x")}, "")) == []


def test_without_policies_everything_is_found() -> None:
    index: FilterIndex[int] = FilterIndex([(1, None), (2, None)])
    found = index.matching(MessageFacts(None, ""))
    assert found == [1, 2]
    found.clear()
    assert index.matching(MessageFacts(None, "")) == [1, 2]
    assert FilterIndex[int]([]).matching(MessageFacts(None, "")) == []


@pytest.mark.parametrize("scope", [MESSAGE_ATTRIBUTES, MESSAGE_BODY])
def test_a_policy_that_needs_another_value_is_not_tried(
    scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither if the policies share a value of another key."""
    tried: list[Any] = []
    policies = [
        parsed({"shared": ["v"], "tenant": [f"t{n}"], "other": [{"prefix": "x"}]}, scope)
        for n in range(100)
    ]
    original = Clause.holds

    def counted(clause: Clause, values: Any) -> bool:
        tried.append(clause)
        return original(clause, values)

    monkeypatch.setattr(Clause, "holds", counted)
    index = FilterIndex(list(enumerate(policies)))
    values = {"shared": "v", "tenant": "t7", "other": "xyz"}
    facts = MessageFacts({key: string(each) for key, each in values.items()}, json.dumps(values))
    assert index.matching(facts) == [7]
    assert len(tried) == 1


# --- explanations -------------------------------------------------------------------------------


def test_a_match_is_explained_in_a_word() -> None:
    explained = parsed({"a": ["v"]}, MESSAGE_BODY).explain(MessageFacts(None, '{"a":"v"}'))
    assert explained.document() == {
        "matches": True,
        "reason": "The message matches the filter policy.",
        "failures": [],
    }


def test_each_key_that_failed_is_explained() -> None:
    policy = parsed(
        {
            "fits": ["v"],
            "absent": ["v", {"prefix": "w"}, {"numeric": [">", 1.5]}, None],
            "differs": ["v"],
            "count": ["5"],
            "gone": [{"exists": False}],
        },
        MESSAGE_ATTRIBUTES,
    )
    attributes = {
        "fits": string("v"),
        "differs": array('["x",1,2.5,true,null]'),
        "count": num("5"),
        "gone": string("here"),
    }
    explained = policy.explain(MessageFacts(attributes, ""))
    assert not explained.matches
    document = explained.document()
    assert json.loads(json.dumps(document)) == document
    assert document["failures"] == [
        {
            "key": "absent",
            "rules": ["v", {"prefix": "w"}, {"numeric": [">", 1.5]}, None],
            "found": "absent",
            "reason": "The key is absent.",
        },
        {
            "key": "differs",
            "rules": ["v"],
            "found": ["x", 1, 2.5, True, None],
            "reason": "No rule fits.",
        },
        {
            "key": "count",
            "rules": ["5"],
            "found": [5],
            "reason": "No rule fits: a number and a string of its digits are different values.",
        },
        {
            "key": "gone",
            "rules": [{"exists": False}],
            "found": ["here"],
            "reason": "The key is present.",
        },
    ]


@pytest.mark.parametrize(
    ("attribute", "reason"),
    [
        (BINARY, "Binary attributes match by exists only."),
        (array("x"), "The value of a String.Array is not a JSON array."),
        (array("[]"), "The array has no values."),
        (num("x"), "The value is not a number."),
    ],
)
def test_a_value_that_cannot_be_compared_is_explained(
    attribute: MessageAttribute, reason: str
) -> None:
    policy = parsed({"key": ["v"]}, MESSAGE_ATTRIBUTES)
    [failure] = policy.explain(MessageFacts({"key": attribute}, "")).document()["failures"]
    assert failure == {"key": "key", "rules": ["v"], "found": [], "reason": reason}


def test_each_alternative_that_failed_is_explained() -> None:
    policy = parsed({"$or": [{"a": ["1"]}, {"b": {"c": ["2"]}}]}, MESSAGE_BODY)
    assert policy.explain(MessageFacts(None, '{"b":{"c":2}}')).document()["failures"] == [
        {
            "$or": [
                [
                    {
                        "key": "a",
                        "rules": ["1"],
                        "found": "absent",
                        "reason": "The key is absent.",
                    }
                ],
                [
                    {
                        "key": "b.c",
                        "rules": ["2"],
                        "found": [2],
                        "reason": "No rule fits: a number and a string of its digits are"
                        " different values.",
                    }
                ],
            ],
            "reason": "None of the 2 alternatives matches.",
        }
    ]


def test_a_body_that_is_no_json_object_is_explained() -> None:
    explained = parsed({"a": ["v"]}, MESSAGE_BODY).explain(MessageFacts(None, "text"))
    assert explained.document() == {
        "matches": False,
        "reason": "The message body is not a JSON object.",
        "failures": [],
    }


def test_an_explanation_of_large_values_is_short_json() -> None:
    body = '{"a":["%s",%s]}' % ("x" * 100_000, ",".join(["1e400"] * 50_000))  # noqa: UP031
    document = parsed({"a": ["v"]}, MESSAGE_BODY).explain(MessageFacts(None, body)).document()
    assert len(json.dumps(document, allow_nan=False)) < 1_000


# --- held against a second matcher --------------------------------------------------------------


def slow_match(policy: dict[str, Any], scope: str, attributes: Attributes, body: str) -> bool:
    """Section 7.5, word by word; policies are the JSON as written."""
    if scope == MESSAGE_ATTRIBUTES:
        found = {name: _attribute_values(each) for name, each in attributes.items()}
    else:
        document = json.loads(body)
        if not isinstance(document, dict):
            return False
        found = {}
        for path, value in _leaves(document, None):
            found.setdefault(path, ([], False))[0].append(value)
    return _slow_policy(policy, "", found)


def _attribute_values(attribute: MessageAttribute) -> tuple[list[Any], bool]:
    if attribute.data_type == "Binary":
        return [], False
    if attribute.data_type == "Number":
        return [json.loads(attribute.value)], False
    if attribute.data_type == "String.Array":
        try:
            elements = json.loads(attribute.value)
        except ValueError:
            return [], True
        return list(elements), True
    return [attribute.value], False


def _leaves(value: Any, path: str | None) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _leaves(below, key if path is None else f"{path}.{key}")
    elif isinstance(value, list):
        for below in value:
            yield from _leaves(below, path)
    else:
        assert path is not None
        yield path, value


def _slow_policy(
    policy: dict[str, Any], above: str, found: Mapping[str, tuple[list[Any], bool]]
) -> bool:
    for key, value in policy.items():
        if key == "$or":
            holds = any(_slow_policy(each, above, found) for each in value)
        elif isinstance(value, dict):
            holds = _slow_policy(value, f"{above}{key}.", found)
        else:
            holds = any(_slow_rule(rule, found.get(above + key)) for rule in value)
        if not holds:
            return False
    return True


def _slow_rule(rule: Any, found: tuple[list[Any], bool] | None) -> bool:
    if isinstance(rule, dict) and "exists" in rule:
        return bool(rule["exists"]) == (found is not None)
    if found is None:
        return False
    elements, is_array = found
    if isinstance(rule, dict) and "anything-but" in rule:
        accepted = [not _is_refused(each, rule["anything-but"]) for each in elements]
        return bool(accepted) and (all(accepted) if is_array else any(accepted))
    return any(_slow_value(each, rule) for each in elements)


def _is_refused(value: Any, refused: Any) -> bool:
    if isinstance(refused, dict):
        [(name, patterns)] = refused.items()
        patterns = patterns if isinstance(patterns, list) else [patterns]
        return any(_slow_value(value, {name: pattern}) for pattern in patterns)
    listed = refused if isinstance(refused, list) else [refused]
    return any(_slow_value(value, each) for each in listed)


def _kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return repr(value)
    return "string" if isinstance(value, str) else "number"


def _slow_value(value: Any, rule: Any) -> bool:
    if not isinstance(rule, dict):
        return _kind(value) == _kind(rule) and bool(value == rule)
    [(name, operand)] = rule.items()
    if name == "numeric":
        return _kind(value) == "number" and all(
            {
                "=": value == bound,
                "<": value < bound,
                "<=": value <= bound,
                ">": value > bound,
                ">=": value >= bound,
            }[comparison]
            for comparison, bound in zip(operand[::2], operand[1::2], strict=True)
        )
    if not isinstance(value, str):
        return False
    if name == "cidr":
        try:
            return ip_address(value) in ip_network(operand, strict=False)
        except ValueError:
            return False
    if name == "wildcard":
        tokens = re.findall(r"\\.|.", operand, re.S)
        regex = "".join(".*" if token == "*" else re.escape(token[-1]) for token in tokens)
        return re.fullmatch(regex, value, re.S) is not None
    fits: bool = {
        "prefix": value[: len(operand)] == operand,
        "suffix": value[len(value) - len(operand) :] == operand and len(value) >= len(operand),
        "equals-ignore-case": value.lower() == operand.lower(),
    }[name]
    return fits


# Few letters and few keys, so that much matches.
words = st.text(alphabet="aAb*\\", max_size=4)
addresses = st.sampled_from(("10.0.0.1", "10.0.1.1", "10.0.0.256", "::1", "0:0:0:0:0:0:0:1"))
strings = words | addresses
numbers = st.integers(-3, 3) | st.sampled_from((-0.5, 0.5, 1.0, 2.5))
scalars = strings | numbers | st.booleans() | st.none()
names = st.sampled_from(("a", "b", "a.b", "b.a"))
patterns = st.lists(st.sampled_from(("a", "b", "*", "\\*", "\\\\")), min_size=1, max_size=6).map(
    lambda parts: re.sub(r"(?<!\\)((?:\\\\)*)\*(?:\*)+", r"\1*", "".join(parts))
)


def _operator(name: str, operands: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return operands.map(lambda operand: {name: operand})


def _some(each: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return each | st.lists(each, min_size=1, max_size=3)


rules = st.one_of(
    scalars,
    _operator("prefix", words),
    _operator("suffix", words),
    _operator("equals-ignore-case", words),
    _operator("wildcard", patterns),
    _operator("anything-but", _some(strings) | _some(numbers)),
    _operator("anything-but", _operator("prefix", _some(words))),
    _operator("anything-but", _operator("wildcard", _some(patterns))),
    _operator("exists", st.booleans()),
    _operator("cidr", st.sampled_from(("10.0.0.0/24", "10.0.0.0/8", "::/64", "10.0.0.1/32"))),
    _operator("numeric", st.tuples(st.sampled_from(("=", "<", "<=", ">", ">=")), numbers)),
    _operator(
        "numeric",
        st.tuples(
            st.sampled_from((">", ">=")),
            st.integers(-3, 0),
            st.sampled_from(("<", "<=")),
            st.integers(1, 3),
        ),
    ),
)
conditions = st.lists(rules, min_size=1, max_size=3)


def _with_or(
    policies: st.SearchStrategy[dict[str, Any]],
) -> st.SearchStrategy[dict[str, Any]]:
    alternatives = st.lists(policies, min_size=2, max_size=3)
    return st.tuples(policies, alternatives).map(lambda both: {**both[0], "$or": both[1]})


flat = st.dictionaries(names, conditions, min_size=1, max_size=2)
attribute_policies = flat | _with_or(flat) | _with_or(_with_or(flat))
nested = flat | st.dictionaries(names, conditions | flat | _with_or(flat), min_size=1, max_size=2)
body_policies = nested | _with_or(nested)
scoped_policies = st.tuples(st.just(MESSAGE_ATTRIBUTES), attribute_policies) | st.tuples(
    st.just(MESSAGE_BODY), body_policies
)
attribute_maps = st.dictionaries(
    names,
    st.one_of(
        strings.map(string),
        numbers.map(lambda value: num(json.dumps(value))),
        st.lists(scalars, max_size=3).map(lambda value: array(json.dumps(value))),
        st.sampled_from((array("[a"), BINARY)),
    ),
)
bodies = st.one_of(
    st.recursive(
        st.dictionaries(names, scalars, max_size=3),
        lambda below: st.dictionaries(
            names, scalars | st.lists(scalars | below | st.lists(below), max_size=3) | below
        ),
        max_leaves=6,
    ),
    st.just([]),
    st.just("a"),
).map(json.dumps)


def _is_unambiguous(policy: dict[str, Any]) -> bool:
    """Whether no path is written in two ways, of which the last one would count."""
    paths = list(_paths(policy, ""))
    alternatives = list(_alternatives(policy))
    return len(set(paths)) == len(paths) and all(map(_is_unambiguous, alternatives))


def _paths(policy: dict[str, Any], above: str) -> Iterator[str]:
    for key, value in policy.items():
        if isinstance(value, dict):
            yield from _paths(value, f"{above}{key}.")
        elif key != "$or":
            yield above + key


def _alternatives(policy: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for key, value in policy.items():
        if isinstance(value, dict):
            yield from _alternatives(value)
        elif key == "$or":
            yield from value


def _compiled(policy: dict[str, Any], scope: str) -> FilterPolicy:
    assume(_is_unambiguous(policy))  # the slow matcher knows nothing of it
    try:
        return parsed(policy, scope)
    except FilterPolicyError as error:
        assert error.detail in {
            "Filter policy can not have more than 5 keys",
            "Filter policy is too complex",
        }
        assume(False)
        raise


@given(scoped_policies, attribute_maps, bodies)
def test_both_matchers_agree(
    scoped: tuple[str, dict[str, Any]], attributes: Attributes, body: str
) -> None:
    scope, policy = scoped
    compiled = _compiled(policy, scope)
    facts = MessageFacts(attributes, body)
    expected = slow_match(policy, scope, attributes, body)
    assert compiled.matches(facts) == expected
    explained = compiled.explain(facts)
    assert explained.matches == expected
    json.dumps(explained.document(), allow_nan=False)


@given(
    st.lists(st.none() | scoped_policies, max_size=12),
    st.lists(st.tuples(attribute_maps, bodies), min_size=1, max_size=3),
)
def test_the_index_finds_what_trying_each_policy_finds(
    scoped: list[tuple[str, dict[str, Any]] | None], messages: list[tuple[Attributes, str]]
) -> None:
    entries: list[tuple[int, FilterPolicy | None]] = []
    for position, each in enumerate(scoped):
        entries.append((position, None if each is None else _compiled(each[1], each[0])))
    index = FilterIndex(entries)
    for attributes, body in messages:
        expected = [
            position
            for position, policy in entries
            if policy is None or policy.matches(MessageFacts(attributes, body))
        ]
        assert index.matching(MessageFacts(attributes, body)) == expected
