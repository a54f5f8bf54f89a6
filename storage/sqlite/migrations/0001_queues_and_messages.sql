-- Queues, messages, and what receiving them needs.  Times are epoch milliseconds.

CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

-- How often the store was opened.  Sequences start anew above all earlier ones at each opening,
-- so that none is given out twice even if a power cut took the tail of the log.
CREATE TABLE openings (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), count INTEGER NOT NULL);
INSERT INTO openings VALUES (1, 0);

CREATE TABLE queues (
    queue_id INTEGER PRIMARY KEY,
    content_id INTEGER NOT NULL,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    modified_at_ms INTEGER NOT NULL,
    purged_at_ms INTEGER,
    deduplicates_per_group INTEGER NOT NULL,
    settings TEXT NOT NULL,  -- JSON
    tags TEXT NOT NULL,      -- JSON
    UNIQUE (account, region, name)
);

CREATE TABLE deleted_queues (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    deleted_at_ms INTEGER NOT NULL,
    PRIMARY KEY (account, region, name)
) WITHOUT ROWID;

-- Contents that no queue holds any more (purged, or the queue deleted); sweep empties them.
CREATE TABLE discarded_contents (content_id INTEGER PRIMARY KEY);

-- A lane is what messages queue up in.  Messages without a group id are in the lane whose id is
-- their content's id and which has no row here; each message group has a row.  `turn` orders the
-- lanes that can be served; NULL: no visible message (standard), or a hidden head (FIFO).
CREATE TABLE lanes (
    lane_id INTEGER PRIMARY KEY,
    content_id INTEGER NOT NULL,
    group_id TEXT NOT NULL,
    size INTEGER NOT NULL,
    turn INTEGER,
    UNIQUE (content_id, group_id)
);
CREATE INDEX lanes_by_turn ON lanes (content_id, turn) WHERE turn IS NOT NULL;

-- due_at_ms: NULL while visible; otherwise the earlier of hidden_until_ms and the moment the
-- message expires.
CREATE TABLE messages (
    sequence INTEGER PRIMARY KEY,
    content_id INTEGER NOT NULL,
    lane_id INTEGER NOT NULL,
    fifo INTEGER NOT NULL,
    due_at_ms INTEGER,
    hidden_until_ms INTEGER,
    receive_count INTEGER NOT NULL,
    first_received_at_ms INTEGER,
    enqueued_at_ms INTEGER NOT NULL,
    sent_at_ms INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    sender_id TEXT NOT NULL,
    group_id TEXT,
    deduplication_id TEXT,
    trace_header TEXT,
    dead_letter_source_arn TEXT,
    attributes TEXT,  -- JSON: {name: [type, text]} or {name: [type, base64, 1]}
    body TEXT NOT NULL
);
-- (the last two columns are constant and take no room; with them the index alone can be counted)
CREATE INDEX messages_visible ON messages (lane_id, sequence, due_at_ms, fifo)
    WHERE due_at_ms IS NULL AND fifo = 0;
CREATE INDEX messages_in_order ON messages (lane_id, sequence) WHERE fifo = 1;
CREATE INDEX messages_hidden ON messages (content_id, due_at_ms, sequence, receive_count)
    WHERE due_at_ms IS NOT NULL;
-- the oldest message over all groups, for retention; without groups messages_visible serves
CREATE INDEX messages_in_groups ON messages (content_id, sequence) WHERE lane_id <> content_id;

-- FIFO deduplication.  `accepted` is the sequence of the message accepted first.
CREATE TABLE deduplications (
    accepted INTEGER PRIMARY KEY,
    content_id INTEGER NOT NULL,
    deduplication_key TEXT NOT NULL,
    message_id TEXT NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    UNIQUE (content_id, deduplication_key)
);

CREATE TABLE receive_attempts (
    attempt INTEGER PRIMARY KEY,
    content_id INTEGER NOT NULL,
    attempt_id TEXT NOT NULL,
    claimed_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    hidden_until_ms INTEGER NOT NULL,
    claims TEXT NOT NULL,  -- JSON: [[sequence, receive count], …]
    UNIQUE (content_id, attempt_id)
);

CREATE TABLE move_tasks (
    started INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id TEXT NOT NULL UNIQUE,
    source_queue_id INTEGER NOT NULL,
    source_arn TEXT NOT NULL,
    destination_arn TEXT,
    messages_per_second INTEGER,
    started_at_ms INTEGER NOT NULL,
    to_move INTEGER NOT NULL,
    moved INTEGER NOT NULL,
    status TEXT NOT NULL,
    failure_reason TEXT
);
CREATE INDEX move_tasks_by_source ON move_tasks (source_queue_id, started);
