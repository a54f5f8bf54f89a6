"""Random looking, starting over and going back among other calls: all stores give one answer."""

from collections.abc import Awaitable, Callable, Sequence

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from storage.admin_records import MessageState, Peeked, PeekFilter, Scope, Transfer
from storage.contract import Storage
from storage.records import QueueKey, QueueRecord
from tests.storage.test_stores_agree import StoresAgree, queues, seldom
from tests.storage.test_topic_stores_agree import QUEUES, TOPICS, TopicStoresAgree
from tests.storage.topic_builders import ACCOUNT, REGION

filters = st.builds(
    PeekFilter,
    states=st.sampled_from(
        (None, None, *((state,) for state in MessageState), tuple(MessageState), ())
    ),
    group_id=st.sampled_from((None, None, "a", "b")),
    message_id=st.sampled_from((None, None, None, "id of m1")),
)
#: Places in a list of messages, some of them twice, some not there.
places = st.lists(st.integers(0, 6), min_size=1, max_size=4)
checkpoints = st.sampled_from("xy")
scopes = st.sampled_from((Scope(), Scope(), Scope(ACCOUNT), Scope(ACCOUNT, REGION), Scope("other")))


def present_queues(machine: StoresAgree | TopicStoresAgree, name: str) -> list[QueueRecord]:
    """The queue of that name in each store, if they have it."""
    key = QueueKey(ACCOUNT, REGION, name)
    found = machine.ask(lambda _, store: store.get_queue(key))
    records = [record for record in found if record is not None]
    assert len(records) in (0, len(found)), found
    return records


class AdminStoresAgree(StoresAgree):
    """Messages under the hands of a tool, and queues that go back to what they were."""

    def __init__(self) -> None:
        super().__init__()
        #: what was known when each checkpoint was saved
        self.saved: dict[str, tuple[dict[tuple[str, str], int], dict[tuple[str, str | None], int]]]
        self.saved = {}

    # Looking.

    @rule(name=queues, chosen=filters, limit=st.sampled_from((1, 2, 50)), after=st.integers(0, 5))
    def peek_messages(self, name: str, chosen: PeekFilter, limit: int, after: int) -> None:
        if name not in self.records:
            return
        starts = [[0, *found] for found in self.sequences(name)]
        self.peeked(name, chosen, limit, [found[after % len(found)] for found in starts])

    def peeked(
        self, name: str, chosen: PeekFilter, limit: int, after: Sequence[int]
    ) -> list[list[Peeked]]:
        """What each store shows, which must be the same."""
        answers = self.ask(
            lambda number, store: store.peek_messages(
                self.queue_id(name, number),
                chosen,
                after_sequence=after[number],
                limit=limit,
                now_ms=self.now_ms,
            )
        )
        for found in zip(*answers, strict=True):
            same = [each._replace(message=each.message._replace(sequence=0)) for each in found]
            assert all(each == same[0] for each in same), same
            self.pair([each.message.sequence for each in found])
        return answers

    def sequences(self, name: str) -> list[list[int]]:
        """The sequences of all messages, in order, as each store has them."""
        answers = self.peeked(name, PeekFilter(), 10_000, [0] * len(self.stores))
        return [[each.message.sequence for each in found] for found in answers]

    @rule(name=queues)
    def look_for_the_oldest(self, name: str) -> None:
        if name in self.records:
            self.agree(
                lambda number, store: store.oldest_message_sent_at_ms(
                    self.queue_id(name, number), now_ms=self.now_ms
                )
            )

    # Putting a hand on messages.

    def chosen_sequences(self, name: str, chosen: list[int]) -> list[list[int]]:
        return [
            [found[place] if place < len(found) else 2**62 + place for place in chosen]
            for found in self.sequences(name)
        ]

    @rule(name=queues, chosen=places)
    def show(self, name: str, chosen: list[int]) -> None:
        if name not in self.records:
            return
        found = self.chosen_sequences(name, chosen)
        shown = self.agree(
            lambda number, store: store.show_messages(
                self.queue_id(name, number), found[number], now_ms=self.now_ms
            )
        )
        for message_id in shown:
            self.hidden_until_ms.pop((name, message_id), None)

    @rule(name=queues, chosen=places)
    def remove(self, name: str, chosen: list[int]) -> None:
        if name not in self.records:
            return
        found = self.chosen_sequences(name, chosen)
        removed = self.agree(
            lambda number, store: store.remove_messages(
                self.queue_id(name, number), found[number], now_ms=self.now_ms
            )
        )
        for message_id in removed:
            self.hidden_until_ms.pop((name, message_id), None)

    @rule(name=queues, chosen=places)
    def transfer(self, name: str, chosen: list[int]) -> None:
        if len(self.records) < 2:
            return
        destination = "source" if name == "dead" else "dead"
        found = self.chosen_sequences(name, chosen)
        self.sent += 1
        self.agree(
            lambda number, store: store.transfer_messages(
                self.queue_id(name, number),
                [
                    Transfer(
                        sequence, self.queue_id(destination, number), f"t{self.sent}.{position}"
                    )
                    for position, sequence in enumerate(found[number])
                ],
                now_ms=self.now_ms,
            )
        )

    # Starting over, going back.

    @rule(scope=scopes, sure=seldom)
    def reset(self, scope: Scope, sure: bool) -> None:
        if sure:
            self.ask(lambda _, store: store.reset(scope, now_ms=self.now_ms))
            if scope != Scope("other"):
                self.hidden_until_ms = {}
            self.see_queues()

    @rule(checkpoint=checkpoints, scope=scopes)
    def save(self, checkpoint: str, scope: Scope) -> None:
        self.agree(lambda _, store: store.save_checkpoint(checkpoint, scope, now_ms=self.now_ms))
        self.saved[checkpoint] = dict(self.hidden_until_ms), dict(self.last_first_delivery)

    @precondition(lambda self: self.saved)
    @rule(checkpoint=checkpoints)
    def restore(self, checkpoint: str) -> None:
        answer = self.agree(
            lambda _, store: store.restore_checkpoint(checkpoint, now_ms=self.now_ms)
        )
        assert (answer is None) == (checkpoint not in self.saved)
        if answer is not None and answer.scope != Scope("other"):
            hidden, delivered = self.saved[checkpoint]
            self.hidden_until_ms, self.last_first_delivery = dict(hidden), dict(delivered)
        self.see_queues()

    @precondition(lambda self: self.saved)
    @rule(checkpoint=checkpoints, sure=seldom)
    def delete_checkpoint(self, checkpoint: str, sure: bool) -> None:
        if sure:
            there = self.agree(lambda _, store: store.delete_checkpoint(checkpoint))
            assert there == (self.saved.pop(checkpoint, None) is not None)

    @rule()
    def list_checkpoints(self) -> None:
        found = self.agree(lambda _, store: store.list_checkpoints())
        assert [each.name for each in found] == sorted(self.saved)

    @rule()
    def sweep_a_little(self) -> None:
        self.ask(lambda _, store: store.sweep(now_ms=self.now_ms, limit=1))

    def see_queues(self) -> None:
        """See which queues there are now, and forget the receipts of others."""
        for name in ("source", "dead"):
            found = present_queues(self, name)
            self.records.pop(name, None)
            if found:
                self.records[name] = found
        self.claims = [claim for claim in self.claims if self.is_known(claim[0], claim[1])]

    def is_known(self, name: str, queue_ids: list[int]) -> bool:
        return [record.queue_id for record in self.records.get(name, [])] == queue_ids


