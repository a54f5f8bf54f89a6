"""The checker of topics finds every breach planted in a story, and none in one that is fine."""

from collections.abc import Callable

import pytest

from tests.reliability.history import Outcome, Sent
from tests.reliability.topic_history import ENDPOINT, Copy, Publish, Subscriber, check

NEWS, ORDERED = "news", "ordered.fifo"
SUBSCRIBERS = {
    "all": Subscriber(NEWS),
    "reds": Subscriber(NEWS, "red"),
    ENDPOINT: Subscriber(NEWS),
    "fifo": Subscriber(ORDERED, ordered=True),
    "late": Subscriber(ORDERED),
}


class Story:
    """What happened, all of it fine at first; planted breaches change it afterwards."""

    def __init__(self) -> None:
        self.publishes: list[Publish] = []
        self.copies: dict[str, list[Copy]] = {name: [] for name in SUBSCRIBERS}
        self.attempts: list[dict[str, int]] = []
        self._number = 0

    def publish(
        self,
        *payloads: str,
        topic: str = NEWS,
        color: str = "red",
        group: str | None = None,
        outcome: Outcome = Outcome.OK,
        delivered: bool = True,
    ) -> Publish:
        sent = []
        for payload in payloads:
            self._number += 1
            sequence = None if group is None else f"{self._number:020}"
            sent.append(Sent(payload, f"id of {payload}", sequence))
            for name, subscriber in SUBSCRIBERS.items():
                if delivered and subscriber.topic == topic and subscriber.color in (None, color):
                    copy = Copy(payload, group, f"id of {payload}", sequence)
                    self.copies[name].append(copy)
        call = Publish(topic, payloads, color, group, outcome)
        call.sent = tuple(sent) if outcome is Outcome.OK else ()
        self.publishes.append(call)
        return call

    def found(self) -> dict[str, set[str]]:
        return check(self.publishes, self.copies, SUBSCRIBERS, attempts=self.attempts).found()

    def change(self, name: str, place: int, **fields: str | None) -> None:
        self.copies[name][place] = self.copies[name][place]._replace(**fields)  # type: ignore[arg-type]


@pytest.fixture
def story() -> Story:
    """Two messages to each topic, the second pair blue."""
    story = Story()
    story.publish("a")
    story.publish("b", color="blue")
    story.publish("x", topic=ORDERED, group="g")
    story.publish("y", topic=ORDERED, group="g")
    return story


# --- what is fine -------------------------------------------------------------------------------


def test_a_story_without_fault_has_no_breach(story: Story) -> None:
    story.publish("c", "d")
    assert story.found() == {}


def test_a_publish_without_answer_may_have_happened_or_not(story: Story) -> None:
    story.publish("c", "d", outcome=Outcome.UNKNOWN)
    story.publish("e", "f", outcome=Outcome.UNKNOWN, delivered=False)
    story.publish("g", outcome=Outcome.REFUSED, delivered=False)
    assert story.found() == {}


def test_a_publish_that_was_repeated_counts_once(story: Story) -> None:
    story.publish("z", topic=ORDERED, group="g", outcome=Outcome.UNKNOWN, delivered=False)
    again = story.publish("z", topic=ORDERED, group="g")
    story.publishes.append(again)
    assert story.found() == {}


def test_the_endpoint_may_get_a_message_more_than_once(story: Story) -> None:
    story.copies[ENDPOINT] *= 2
    assert story.found() == {}


def test_order_counts_within_a_group_and_in_fifo_queues_only(story: Story) -> None:
    story.publish("z", topic=ORDERED, group="another")
    story.copies["fifo"].insert(0, story.copies["fifo"].pop())
    story.copies["late"].reverse()
    story.copies["all"].reverse()
    assert story.found() == {}


def test_attempts_may_rise_and_end(story: Story) -> None:
    story.attempts = [{"1": 0, "2": 3}, {"1": 2}, {"1": 2, "3": 0}, {}]
    assert story.found() == {}


# --- planted breaches ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["all", "reds", ENDPOINT])
def test_a_message_that_one_subscriber_has_not_got_is_found(story: Story, name: str) -> None:
    del story.copies[name][0]
    assert story.found() == {"lost": {f"{name}/a"}}


def test_a_repeated_message_that_is_nowhere_is_found(story: Story) -> None:
    story.publish("z", topic=ORDERED, group="g", outcome=Outcome.UNKNOWN, delivered=False)
    story.publish("z", topic=ORDERED, group="g", delivered=False)
    assert story.found() == {"lost": {"fifo/z", "late/z"}}


