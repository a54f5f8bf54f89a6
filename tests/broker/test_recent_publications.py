"""What is remembered of publications: the latest, in bounded memory."""

from typing import Any

import pytest

from broker.recent_publications import RecentPublication, RecentPublications
from storage.records import MessageAttribute
from storage.topic_records import Publication

TOPIC = "arn:aws:sns:us-east-1:000000000000:news"


def publication(
    number: int,
    *,
    message: str = "hello",
    attribute: str | None = None,
    copies: int = 0,
) -> RecentPublication:
    attributes = None if attribute is None else {"a": MessageAttribute("String", attribute)}
    return RecentPublication(
        Publication(str(number), TOPIC, message, 0, attributes=attributes),
        {str(each): "an id" for each in range(copies)},
    )


def remembered(recent: RecentPublications, count: int) -> list[int]:
    return [number for number in range(count) if recent.find(str(number)) is not None]


def test_a_publication_is_found_by_its_id() -> None:
    recent = RecentPublications()
    recent.remember(publication(1, copies=2))
    assert recent.find("1") == publication(1, copies=2)
    assert recent.find("2") is None


def test_the_latest_thousand_are_remembered() -> None:
    recent = RecentPublications()
    for number in range(1_010):
        recent.remember(publication(number))
    assert remembered(recent, 1_010) == list(range(10, 1_010))


@pytest.mark.parametrize(
    "large",
    [
        {"message": "x" * 1_048_576},
        {"attribute": "x" * 1_048_576},
        {"copies": 1_048_576 // 200},
    ],
)
def test_large_ones_are_fewer(large: dict[str, Any]) -> None:
    recent = RecentPublications()
    for number in range(20):
        recent.remember(publication(number, **large))
    assert remembered(recent, 20) == list(range(13, 20))
    for number in range(20, 1_100):
        recent.remember(publication(number))
    assert remembered(recent, 1_100) == list(range(100, 1_100))
