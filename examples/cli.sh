#!/usr/bin/env bash
# A tour of SQS with the AWS CLI.
#
#   make run                    (in another terminal)
#   PATH=.venv/bin:$PATH examples/cli.sh
#
# The endpoint is http://127.0.0.1:4566 unless AWS_ENDPOINT_URL_SQS or the first argument says
# otherwise; any credentials will do.
set -euo pipefail

endpoint=${1:-${AWS_ENDPOINT_URL_SQS:-http://127.0.0.1:4566}}
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1
export AWS_PAGER='' AWS_DEFAULT_OUTPUT=text

# Not every version of the CLI reads the endpoint from the environment.
sqs() { aws --endpoint-url "$endpoint" sqs "$@"; }
say() { printf '%s\n' "$*"; }

# --- a queue: send, receive, delete

jobs=$(sqs create-queue --queue-name cli-jobs --query QueueUrl)
say "created $jobs"

sqs send-message --queue-url "$jobs" --message-body 'hello from the shell' >/dev/null
read -r handle body < <(
    sqs receive-message --queue-url "$jobs" --wait-time-seconds 5 \
        --query 'Messages[0].[ReceiptHandle, Body]'
)
say "received: $body"
sqs delete-message --queue-url "$jobs" --receipt-handle "$handle"

sqs set-queue-attributes --queue-url "$jobs" --attributes VisibilityTimeout=0
say "attributes: $(
    sqs get-queue-attributes --queue-url "$jobs" \
        --attribute-names VisibilityTimeout ApproximateNumberOfMessages \
        --query 'Attributes.[VisibilityTimeout, ApproximateNumberOfMessages]' | tr '\t' ' '
)"

# --- a FIFO queue: in order, and a duplicate is recognised

ordered=$(sqs create-queue --queue-name cli-ordered.fifo --query QueueUrl \
    --attributes FifoQueue=true,ContentBasedDeduplication=true)
for body in first second first; do
    sqs send-message --queue-url "$ordered" --message-group-id g --message-body "$body" \
        >/dev/null
done
say "in order: $(
    sqs receive-message --queue-url "$ordered" --max-number-of-messages 10 \
        --query 'Messages[].Body' | tr '\t' ' '
)"

# --- a dead-letter queue, and the way back

dead=$(sqs create-queue --queue-name cli-dead --query QueueUrl)
dead_arn=$(sqs get-queue-attributes --queue-url "$dead" --attribute-names QueueArn \
    --query Attributes.QueueArn)
sqs set-queue-attributes --queue-url "$jobs" --attributes \
    "{\"RedrivePolicy\": \"{\\\"deadLetterTargetArn\\\":\\\"$dead_arn\\\",\\\"maxReceiveCount\\\":1}\"}"

waiting() {
    sqs get-queue-attributes --queue-url "$1" \
        --attribute-names ApproximateNumberOfMessages \
        --query Attributes.ApproximateNumberOfMessages
}

sqs send-message --queue-url "$jobs" --message-body poison >/dev/null
# Received once too often, it is moved instead of handed out.
sqs receive-message --queue-url "$jobs" >/dev/null
sqs receive-message --queue-url "$jobs" >/dev/null
say "in the dead-letter queue: $(waiting "$dead")"

sqs start-message-move-task --source-arn "$dead_arn" >/dev/null
until [ "$(sqs list-message-move-tasks --source-arn "$dead_arn" \
    --query 'Results[0].Status')" = COMPLETED ]; do :; done
say "moved back: $(waiting "$jobs")"

# --- away with it all

for url in "$jobs" "$ordered" "$dead"; do
    sqs delete-queue --queue-url "$url"
done
say "deleted"
