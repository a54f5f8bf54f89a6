"""Rules of faults: what they take, when they strike, and that they do it again."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from broker.errors import ServiceUnavailable
from broker.faults import _KINDS, Blow, CallFaults, FaultRefused, Faults, InternalError
from storage.records import QueueKey
from tests.support.clock import FakeClock
from tests.support.server import ACCOUNT, REGION, CountedIds

ROOT = Path(__file__).parents[2]
JOBS = QueueKey(ACCOUNT, REGION, "jobs")
FIFO = QueueKey(ACCOUNT, REGION, "jobs.fifo")
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:news"
NOTHING = CallFaults()
THROTTLED = CallFaults(instead=Blow("throttling", "RequestThrottled"))


def faults_of(*rules: dict[str, Any]) -> Faults:
    faults = Faults(FakeClock(), CountedIds())
    for rule in rules:
        faults.add(rule)
    return faults


def rule(kind: str = "throttling", /, **members: Any) -> dict[str, Any]:
    """A rule, whose fault has the members that are none of the rule's own."""
    own = ("id", "seed", "match", "probability", "every", "times")
    fault = {name: value for name, value in members.items() if name not in own}
    rest = {name: value for name, value in members.items() if name in own}
    return {"fault": {"kind": kind, **fault}, **rest}


def call(faults: Faults, action: str = "SendMessage", key: QueueKey = JOBS) -> CallFaults:
    account, region, name = key
    return faults.of_call(action, service="sqs", account=account, region=region, name=name)


def call_topic(faults: Faults, action: str = "Publish", name: str = "news") -> CallFaults:
    return faults.of_call(action, service="sns", account=ACCOUNT, region=REGION, name=name)


def struck(faults: Faults, calls: int) -> list[int]:
    """The numbers, from 1, of the calls that something happened to."""
    return [number for number in range(1, calls + 1) if call(faults) != NOTHING]


def test_the_document_has_each_kind_with_its_members_and_no_other() -> None:
    document = (ROOT / "docs/faults.md").read_text("utf-8")
    table = document[document.index("| kind |") : document.index("The first of several")]
    rows = {cells[1].strip(" `"): cells[2] for cells in _rows(table)}
    assert rows.keys() == _KINDS.keys()
    for name, kind in _KINDS.items():
        for member, option in kind.options.items():
            assert f"`{member}`" in rows[name]
            if not isinstance(option.values, range):
                assert all(_spelled(each) in rows[name] for each in option.values), (name, member)


def _rows(table: str) -> list[list[str]]:
    return [line.split("|") for line in table.splitlines() if line.startswith("| `")]


