"""Why did my message not arrive?

``GET /_headrace/sns/explain?topicArn=…&messageId=…`` says what became of a message that was
published; ``POST`` with the parameters of a Publish, as JSON, what would become of it.
"""

from pydantic import ValidationError
from starlette.requests import Request

from api.admin.describing import NOT_FOUND, DescribedRoute, Doc, Parameter
from api.admin.requests import BadRequest, Json
from api.operation import Blob, Wire
from broker import Broker, Caller, RawAttribute, TopicDraft
from broker.topic_errors import InvalidParameter

#: problems as pydantic names them
_PROBLEMS = {
    "missing": "is missing",
    "string_type": "is not a text",
    "dict_type": "is not a JSON object",
    "model_type": "is not a JSON object",
    "model_attributes_type": "is not a JSON object",
}


class _Attribute(Wire):
    data_type: str
    string_value: str | None = None
    binary_value: Blob | None = None


class _Draft(Wire):
    topic_arn: str
    message: str
    message_structure: str | None = None
    message_attributes: dict[str, _Attribute] | None = None


async def explain_published(request: Request) -> Json:
    """What became of a message, for each subscription."""
    broker: Broker = request.app.state.broker
    arn, message_id = _parameter(request, "topicArn"), _parameter(request, "messageId")
    topic = await broker.topics.get(_caller(arn), arn)
    return Json(await broker.explanations.of_message_id(topic, message_id))


async def explain_draft(request: Request) -> Json:
    """What would become of a message, for each subscription; nothing is published."""
    broker: Broker = request.app.state.broker
    document = await _UNPUBLISHED.read_body(request)
    try:
        draft = _Draft.model_validate(document)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        path = ".".join(str(each) for each in problem["loc"])
        told = _PROBLEMS.get(problem["type"], "is not valid")
        raise BadRequest(f"{path} {told}") from None
    topic = await broker.topics.get(_caller(draft.topic_arn), draft.topic_arn)
    attributes = {
        name: RawAttribute(each.data_type, each.string_value, each.binary_value)
        for name, each in (draft.message_attributes or {}).items()
    }
    return Json(
        await broker.explanations.of_draft(
            topic,
            TopicDraft(
                draft.message, message_structure=draft.message_structure, attributes=attributes
            ),
        )
    )


def _parameter(request: Request, name: str) -> str:
    value = request.query_params.get(name)
    if value is None:
        raise BadRequest(f"{name} is missing")
    return value


def _caller(arn: str) -> Caller:
    """Whoever is allowed to see a topic: there is one operator."""
    parts = arn.split(":")
    if len(parts) != 6:
        raise InvalidParameter.of("TopicArn")
    return Caller(parts[4], parts[3], "", signed=True)


_PUBLISHED = Doc(
    query=(
        Parameter("topicArn", "The topic.", {"type": "string"}, required=True),
        Parameter("messageId", "What Publish answered.", {"type": "string"}, required=True),
    ),
    statuses=NOT_FOUND,
)
_UNPUBLISHED = Doc(
    body={
        "type": "object",
        "description": "As the parameters of a Publish.",
        "required": ["TopicArn", "Message"],
        "properties": {
            "TopicArn": {"type": "string"},
            "Message": {"type": "string"},
            "MessageStructure": {"type": "string"},
            "Subject": {"type": "string"},
            "MessageGroupId": {"type": "string"},
            "MessageDeduplicationId": {"type": "string"},
            "MessageAttributes": {"type": "object"},
        },
    },
    statuses=NOT_FOUND,
)

ROUTES = [
    DescribedRoute("/_headrace/sns/explain", explain_published, methods=["GET"], doc=_PUBLISHED),
    DescribedRoute("/_headrace/sns/explain", explain_draft, methods=["POST"], doc=_UNPUBLISHED),
]
