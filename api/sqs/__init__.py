"""Amazon SQS: the 23 operations of API version 2012-11-05."""

from api.operation import operation, service
from api.sqs.batches import (
    change_message_visibility_batch,
    delete_message_batch,
    send_message_batch,
)
from api.sqs.messages import (
    change_message_visibility,
    delete_message,
    receive_message,
    send_message,
)
from api.sqs.permissions import add_permission, remove_permission
from api.sqs.queues import (
    create_queue,
    delete_queue,
    get_queue_attributes,
    get_queue_url,
    list_queues,
    purge_queue,
    set_queue_attributes,
)
from api.sqs.redrive import (
    cancel_message_move_task,
    list_dead_letter_source_queues,
    list_message_move_tasks,
    start_message_move_task,
)
from api.sqs.tags import list_queue_tags, tag_queue, untag_queue

SQS = service(
    "sqs",
    [
        operation(create_queue, on_queue_path=False),
        operation(get_queue_url),
        operation(list_queues, on_queue_path=False),
        operation(delete_queue),
        operation(purge_queue),
        operation(get_queue_attributes),
        operation(set_queue_attributes),
        operation(send_message),
        operation(send_message_batch),
        operation(receive_message),
        operation(delete_message),
        operation(delete_message_batch),
        operation(change_message_visibility),
        operation(change_message_visibility_batch),
        operation(list_dead_letter_source_queues),
        operation(start_message_move_task),
        operation(list_message_move_tasks),
        operation(cancel_message_move_task),
        operation(tag_queue),
        operation(untag_queue),
        operation(list_queue_tags),
        operation(add_permission),
        operation(remove_permission),
    ],
    version="2012-11-05",
    xml_namespace="http://queue.amazonaws.com/doc/2012-11-05/",
    target_prefix="AmazonSQS",
)