def _spelled(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


# --- when ---------------------------------------------------------------------------------------


def test_without_a_rule_nothing_is_active() -> None:
    faults = faults_of()
    assert not faults.active
    faults.add(rule(id="one"))
    assert faults.active
    assert faults.remove("one")
    assert not faults.active
    faults.add(rule())
    assert faults.clear() == 1
    assert not faults.active


def test_a_rule_strikes_always_unless_it_says_otherwise() -> None:
    assert struck(faults_of(rule()), 3) == [1, 2, 3]


def test_every_third_call_is_struck() -> None:
    assert struck(faults_of(rule(every=3)), 9) == [3, 6, 9]


def test_a_rule_strikes_so_many_times_and_then_no_more() -> None:
    assert struck(faults_of(rule(times=2)), 5) == [1, 2]
    assert struck(faults_of(rule(every=2, times=2)), 9) == [2, 4]


def test_a_probability_is_about_kept_and_its_ends_exactly() -> None:
    assert 2_800 < len(struck(faults_of(rule(probability=0.3, seed=1)), 10_000)) < 3_200
    assert struck(faults_of(rule(probability=0)), 100) == []
    assert len(struck(faults_of(rule(probability=1)), 100)) == 100


def test_the_same_seed_and_the_same_calls_have_the_same_faults() -> None:
    first, second = (struck(faults_of(rule(probability=0.5, seed="a")), 200) for _ in range(2))
    assert first == second


def test_another_seed_or_another_id_has_other_faults() -> None:
    one = struck(faults_of(rule(probability=0.5, seed="a")), 200)
    assert struck(faults_of(rule(probability=0.5, seed="b")), 200) != one
    assert struck(faults_of(rule(probability=0.5, seed="a", id="other")), 200) != one


def test_resetting_the_counters_replays() -> None:
    faults = faults_of(rule(probability=0.5, seed=7, times=50))
    first = struck(faults, 200)
    faults.reset_counters()
    assert struck(faults, 200) == first


def test_a_seed_that_is_drawn_is_told_and_replays() -> None:
    faults = Faults(FakeClock(), CountedIds())
    told = faults.add(rule(probability=0.5))
    first = struck(faults, 100)
    assert struck(faults_of(rule(probability=0.5, seed=told["seed"], id=told["id"])), 100) == first


def test_a_call_that_does_not_concern_a_rule_does_not_move_it() -> None:
    faults = faults_of(rule(every=2, match={"queue": "jobs"}))
    call(faults)
    call(faults, key=JOBS._replace(name="other"))
    assert call(faults) == THROTTLED


def test_what_a_rule_saw_and_did_is_counted() -> None:
    faults = faults_of(rule(id="mine", every=2, seed=5, match={"queue": "jobs"}))
    struck(faults, 5)
    assert faults.documents() == [
        {
            "id": "mine",
            "seed": "5",
            "match": {"queue": "jobs"},
            "fault": {"kind": "throttling", "code": "RequestThrottled"},
            "every": 2,
            "seen": 5,
            "fired": 2,
        }
    ]


# --- where --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("match", "name", "action"),
    [
        ({"queue": "other"}, "jobs", "SendMessage"),
        ({"topic": "jobs"}, "jobs", "SendMessage"),
        ({"account": "111111111111"}, "jobs", "SendMessage"),
        ({"region": "eu-west-1"}, "jobs", "SendMessage"),
        ({"actions": ["ReceiveMessage"]}, "jobs", "SendMessage"),
    ],
)
def test_a_rule_strikes_only_what_it_names(match: dict[str, Any], name: str, action: str) -> None:
    assert call(faults_of(rule(match=match)), action, JOBS._replace(name=name)) == NOTHING


def test_a_rule_of_a_topic_strikes_calls_about_it() -> None:
    faults = faults_of(rule(match={"topic": "news"}))
    assert call_topic(faults) == THROTTLED
    assert call_topic(faults, name="other") == NOTHING
    assert call(faults, key=JOBS._replace(name="news")) == NOTHING


def test_lost_replies_are_those_of_deletes_unless_others_are_named() -> None:
    lost = faults_of(rule("lostReply", done=True))
    assert call(lost, "DeleteMessage").afterwards == Blow("droppedConnection")
    assert call(lost, "SendMessage") == NOTHING
    named = faults_of(rule("lostReply", done=True, match={"actions": ["SendMessage"]}))
    assert call(named, "SendMessage").afterwards == Blow("droppedConnection")


# --- what ---------------------------------------------------------------------------------------


def test_whether_a_call_was_done_whose_reply_is_lost_is_drawn() -> None:
    faults = faults_of(rule("lostReply", seed=3, answer="httpError"))
    calls = [call(faults, "DeleteMessage") for _ in range(50)]
    done = [each for each in calls if each.afterwards == Blow("httpError", "500")]
    not_done = [each for each in calls if each.instead == Blow("httpError", "500")]
    assert done
    assert not_done
    assert len(done) + len(not_done) == 50


def test_a_latency_is_within_its_range_and_differs() -> None:
    faults = faults_of(rule("latency", fromMs=10, toMs=20))
    pauses = {call(faults).pause_before_ms for _ in range(200)}
    assert pauses == set(range(10, 21))


def test_latencies_add_up_and_go_with_an_error() -> None:
    faults = faults_of(
        rule("latency", ms=10), rule("latency", ms=5, when="after"), rule("httpError", status=503)
    )
    assert call(faults) == CallFaults(10, Blow("httpError", "503"), None, 5)


def test_after_a_rule_that_replaces_the_answer_no_other_is_asked() -> None:
    faults = faults_of(rule(id="first", every=2), rule("kms", id="second"))
    assert [call(faults).instead for _ in range(2)] == [
        Blow("kms", "Disabled"),
        Blow("throttling", "RequestThrottled"),
    ]
    assert [each["seen"] for each in faults.documents()] == [2, 1]