class AdminTopicStoresAgree(TopicStoresAgree):
    """Topics, subscriptions, documents, deliveries and archives that go back to what they were."""

    def restored(self, call: Callable[[int, Storage], Awaitable[object]]) -> None:
        """Have every store change everything at once, and look at what is there now."""
        self.agree(call)
        for name in QUEUES:
            ids = [record.queue_id for record in present_queues(self, name)]
            self.queue_ids[name] = ids or self.queue_ids[name]
        for name in TOPICS:
            self.fetch_topic(name)
        self.look_at_lanes()
        self.look_at_everything()

    @rule(scope=scopes, sure=seldom)
    def reset(self, scope: Scope, sure: bool) -> None:
        if sure:
            self.restored(lambda _, store: store.reset(scope, now_ms=self.now_ms))

    @rule(checkpoint=checkpoints, scope=scopes)
    def save(self, checkpoint: str, scope: Scope) -> None:
        self.agree(lambda _, store: store.save_checkpoint(checkpoint, scope, now_ms=self.now_ms))

    @rule(checkpoint=checkpoints)
    def restore(self, checkpoint: str) -> None:
        self.restored(lambda _, store: store.restore_checkpoint(checkpoint, now_ms=self.now_ms))


for machine, examples in ((AdminStoresAgree, 100), (AdminTopicStoresAgree, 50)):
    machine.TestCase.settings = settings(
        max_examples=examples,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


class TestAdminStoresAgree(AdminStoresAgree.TestCase):  # type: ignore[misc,valid-type]
    """Runs the state machine of queues."""


class TestAdminTopicStoresAgree(AdminTopicStoresAgree.TestCase):  # type: ignore[misc,valid-type]
    """Runs the state machine of topics."""
