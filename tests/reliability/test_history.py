"""The checker finds every breach planted in a history, and none in one that is fine."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.reliability.history import (
    CorruptBody,
    History,
    Kind,
    Outcome,
    Received,
    Sent,
    Verdict,
    check,
    make_body,
    read_body,
)

STANDARD, FIFO, DEAD = "jobs", "jobs.fifo", "jobs-dead"


class Story:
    """Writes a history, one call after the other, ten milliseconds each."""

    def __init__(self, path: Path | None = None) -> None:
        self.now_ms = 0
        self.history = History(path, clock=lambda: self.now_ms * 1_000_000)

    def check(self, **how: Any) -> Verdict:
        return check(self.history, fifo=[FIFO], **how)

    def begin(self, kind: Kind, queue: str, *payloads: str, **how: Any) -> int:
        self.now_ms += 5
        return self.history.begin(kind, queue, payloads=payloads, **how)

    def end(self, number: int, outcome: Outcome = Outcome.OK, **how: Any) -> None:
        self.now_ms += 5
        self.history.end(number, outcome, **how)

    def send(
        self,
        *payloads: str,
        queue: str = STANDARD,
        group: str | None = None,
        outcome: Outcome = Outcome.OK,
        accepted: tuple[str, ...] | None = None,
        first_sequence: int | None = None,
        ids: Callable[[str], str] = "id of {}".format,
    ) -> None:
        number = self.begin(Kind.SEND, queue, *payloads, group=group)
        accepted = payloads if accepted is None else accepted
        sent = [
            Sent(
                payload,
                ids(payload),
                None if first_sequence is None else str(first_sequence + place),
            )
            for place, payload in enumerate(accepted)
        ]
        self.end(number, outcome, sent=sent if outcome is Outcome.OK else ())

    def receive(
        self,
        *payloads: str,
        queue: str = STANDARD,
        visibility_ms: int = 0,
        **fields: Any,
    ) -> None:
        number = self.begin(Kind.RECEIVE, queue, visibility_ms=visibility_ms)
        self.end(
            number,
            received=[
                Received(payload, **{"message_id": f"id of {payload}", **fields})
                for payload in payloads
            ],
        )

    def delete(self, *payloads: str, queue: str = STANDARD, outcome: Outcome = Outcome.OK) -> None:
        number = self.begin(Kind.DELETE, queue, *payloads)
        self.end(number, outcome, done=payloads if outcome is Outcome.OK else ())


@pytest.fixture
def story() -> Story:
    return Story()


# --- what is fine -------------------------------------------------------------------------------


def test_a_history_without_fault_has_no_breach(story: Story) -> None:
    story.send("a", "b")
    story.receive("a", visibility_ms=30, receive_count=1)
    story.delete("a")
    story.receive("b", visibility_ms=30, receive_count=1)
    story.now_ms += 30
    story.receive("b", visibility_ms=30, receive_count=2)
    story.delete("b")

    verdict = story.check()

    assert verdict.breaches() == {}
    figures = verdict.figures()
    assert (figures["acknowledged"], figures["deleted"], figures["redelivered"]) == (2, 2, 1)
    assert figures["lost"] == 0


def test_what_is_left_is_not_lost(story: Story) -> None:
    story.send("a")
    assert story.check(left=[(STANDARD, "a")]).breaches() == {}


def test_what_a_delete_without_answer_named_may_be_gone(story: Story) -> None:
    story.send("a")
    story.delete("a", outcome=Outcome.UNKNOWN)
    assert story.check().breaches() == {}


def test_what_a_delete_without_answer_named_may_come_back(story: Story) -> None:
    story.send("a")
    story.delete("a", outcome=Outcome.UNKNOWN)
    story.receive("a", receive_count=1)
    story.delete("a")
    assert story.check().breaches() == {}


def test_a_send_without_answer_may_have_happened_or_not(story: Story) -> None:
    story.send("a", "b", outcome=Outcome.UNKNOWN)
    story.begin(Kind.SEND, STANDARD, "c", "d")
    story.receive("a", "c")
    verdict = story.check()
    assert verdict.breaches() == {}
    assert verdict.recovered == 2


def test_what_expired_is_not_lost(story: Story) -> None:
    story.send("a")
    assert story.check(expired=[(STANDARD, "a")]).breaches() == {}


@pytest.mark.parametrize("outcome", [Outcome.OK, Outcome.UNKNOWN])
def test_what_was_sent_before_a_purge_ended_is_not_lost(story: Story, outcome: Outcome) -> None:
    purge = story.begin(Kind.PURGE, STANDARD)
    story.send("during")
    story.end(purge, outcome)
    assert story.check().breaches() == {}


def test_a_message_of_a_dead_letter_queue_is_that_of_its_source(story: Story) -> None:
    story.send("a")
    story.receive("a", queue=DEAD)
    story.delete("a", queue=DEAD)
    assert story.check(dead_letters={DEAD: STANDARD}).breaches() == {}


def test_a_change_of_visibility_allows_the_next_hand_out(story: Story) -> None:
    story.send("a")
    story.receive("a", visibility_ms=30_000, receive_count=1)
    shown = story.begin(Kind.CHANGE_VISIBILITY, STANDARD, "a")
    story.receive("a", visibility_ms=30_000, receive_count=2)
    story.end(shown, done=["a"])
    assert story.check(left=[(STANDARD, "a")]).breaches() == {}


def test_order_counts_in_fifo_queues_and_within_a_group_only(story: Story) -> None:
    story.send("a1", "a2", queue=FIFO, group="a", first_sequence=1)
    story.send("b1", queue=FIFO, group="b", first_sequence=3)
    story.send("s1")
    story.send("s2")
    story.receive("b1", queue=FIFO, group="b", sequence="3")
    story.receive("a1", queue=FIFO, group="a", sequence="1")
    story.receive("a2", queue=FIFO, group="a", sequence="2")
    story.receive("s2")
    story.receive("s1")
    story.delete("a1", "a2", "b1", queue=FIFO)
    story.delete("s1", "s2")
    assert story.check().breaches() == {}


def test_a_redelivery_does_not_count_as_disorder(story: Story) -> None:
    story.send("a1", "a2", queue=FIFO, group="a", first_sequence=1)
    story.receive("a1", queue=FIFO, group="a", sequence="1", receive_count=1)
    story.receive("a1", queue=FIFO, group="a", sequence="1", receive_count=2)
    story.receive("a2", queue=FIFO, group="a", sequence="2", receive_count=1)
    story.receive("a1", queue=FIFO, group="a", sequence="1", receive_count=3)
    story.delete("a1", "a2", queue=FIFO)
    assert story.check().breaches() == {}


# --- planted breaches ---------------------------------------------------------------------------


def _lost(story: Story) -> None:
    story.send("a")


def _lost_after_a_refused_delete(story: Story) -> None:
    story.send("a")
    story.delete("a", outcome=Outcome.REFUSED)


def _lost_of_a_batch(story: Story) -> None:
    story.send("a", "b")
    story.delete("b")


def _lost_after_a_purge(story: Story) -> None:
    story.end(story.begin(Kind.PURGE, STANDARD))
    story.send("a")


def _lost_after_a_refused_purge(story: Story) -> None:
    story.send("a")
    story.end(story.begin(Kind.PURGE, STANDARD), Outcome.REFUSED)


def _lost_while_another_queue_was_purged(story: Story) -> None:
    story.send("a")
    story.end(story.begin(Kind.PURGE, FIFO))


def _lost_after_it_was_received(story: Story) -> None:
    story.send("a")
    story.receive("a")


@pytest.mark.parametrize(
    "plant",
    [
        _lost,
        _lost_after_a_refused_delete,
        _lost_of_a_batch,
        _lost_after_a_purge,
        _lost_after_a_refused_purge,
        _lost_while_another_queue_was_purged,
        _lost_after_it_was_received,
    ],
)
def test_a_lost_message_is_found(story: Story, plant: Callable[[Story], None]) -> None:
    plant(story)
    assert story.check().breaches() == {"lost": {"jobs/a"}}


def test_a_message_that_nobody_sent_is_found(story: Story) -> None:
    story.receive("a")
    assert story.check().breaches() == {"phantom": {"jobs/a"}}


def test_a_message_whose_send_was_refused_is_found(story: Story) -> None:
    story.send("a", outcome=Outcome.REFUSED)
    story.receive("a")
    assert story.check().breaches() == {"phantom": {"jobs/a"}}


def test_a_message_that_was_refused_within_a_batch_is_found(story: Story) -> None:
    story.send("a", "b", accepted=("b",))
    story.receive("a")
    story.delete("b")
    assert story.check().breaches() == {"phantom": {"jobs/a"}}


def test_a_message_in_another_queue_is_found(story: Story) -> None:
    story.send("a")
    story.delete("a")
    story.receive("a", queue=DEAD, message_id="another id")
    assert story.check().breaches() == {"phantom": {"jobs-dead/a"}}


def test_a_phantom_among_what_is_left_is_found(story: Story) -> None:
    assert story.check(left=[(STANDARD, "a")]).breaches() == {"phantom": {"jobs/a"}}


def test_a_deleted_message_that_comes_back_is_found(story: Story) -> None:
    story.send("a")
    story.delete("a")
    story.receive("a")
    assert story.check().breaches() == {"resurrected": {"jobs/a"}}


def test_a_deleted_message_that_is_left_is_found(story: Story) -> None:
    story.send("a")
    story.delete("a")
    assert story.check(left=[(STANDARD, "a")]).breaches() == {"resurrected": {"jobs/a"}}


def test_a_receive_begun_before_the_delete_was_acknowledged_proves_nothing(story: Story) -> None:
    story.send("a")
    receive = story.begin(Kind.RECEIVE, STANDARD)
    story.delete("a")
    story.end(receive, received=[Received("a", "id of a")])
    assert story.check().breaches() == {}


def test_a_changed_body_is_found(story: Story) -> None:
    story.send("a")
    story.receive("", message_id="id of a")
    story.delete("a")
    assert story.check().breaches() == {"corrupt": {"jobs/id of a"}}


@pytest.mark.parametrize("changed", [{"sequence": "9"}, {"group": "b"}, {"group": None}])
def test_a_changed_attribute_is_found(story: Story, changed: dict[str, Any]) -> None:
    story.send("a", queue=FIFO, group="a", first_sequence=1)
    story.receive("a", queue=FIFO, **{"group": "a", "sequence": "1", **changed})
    story.delete("a", queue=FIFO)
    assert story.check().breaches() == {"corrupt": {"jobs.fifo/a"}}


def test_a_message_handed_out_twice_at_once_is_found(story: Story) -> None:
    story.send("a")
    receives = [story.begin(Kind.RECEIVE, STANDARD, visibility_ms=30_000) for _ in range(2)]
    for count, receive in enumerate(receives, 1):
        story.end(receive, received=[Received("a", "id of a", receive_count=count)])
    story.delete("a")
    assert story.check().breaches() == {"early": {"jobs/a"}}


def test_a_message_handed_out_before_its_time_is_found(story: Story) -> None:
    story.send("a")
    story.receive("a", visibility_ms=1_000, receive_count=1)
    story.now_ms += 900
    story.receive("a", visibility_ms=1_000, receive_count=2)
    story.delete("a")
    assert story.check().breaches() == {"early": {"jobs/a"}}


@pytest.mark.parametrize("outcome", [Outcome.OK, Outcome.REFUSED])
def test_a_refused_or_earlier_change_of_visibility_is_no_excuse(
    story: Story, outcome: Outcome
) -> None:
    story.send("a")
    if outcome is Outcome.OK:
        story.end(story.begin(Kind.CHANGE_VISIBILITY, STANDARD, "a"), outcome)
    story.receive("a", visibility_ms=30_000, receive_count=1)
    if outcome is Outcome.REFUSED:
        story.end(story.begin(Kind.CHANGE_VISIBILITY, STANDARD, "a"), outcome)
    story.receive("a", visibility_ms=30_000, receive_count=2)
    story.delete("a")
    assert story.check().breaches() == {"early": {"jobs/a"}}


def test_a_deduplicated_message_stored_twice_is_found(story: Story) -> None:
    story.send("a", queue=FIFO, group="a", outcome=Outcome.UNKNOWN)
    story.send("a", queue=FIFO, group="a", first_sequence=2, ids="second id of {}".format)
    story.receive("a", queue=FIFO, group="a", sequence="1")
    story.delete("a", queue=FIFO)
    assert story.check().breaches()["doubled"] == {"jobs.fifo/a"}


def test_a_group_out_of_order_is_found(story: Story) -> None:
    story.send("a1", "a2", queue=FIFO, group="a", first_sequence=1)
    story.receive("a2", queue=FIFO, group="a", sequence="2")
    story.receive("a1", queue=FIFO, group="a", sequence="1")
    story.delete("a1", "a2", queue=FIFO)
    assert story.check().breaches() == {"misordered": {"jobs.fifo/a2"}}


def test_an_answer_out_of_order_is_found(story: Story) -> None:
    story.send("a1", "a2", "a3", queue=FIFO, group="a")
    story.receive("a1", "a3", "a2", queue=FIFO, group="a")
    story.delete("a1", "a2", "a3", queue=FIFO)
    assert story.check().breaches() == {"misordered": {"jobs.fifo/a3"}}


def test_sequence_numbers_against_the_order_sent_are_found(story: Story) -> None:
    story.send("a1", queue=FIFO, group="a", first_sequence=7)
    story.send("a2", queue=FIFO, group="a", first_sequence=6)
    story.delete("a1", "a2", queue=FIFO)
    assert story.check().breaches() == {"misordered": {"jobs.fifo/a2"}}


def test_a_sequence_number_given_twice_is_found(story: Story) -> None:
    story.send("a", queue=FIFO, group="a", first_sequence=7)
    story.send("b", queue=FIFO, group="b", first_sequence=7)
    story.delete("a", "b", queue=FIFO)
    assert story.check().breaches() == {"renumbered": {"jobs.fifo/a", "jobs.fifo/b"}}


def test_a_message_id_given_twice_is_found(story: Story) -> None:
    story.send("a", "b", ids=lambda _: "the same")
    story.delete("a", "b")
    assert story.check().breaches() == {"renumbered": {"jobs/a", "jobs/b"}}


@pytest.mark.parametrize("count", [0, 1])
def test_a_receive_count_that_does_not_rise_is_found(story: Story, count: int) -> None:
    story.send("a")
    story.receive("a", receive_count=1)
    story.receive("a", receive_count=count)
    story.delete("a")
    assert story.check().breaches() == {"miscounted": {"jobs/a"}}


# --- bodies and files ---------------------------------------------------------------------------


@pytest.mark.parametrize("padding", ["", "x" * 300, "with:colons:", "é🎉"])
def test_a_body_gives_its_payload_back(padding: str) -> None:
    assert read_body(make_body("p-1", padding)) == "p-1"


def test_any_changed_character_of_a_body_is_found() -> None:
    body = make_body("p-1", "padding")
    for place in range(len(body)):
        changed = body[:place] + chr(ord(body[place]) ^ 1) + body[place + 1 :]
        with pytest.raises(CorruptBody):
            read_body(changed)


@pytest.mark.parametrize("body", ["", ":", "p-1", make_body("p-1", "padding")[:-1]])
def test_what_is_no_body_is_found(body: str) -> None:
    with pytest.raises(CorruptBody):
        read_body(body)


def test_the_file_has_a_line_for_each_call_and_for_each_answer(tmp_path: Path) -> None:
    story = Story(tmp_path / "history.jsonl")
    story.send("a", queue=FIFO, group="g", first_sequence=1)
    story.begin(Kind.DELETE, FIFO, "a")
    story.history.close()

    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]

    assert [(line["call"], line["outcome"]) for line in lines] == [
        (0, "unknown"),
        (0, "ok"),
        (1, "unknown"),
    ]
    assert lines[1]["sent"] == [{"payload": "a", "message_id": "id of a", "sequence": "1"}]