async def test_a_pause_lasts_until_the_clock_has_turned() -> None:
    clock = FakeClock()
    pause = asyncio.create_task(Faults(clock, CountedIds()).pause(1_000))
    await clock.advance(999)
    assert not pause.done()
    await clock.advance(1)
    assert pause.done()


async def test_stopping_ends_all_pauses() -> None:
    clock = FakeClock()
    faults = Faults(clock, CountedIds())
    pauses = [asyncio.create_task(faults.pause(1_000)) for _ in range(2)]
    await clock.advance(0)
    faults.stop()
    await asyncio.wait_for(asyncio.gather(*pauses), 10)
    await asyncio.wait_for(faults.pause(1_000), 10)


def test_each_entry_of_a_batch_fails_for_itself() -> None:
    faults = faults_of(rule("partialBatchFailure", every=3))
    kinds = [type(each) for each in faults.of_entries("SendMessageBatch", JOBS, 7)]
    assert kinds.count(InternalError) == 2
    assert [index for index, kind in enumerate(kinds) if kind is InternalError] == [2, 5]
    other = faults_of(rule("partialBatchFailure", code="ServiceUnavailable"))
    [error] = other.of_publications(TOPIC, 1)
    assert isinstance(error, ServiceUnavailable)


def test_what_is_no_arn_of_a_topic_has_no_failures() -> None:
    assert faults_of(rule("partialBatchFailure")).of_publications("news", 2) == [None, None]


def test_a_short_receive_has_fewer_than_were_asked_for() -> None:
    drawn = faults_of(rule("shortReceive"))
    assert {drawn.receive_limit(JOBS, 10) for _ in range(200)} == set(range(10))
    assert drawn.receive_limit(JOBS, 1) == 0
    fixed = faults_of(rule("shortReceive", messages=3))
    assert [fixed.receive_limit(JOBS, asked) for asked in (10, 2)] == [3, 2]


def test_a_shuffle_keeps_all_messages() -> None:
    faults = faults_of(rule("shuffle", seed=1))
    told = [faults.shuffled(JOBS, range(10)) for _ in range(5)]
    assert all(sorted(each) == list(range(10)) for each in told)
    assert len({tuple(each) for each in told}) == 5


# --- FIFO ---------------------------------------------------------------------------------------


def test_rules_that_name_no_queue_pass_over_fifo_where_they_would_break_it() -> None:
    faults = faults_of(
        rule("partialBatchFailure"),
        rule("duplicateDelivery"),
        rule("reordering", ms=10),
        rule("shuffle"),
    )
    assert faults.of_entries("SendMessageBatch", FIFO, 2) == [None, None]
    assert faults.of_publications(f"{TOPIC}.fifo", 2) == [None, None]
    assert faults.reappearances(FIFO, 2) == [None, None]
    assert faults.held_back_ms(FIFO) == 0
    assert faults.shuffled(FIFO, range(10)) == list(range(10))
    assert [each["seen"] for each in faults.documents()] == [0] * 4
    assert None not in faults.of_entries("DeleteMessageBatch", FIFO, 2)


@pytest.mark.parametrize(
    ("refused", "where"),
    [
        (rule("duplicateDelivery", match={"queue": "jobs.fifo"}), "match.queue"),
        (rule("reordering", ms=1, match={"queue": "jobs.fifo"}), "match.queue"),
        (rule("shuffle", match={"queue": "jobs.fifo"}), "match.queue"),
        (rule("partialBatchFailure", match={"queue": "jobs.fifo"}), "match.queue"),
        (rule("partialBatchFailure", match={"topic": "news.fifo"}), "match.topic"),
    ],
)
def test_a_fault_that_would_break_a_fifo_queue_or_topic_is_refused_for_it(
    refused: dict[str, Any], where: str
) -> None:
    with pytest.raises(FaultRefused, match=rf"{where}: .* would break the order of .*\.fifo"):
        faults_of(refused)


