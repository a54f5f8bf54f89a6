"""Why a request does not fit its model, in SNS's words (SNS reference, 1.4)."""

from pydantic import ValidationError

from api.operation import NestedList, Wire
from api.wire.query import fields
from broker.errors import BrokerError
from broker.topic_errors import InvalidParameter, NullMember

#: More mistakes than this are not told: a request can make thousands.
_PROBLEMS_MAX = 20


def shape_refusal(model: type[Wire], error: ValidationError) -> BrokerError:
    """What is wrong with a request of ``model``.

    AWS's framework reports what is null within it, and lists and maps; a missing parameter of
    another kind is reported by the operation, after that.
    """
    problems = error.errors(include_url=False, include_context=False)
    nulls = []
    missing = []
    for problem in problems[:_PROBLEMS_MAX]:
        name, path, is_parameter = _place(model, problem["loc"])
        if problem["type"] != "missing" and problem["input"] is not None:
            return InvalidParameter.of(f"{name} Reason: the value could not be read")
        if is_parameter:
            missing.append(name)
        else:
            nulls.append(path)
    return NullMember(*nulls) if nulls else InvalidParameter.missing(missing[0])


def _place(model: type[Wire], location: tuple[int | str, ...]) -> tuple[str, str, bool]:
    """A member's own name, AWS's path to it, and whether it is a single parameter of its own."""
    name = ""
    parts: list[str] = []
    item = model
    rest = list(location)
    while rest and isinstance(item, type) and issubclass(item, Wire):
        name = str(rest.pop(0))
        field = dict(fields(item))[name]
        parts.append(name[0].lower() + name[1:])
        if field.spelling is not None and rest:
            index = rest.pop(0)
            if isinstance(field.spelling, NestedList):
                index = int(index) + 1
            parts.append(f"{index}.member")
        is_parameter = field.spelling is None and len(parts) == 1
        item = field.item
    return name, ".".join(parts), is_parameter
