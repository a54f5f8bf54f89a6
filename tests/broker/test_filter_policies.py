"""What may stand in a filter policy: grammar, limits, words of refusals (SNS reference, 7)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.filter_matching import MESSAGE_ATTRIBUTES, MESSAGE_BODY, FilterPolicy
from broker.filter_policies import FilterPolicyError, complexity, parse_filter_policy

SCOPES = (MESSAGE_ATTRIBUTES, MESSAGE_BODY)


def parsed(policy: Any, scope: str = MESSAGE_BODY) -> FilterPolicy:
    found = parse_filter_policy(json.dumps(policy), scope)
    assert found is not None
    return found


def refusal(policy: Any, scope: str = MESSAGE_BODY) -> FilterPolicyError:
    text = policy if isinstance(policy, str) else json.dumps(policy)
    with pytest.raises(FilterPolicyError) as caught:
        parse_filter_policy(text, scope)
    return caught.value


def words(policy: Any, scope: str = MESSAGE_BODY) -> str:
    """The text of a refusal, without the place that Jackson would name."""
    return refusal(policy, scope).detail.partition("\n")[0]


def values(count: int, start: int = 0) -> list[str]:
    return [f"value{n}" for n in range(start, start + count)]


# --- the texts of 7.4 ---------------------------------------------------------------------------


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(
    ("policy", "text"),
    [
        ({"key": "value"}, '"key" must be an object or an array'),
        ({"key": 1}, '"key" must be an object or an array'),
        ({"key": None}, '"key" must be an object or an array'),
        ({"key": {"suffix": "v"}}, '"suffix" must be an object or an array'),
        ({"key": []}, "Empty arrays are not allowed"),
        ({"key": [["v"]]}, "Match value must be String, number, true, false, or null"),
        ({"key": [{"wrong-operator": True}]}, "Unrecognized match type wrong-operator"),
        ({"key": [{"exact": "v"}]}, "Unrecognized match type exact"),
        (
            {"key": [{"prefix": "a", "suffix": "b"}]},
            "Only one key allowed in match expression",
        ),
        ({"key": [{"suffix": 100}]}, "suffix match pattern must be a string"),
        ({"key": [{"suffix": None}]}, "suffix match pattern must be a string"),
        ({"key": [{"suffix": []}]}, "suffix match pattern must be a string"),
        ({"key": [{"suffix": ["a"]}]}, "suffix match pattern must be a string"),
        ({"key": [{"prefix": 100}]}, "prefix match pattern must be a string"),
        ({"key": [{"prefix": ["a"]}]}, "prefix match pattern must be a string"),
        ({"key": [{"wildcard": 100}]}, "wildcard match pattern must be a string"),
        (
            {"key": [{"equals-ignore-case": 100}]},
            "equals-ignore-case match pattern must be a string",
        ),
        ({"key": [{"anything-but": {"prefix": 100}}]}, "prefix match pattern must be a string"),
        ({"key": [{"anything-but": {"prefix": []}}]}, "prefix match pattern must be a string"),
        (
            {"key": [{"anything-but": {"prefix": ["a", 1]}}]},
            "prefix match pattern must be a string",
        ),
        ({"key": [{"cidr": ["x"]}]}, "prefix match pattern must be a string"),
        ({"key": [{"cidr": "bad-filter"}]}, "Malformed CIDR, one '/' required"),
        ({"key": [{"cidr": "10.0.0.0/8/8"}]}, "Malformed CIDR, one '/' required"),
        ({"key": [{"cidr": "bad-filter/64"}]}, "Nonstandard IP address: bad-filter"),
        ({"key": [{"cidr": "xx.11.xx/8"}]}, "Nonstandard IP address: xx.11.xx"),
        ({"key": [{"cidr": "fe80::1%eth0/64"}]}, "Nonstandard IP address: fe80::1%eth0"),
        ({"key": [{"cidr": "bad-/64filter"}]}, "Malformed CIDR, mask bits must be an integer"),
        ({"key": [{"exists": None}]}, "exists match pattern must be either true or false."),
        ({"key": [{"exists": "no"}]}, "exists match pattern must be either true or false."),
        (
            {"key": [{"anything-but": {"wrong-operator": None}}]},
            "Unsupported anything-but pattern: wrong-operator",
        ),
        ({"key": [{"anything-but": {"suffix": "a"}}]}, "Unsupported anything-but pattern: suffix"),
        ({"key": [{"anything-but": {"exists": True}}]}, "Unsupported anything-but pattern: exists"),
        (
            {"key": [{"anything-but": {"prefix": "a", "wildcard": "b"}}]},
            "Only one key allowed in match expression",
        ),
        ({"key": [{"numeric": []}]}, "Invalid member in numeric match: ]"),
        ({"key": [{"numeric": [1, "<="]}]}, "Invalid member in numeric match: 1"),
        ({"key": [{"numeric": [["="], 1]}]}, "Invalid member in numeric match: ["),
        ({"key": [{"numeric": [None]}]}, "Invalid member in numeric match: null"),
        ({"key": [{"numeric": ["operator"]}]}, "Unrecognized numeric range operator: operator"),
        ({"key": [{"numeric": ["=", "000"]}]}, "Value of equals must be numeric"),
        ({"key": [{"numeric": ["=", True]}]}, "Value of equals must be numeric"),
        ({"key": [{"numeric": ["="]}]}, "Value of equals must be numeric"),
        ({"key": [{"numeric": [">="]}]}, "Value of >= must be numeric"),
        ({"key": [{"numeric": [">", "20", "<", 30]}]}, "Value of > must be numeric"),
        ({"key": [{"numeric": ["<", 100, ">", 10]}]}, "Too many elements in numeric expression"),
        ({"key": [{"numeric": ["=", 1, "=", 1]}]}, "Too many elements in numeric expression"),
        ({"key": [{"numeric": [">=", 1, ">", 2]}]}, "Bad numeric range operator: >"),
        ({"key": [{"numeric": [">", 20, "test"]}]}, "Bad numeric range operator: test"),
        ({"key": [{"numeric": [">", 20, 30]}]}, "Bad value in numeric range: 30"),
        ('{"key":[{"numeric":[">",20,3.00e1]}]}', "Bad value in numeric range: 3.00e1"),
        ({"key": [{"numeric": [">", 20, "<="]}]}, "Value of <= must be numeric"),
        ({"key": [{"numeric": [">", 3, "<", 1]}]}, "Bottom must be less than top"),
        ({"key": [{"numeric": [">=", 3, "<=", 3]}]}, "Bottom must be less than top"),
        (
            {"key": [{"numeric": [">", 20, "<", 30, "<", 50]}]},
            "Too many terms in numeric range expression",
        ),
    ],
)
def test_a_bad_policy_is_refused_in_the_words_of_aws(policy: Any, text: str, scope: str) -> None:
    assert words(policy, scope) == text
    assert refusal(policy, scope).of_the_policy


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        ("[]", "Filter is not an object"),
        ("null", "Filter is not an object"),
        ('"text"', "Filter is not an object"),
        ({"key": {}}, "Empty objects are not allowed"),
        ({"$or": [{}, {"key": ["v"]}]}, "Empty objects are not allowed"),
        ({"key": [{}]}, "Match expression name not found"),
        ({"key": [{"anything-but": {}}]}, "Anything-But expression name not found"),
        ({"key": [{"anything-but": []}]}, "Empty arrays are not allowed"),
        (
            {"key": [{"anything-but": True}]},
            "Value of anything-but must be an array or single string/number value.",
        ),
        (
            {"key": [{"anything-but": ["a", None]}]},
            "Inside anything but list, start|null|boolean is not supported.",
        ),
        (
            {"key": [{"anything-but": ["a", 1]}]},
            "Inside anything but list, either all values are number or string,"
            " mixed type is not supported",
        ),
        ({"key": [{"anything-but": {"wildcard": 1}}]}, "wildcard match pattern must be a string"),
        ({"key": [{"numeric": "= 1"}]}, "Value of numeric must be an array."),
        ({"key": [{"cidr": "10.0.0.0/-1"}]}, "Malformed CIDR, mask bits must not be negative"),
        ({"key": [{"cidr": "10.0.0.0/33"}]}, "IPv4 mask bits must be <= 32"),
        ({"key": [{"cidr": "::/129"}]}, "IPv6 mask bits must be <= 128"),
        ({"key": [{"cidr": "/8"}]}, "Malformed CIDR, one '/' required"),
        ({"key": [{"cidr": "10.0.0.0/²"}]}, "Malformed CIDR, mask bits must be an integer"),
        ({"key": [{"wildcard": "a**b"}]}, "Consecutive wildcard characters at pos 2"),
        ({"key": [{"wildcard": "\\**a**b"}]}, "Consecutive wildcard characters at pos 5"),
        ({"key": [{"wildcard": "a\\b"}]}, "Invalid escape character at pos 1"),
        ({"key": [{"wildcard": "a\\"}]}, "Invalid escape character at pos 1"),
        (
            {"key": [{"anything-but": {"wildcard": ["a", "**"]}}]},
            "Consecutive wildcard characters at pos 1",
        ),
    ],
)
def test_what_the_reference_does_not_name_is_refused_in_the_words_of_the_rule_engine(
    policy: Any, text: str
) -> None:
    assert words(policy) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{invalid", "Unexpected character ('i' (code 105)): was expecting double-quote"),
        ('{"key":[value]}', "Unrecognized token 'value': was expecting"),
        ('{"key":["value"', "Unexpected end-of-input"),
        ('{"key":["value', "Unexpected end-of-input"),
        ('{"key"["value"]}', "Unexpected character ('[' (code 91))"),
        (" ", "No content to map due to end-of-input"),
        ('{"key":[NaN]}', "Non-standard token"),
        ('{"key":[-Infinity]}', "Non-standard token"),
        ('{"key":["v"]} trailing', "Unexpected character ('t' (code 116))"),
    ],
)
def test_a_text_that_is_not_json_fails_to_parse(text: str, reason: str) -> None:
    assert words(text).startswith(f"failed to parse JSON. {reason}")


def test_a_refusal_says_where_in_the_policy_it_applies() -> None:
    assert refusal('{"key":"value"}').detail == (
        '"key" must be an object or an array\n'
        ' at [Source: (String)"{"key":"value"}"; line: 1, column: 7]'
    )
    assert "line: 2, column: 6]" in refusal('{"a":["b"],\n"key":"value"}').detail


def test_a_refusal_of_a_cidr_says_no_place() -> None:
    assert "\n" not in refusal({"key": [{"cidr": "bad-filter"}]}).detail


def test_a_refusal_quotes_only_the_beginning_of_a_long_policy() -> None:
    detail = refusal({"key": [*values(10_000), ["v"]]}).detail
    assert "[truncated " in detail
    assert len(detail) < 1_000


# --- scopes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [{"key": {"nested": ["v"]}}, {"$or": {"nested": ["v"]}}])
def test_a_nested_policy_needs_the_body_as_its_scope(policy: Any) -> None:
    error = refusal(policy, MESSAGE_ATTRIBUTES)
    assert error.detail == (
        "Filter policy scope MessageAttributes does not support nested filter policy"
    )
    assert not error.of_the_policy
    assert parsed(policy, MESSAGE_BODY).scope == MESSAGE_BODY


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("text", ["", "{}", " { } "])
def test_an_empty_policy_filters_nothing(text: str, scope: str) -> None:
    assert parse_filter_policy(text, scope) is None


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(
    "rule",
    [
        "text",
        "",
        1,
        1.5e10,
        True,
        None,
        {"prefix": "a"},
        {"suffix": "a"},
        {"equals-ignore-case": "a"},
        {"wildcard": "*a*"},
        {"wildcard": "a\\*\\\\"},
        {"anything-but": "a"},
        {"anything-but": 1},
        {"anything-but": ["a", "b"]},
        {"anything-but": [1, 2.5]},
        {"anything-but": {"prefix": "a"}},
        {"anything-but": {"prefix": ["a", "b"]}},
        {"anything-but": {"wildcard": "a*"}},
        {"anything-but": {"wildcard": ["a*", "*b"]}},
        {"numeric": ["=", 1]},
        {"numeric": ["<", 1]},
        {"numeric": ["<=", -1.5]},
        {"numeric": [">", 1e300]},
        {"numeric": [">=", 0, "<", 1]},
        {"exists": True},
        {"exists": False},
        {"cidr": "10.0.0.0/24"},
        {"cidr": "10.0.0.1/32"},
        {"cidr": "2001:db8::/32"},
    ],
)
def test_every_kind_of_rule_is_accepted_in_both_scopes(rule: Any, scope: str) -> None:
    assert parsed({"key": [rule]}, scope).scope == scope


# --- alternatives -------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", SCOPES)
def test_alternatives_may_stand_in_alternatives(scope: str) -> None:
    policy = {"$or": [{"a": ["1"]}, {"$or": [{"b": ["1"]}, {"c": ["1"]}], "d": ["1"]}]}
    assert len(parsed(policy, scope).clause.alternatives) == 1


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        ({"$or": [{"a": ["1"]}]}, "Unrecognized match type a"),
        ({"$or": [{"a": ["1"]}, {"prefix": ["1"]}]}, "Unrecognized match type a"),
        ({"$or": "a"}, '"$or" must be an object or an array'),
        ({"$or": []}, "Empty arrays are not allowed"),
    ],
)
def test_without_two_objects_or_with_an_operator_it_is_an_ordinary_key(
    policy: Any, text: str
) -> None:
    assert words(policy) == text


@pytest.mark.parametrize(
    "rules", [["a", "b"], [{"prefix": "a"}, {"prefix": "b"}], [{"exists": True}]]
)
def test_an_ordinary_key_may_be_called_or(rules: list[Any]) -> None:
    [condition] = parsed({"$or": rules}).clause.conditions
    assert condition.path == "$or"


# --- limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", SCOPES)
def test_a_policy_has_at_most_five_keys(scope: str) -> None:
    assert parsed({f"key{n}": ["v"] for n in range(5)}, scope)
    text = "Filter policy can not have more than 5 keys"
    assert refusal({f"key{n}": ["v"] for n in range(6)}, scope).detail == text


def test_of_nested_keys_the_leaves_are_counted() -> None:
    assert parsed({"a": {f"key{n}": ["v"] for n in range(5)}})
    assert "5 keys" in words({"a": {f"key{n}": ["v"] for n in range(6)}})


def test_keys_of_alternatives_count_once_each() -> None:
    assert parsed({"$or": [{"a": ["1"], "b": ["2"]}] * 3 + [{f"key{n}": ["v"]} for n in range(3)]})
    assert "5 keys" in words({"$or": [{f"key{n}": ["v"]} for n in range(6)]})


@pytest.mark.parametrize(
    ("policy", "combinations"),
    [
        ({"a": values(150)}, 150),
        ({"a": values(3), "b": values(50)}, 150),
        ({"a": {"b": values(75)}}, 150),
        ({"a": {"b": {"c": values(4)}, "d": values(3)}, "e": values(2)}, 144),
        ({"a.b.c": values(4)}, 4),
        ({"a": values(4), "$or": [{"b": values(6)}, {"c": values(4), "d": values(4)}]}, 88),
        ({"a": {"$or": [{"b": values(6)}, {"c": values(4)}]}}, 20),
        (
            {
                "source": values(4),
                "$or": [
                    {"metricName": values(4)},
                    {
                        "metricType": values(4),
                        "$or": [{"metricId": values(4)}, {"spaceId": values(4)}],
                    },
                ],
            },
            144,
        ),
    ],
)
def test_complexity_multiplies_rules_and_depths_and_adds_alternatives(
    policy: Any, combinations: int
) -> None:
    assert complexity(parsed(policy).clause) == combinations


@pytest.mark.parametrize(
    "policy",
    [
        {"a": values(151)},
        {"a": values(100), "b": values(51)},
        {"a": {"b": values(76)}},
        # 3 x 4 x 2 x 3 x 1 x 3 = 216, the example of the documents
        {"a": {"b": {"c": values(4)}}, "d": {"e": values(3)}, "f": values(3)},
        # 24 + 64 + 64 = 152
        {
            "source": values(4),
            "$or": [
                {"metricName": values(6)},
                {"metricType": values(4), "metricId": values(4)},
                {"metricType": values(4), "spaceId": values(4)},
            ],
        },
        # 4 x (4 + 4 x (4 + 5)) = 160
        {
            "source": values(4),
            "$or": [
                {"metricName": values(4)},
                {
                    "metricType": values(4),
                    "$or": [{"metricId": values(4)}, {"spaceId": values(5)}],
                },
            ],
        },
    ],
)
def test_more_than_150_combinations_are_too_complex(policy: Any) -> None:
    assert refusal(policy).detail == "Filter policy is too complex"


def test_a_policy_has_at_most_256_kb() -> None:
    overhead = len('{"key":[""]}')
    assert parse_filter_policy('{"key":["%s"]}' % ("x" * (262_144 - overhead)), MESSAGE_BODY)
    assert "256 KB" in words('{"key":["%s"]}' % ("x" * (262_145 - overhead)))
    assert "256 KB" in words('{"key":["%s"]}' % ("ü" * 131_072))


# --- what nobody should send --------------------------------------------------------------------


@pytest.mark.parametrize("depth", [151, 200, 400])
def test_a_deep_policy_is_refused(depth: int) -> None:
    assert words('{"a":' * depth + '["v"]' + "}" * depth) == "Filter policy is too complex"
    deep_or = '{"$or":[{"a":["v"]},' * depth + '{"a":["v"]}' + "]}" * depth
    assert words(deep_or) == "Filter policy is too complex"


@pytest.mark.parametrize("opening", ["[", '{"a":', '{"a":[', '{"$or":[{"a":["v"]},'])
def test_a_bottomless_policy_is_refused(opening: str) -> None:
    assert words(opening * (262_144 // len(opening))).startswith("failed to parse JSON. ")


def test_of_equal_keys_the_last_one_counts() -> None:
    [condition] = _clause('{"key":["a"],"key":["b"]}').conditions
    assert condition.exact == {"b"}
    [condition] = _clause('{"a":{"b":["a"]},"a.b":["b"]}').conditions
    assert condition.exact == {"b"}


def _clause(text: str) -> Any:
    policy = parse_filter_policy(text, MESSAGE_BODY)
    assert policy is not None
    return policy.clause


@pytest.mark.parametrize(
    "digits", ["1e999999999999999999999", "-1e-99999999999999999999", "9" * 5_000]
)
def test_a_vast_number_is_accepted_as_a_value_but_not_as_a_bound(digits: str) -> None:
    assert _clause(f'{{"key":[{digits}]}}').conditions
    assert _clause(f'{{"key":[{{"anything-but":{digits}}}]}}').conditions
    assert words(f'{{"key":[{{"numeric":["<",{digits}]}}]}}') == "Value of < must be numeric"


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda below: (
        st.lists(below, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ("$or", "anything-but", "numeric", "exists", "prefix", "wildcard", "cidr", "a", "b")
            ),
            below,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.text(max_size=20) | _json.map(json.dumps) | _json.map(lambda each: f'{{"key":[{each}]}}'))
def test_every_text_is_a_policy_or_refused(text: str) -> None:
    for scope in SCOPES:
        try:
            parse_filter_policy(text, scope)
        except FilterPolicyError as error:
            assert error.detail