def test_faults_that_do_not_break_fifo_are_taken_for_it() -> None:
    match = {"queue": "jobs.fifo"}
    faults = faults_of(
        rule("shortReceive", match=match, messages=0),
        rule("partialBatchFailure", match={**match, "actions": ["DeleteMessageBatch"]}),
        rule("lostReply", match=match),
    )
    assert faults.receive_limit(FIFO, 10) == 0


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refused", "text"),
    [
        ({}, "fault is an object"),
        ({"fault": []}, "fault is an object"),
        (rule("flood"), "fault.kind is one of throttling, kms, "),
        ({"fault": {}}, "fault.kind is one of "),
        ({"fault": {"kind": []}}, "fault.kind is one of "),
        (rule(code="Slow"), "fault.code is one of RequestThrottled, "),
        (rule(status=500), "there is no fault.status: use code"),
        (rule("shuffle", seed=1, hard=True), "there is no fault.hard"),
        (rule("httpError", status=404), "fault.status is one of 500, 502, 503, 504"),
        (rule("httpError", status=True), "fault.status is one of 500"),
        (rule("lostReply", done=1), "fault.done is one of true, false"),
        (rule("latency"), "fault needs ms, or fromMs and toMs"),
        (rule("latency", fromMs=1), "fault needs ms, or fromMs and toMs"),
        (rule("latency", ms=1, toMs=2), "fault has ms, or fromMs and toMs, not both"),
        (rule("latency", fromMs=2, toMs=1), "fault.fromMs is above fault.toMs"),
        (rule("latency", ms=300_001), "fault.fromMs is an integer from 0 to 300000"),
        (rule("latency", ms=1.5), "fault.fromMs is an integer from 0 to 300000"),
        (rule("shortReceive", messages=10), "fault.messages is an integer from 0 to 9"),
        (rule("kms", code="InvalidKeyUsage", match={"topic": "news"}), "SNS has no InvalidKey"),
        (rule(probability=1.1), "probability is a number from 0 to 1"),
        (rule(probability=True), "probability is a number from 0 to 1"),
        (rule(probability=float("nan")), "probability is a number from 0 to 1"),
        (rule(every=0), "every is an integer from 1 to "),
        (rule(times=True), "times is an integer from 1 to "),
        (rule(every=2, probability=0.5), "a rule has probability or every, not both"),
        (rule(match=[]), "match is an object"),
        (rule(match={"queues": "jobs"}), "there is no match.queues: use account, "),
        (rule(match={"queue": 1}), "match.queue is a name"),
        (rule(match={"queue": "a", "topic": "b"}), "match has a queue or a topic, not both"),
        (rule(match={"actions": []}), "match.actions is a list of operations"),
        (rule(match={"actions": [1]}), "match.actions is a list of operations"),
        (rule("shuffle", match={"topic": "news"}), "match.topic: shuffle is a fault of queues"),
        (
            rule("shuffle", match={"actions": ["SendMessage"]}),
            "match.actions: shuffle is a fault of ReceiveMessage",
        ),
        (rule("lostReply", match={"topic": "news"}), "lostReply of a topic needs operations"),
        (rule(id=""), "id has 1 to 64 letters"),
        (rule(id=3), "id has 1 to 64 letters"),
        (rule(seed=""), "seed is an integer, or a text"),
        (rule(seed="\ud800"), "seed is an integer, or a text"),
        (rule(match={"queue": "\ud800"}), "match.queue is a name"),
        (rule(seed=1.5), "seed is an integer, or a text"),
        ({**rule(), "chance": 1}, "there is no chance: use id, seed, "),
    ],
)
def test_a_rule_that_cannot_be_is_refused_with_the_place(
    refused: dict[str, Any], text: str
) -> None:
    faults = faults_of()
    with pytest.raises(FaultRefused) as told:
        faults.add(refused)
    assert text in str(told.value)
    assert faults.documents() == []


def test_no_two_rules_have_one_id_and_ids_that_are_chosen_are_free() -> None:
    faults = faults_of(rule(id="fault-1"))
    assert faults.add(rule())["id"] == "fault-2"
    with pytest.raises(FaultRefused, match="there is a rule fault-2 already"):
        faults.add(rule(id="fault-2"))


def test_there_are_a_thousand_rules_at_most() -> None:
    faults = faults_of(*[rule() for _ in range(1_000)])
    with pytest.raises(FaultRefused, match="there are 1000 rules already"):
        faults.add(rule())