@pytest.mark.parametrize("name", ["all", "reds", ENDPOINT])
def test_a_publish_that_happened_in_part_is_found(story: Story, name: str) -> None:
    story.publish("c", outcome=Outcome.UNKNOWN)
    story.copies[name].pop()
    assert story.found() == {"partial": {f"{name}/c"}}


def test_a_part_of_a_batch_is_found(story: Story) -> None:
    story.publish("c", "d", outcome=Outcome.UNKNOWN)
    for name in ("all", "reds", ENDPOINT):
        story.copies[name].pop()
    assert story.found() == {"partial": {f"{name}/d" for name in ("all", "reds", ENDPOINT)}}


def test_a_message_that_is_there_twice_is_found(story: Story) -> None:
    story.copies["all"] *= 2
    assert story.found() == {"doubled": {"all/a", "all/b"}}


def test_a_deduplicated_message_that_is_there_twice_is_found(story: Story) -> None:
    story.publish("z", topic=ORDERED, group="g", outcome=Outcome.UNKNOWN)
    story.publish("z", topic=ORDERED, group="g")
    assert story.found()["doubled"] == {"fifo/z", "late/z"}


@pytest.mark.parametrize("name", ["all", ENDPOINT])
def test_a_message_that_nobody_published_is_found(story: Story, name: str) -> None:
    story.copies[name].append(Copy("c"))
    assert story.found() == {"phantom": {f"{name}/c"}}


def test_a_refused_message_is_found(story: Story) -> None:
    story.publish("c", outcome=Outcome.REFUSED)
    assert story.found() == {"phantom": {f"{name}/c" for name in ("all", "reds", ENDPOINT)}}


def test_a_message_of_a_color_that_is_filtered_out_is_found(story: Story) -> None:
    story.copies["reds"].append(story.copies["all"][1])
    assert story.found() == {"phantom": {"reds/b"}}


def test_a_message_of_another_topic_is_found(story: Story) -> None:
    story.copies["all"].append(story.copies["fifo"][0])
    assert story.found() == {"phantom": {"all/x"}}


@pytest.mark.parametrize(
    "change",
    [{"message_id": "another"}, {"sequence": "00000000000000000009"}, {"group": "another"}],
    ids=str,
)
def test_another_id_number_or_group_than_the_publishers_is_found(
    story: Story, change: dict[str, str]
) -> None:
    story.change("fifo", 0, **change)
    assert story.found() == {"corrupt": {"fifo/x"}}


def test_a_changed_message_is_found(story: Story) -> None:
    story.copies["all"].append(Copy(""))
    assert story.found() == {"corrupt": {"all/"}}


def _swapped(story: Story) -> None:
    story.copies["fifo"].reverse()


def _numbered_backwards(story: Story) -> None:
    first, last = (publish.sent[0] for publish in story.publishes[2:])
    for publish, sequence in zip(story.publishes[2:], (last.sequence, first.sequence), strict=True):
        [sent] = publish.sent
        publish.sent = (Sent(sent.payload, sent.message_id, sequence),)
    for name in ("fifo", "late"):
        for place in (0, 1):
            story.change(name, place, sequence=None)


@pytest.mark.parametrize("plant", [_swapped, _numbered_backwards])
def test_a_group_out_of_order_is_found(story: Story, plant: Callable[[Story], None]) -> None:
    plant(story)
    [(kind, where)] = story.found().items()
    assert kind == "misordered"
    assert where in ({"fifo/x"}, {"ordered.fifo/y"})


def test_a_message_id_of_two_messages_is_found(story: Story) -> None:
    for publish in story.publishes[:2]:
        publish.sent = (Sent(publish.payloads[0], "same"),)
    assert story.found()["renumbered"] == {"news/a", "news/b"}


@pytest.mark.parametrize("again", [("another", "3"), ("id of x", "9")])
def test_another_answer_to_the_same_publish_is_found(story: Story, again: tuple[str, str]) -> None:
    call = Publish(ORDERED, ("x",), "red", "g", Outcome.OK, (Sent("x", *again),))
    story.publishes.append(call)
    assert story.found()["renumbered"] == {"ordered.fifo/x"}


def test_a_delivery_that_forgets_its_attempts_is_found(story: Story) -> None:
    story.attempts = [{"1": 2, "2": 1}, {"2": 1}, {"1": 1, "2": 2}]
    assert story.found() == {"forgotten": {f"{ENDPOINT}/1"}}
