-- Looking at messages, and checkpoints.  Times are epoch milliseconds.

ALTER TABLE messages ADD COLUMN claimed_at_ms INTEGER;  -- the latest receive

-- All messages of a content in order: those in groups are in messages_in_groups, the others here.
CREATE INDEX messages_without_group ON messages (content_id, sequence) WHERE lane_id = content_id;

-- Whose the source is, or was.
ALTER TABLE move_tasks ADD COLUMN account TEXT;
ALTER TABLE move_tasks ADD COLUMN region TEXT;
UPDATE move_tasks SET (account, region) = (
    SELECT account, region FROM queues WHERE queue_id = source_queue_id);

-- account, region: the scope; NULL stands for all.
CREATE TABLE checkpoints (
    checkpoint_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    account TEXT,
    region TEXT,
    saved_at_ms INTEGER NOT NULL,
    queues INTEGER NOT NULL,
    topics INTEGER NOT NULL,
    messages INTEGER NOT NULL
);

-- What a checkpoint holds is in copies of the tables: a column that is added to a table is added to
-- its copy.  A restored content has the rows and the id it had, so that only what differs is
-- written; open_turn is the turn of its lane without a group id.
CREATE TABLE checkpoint_queues AS SELECT 0 AS checkpoint_id, 0 AS open_turn, * FROM queues WHERE 0;
CREATE UNIQUE INDEX checkpoint_queues_by_id ON checkpoint_queues (checkpoint_id, queue_id);

CREATE TABLE checkpoint_messages AS SELECT 0 AS checkpoint_id, * FROM messages WHERE 0;
CREATE UNIQUE INDEX checkpoint_messages_by_sequence
    ON checkpoint_messages (checkpoint_id, sequence);

CREATE TABLE checkpoint_lanes AS SELECT 0 AS checkpoint_id, * FROM lanes WHERE 0;
CREATE UNIQUE INDEX checkpoint_lanes_by_id ON checkpoint_lanes (checkpoint_id, lane_id);

CREATE TABLE checkpoint_deduplications AS
    SELECT 0 AS checkpoint_id, * FROM deduplications WHERE 0;
CREATE UNIQUE INDEX checkpoint_deduplications_by_id
    ON checkpoint_deduplications (checkpoint_id, accepted);

CREATE TABLE checkpoint_receive_attempts AS
    SELECT 0 AS checkpoint_id, * FROM receive_attempts WHERE 0;
CREATE INDEX checkpoint_receive_attempts_by_id ON checkpoint_receive_attempts (checkpoint_id);

CREATE TABLE checkpoint_deleted_queues AS
    SELECT 0 AS checkpoint_id, * FROM deleted_queues WHERE 0;
CREATE INDEX checkpoint_deleted_queues_by_id ON checkpoint_deleted_queues (checkpoint_id);

CREATE TABLE checkpoint_move_tasks AS SELECT 0 AS checkpoint_id, * FROM move_tasks WHERE 0;
CREATE INDEX checkpoint_move_tasks_by_id ON checkpoint_move_tasks (checkpoint_id);

CREATE TABLE checkpoint_documents AS SELECT 0 AS checkpoint_id, * FROM documents WHERE 0;
CREATE INDEX checkpoint_documents_by_id ON checkpoint_documents (checkpoint_id);

CREATE TABLE checkpoint_topics AS SELECT 0 AS checkpoint_id, * FROM topics WHERE 0;
CREATE UNIQUE INDEX checkpoint_topics_by_id ON checkpoint_topics (checkpoint_id, topic_id);

CREATE TABLE checkpoint_subscriptions AS SELECT 0 AS checkpoint_id, * FROM subscriptions WHERE 0;
CREATE INDEX checkpoint_subscriptions_by_id ON checkpoint_subscriptions (checkpoint_id);

CREATE TABLE checkpoint_topic_deduplications AS
    SELECT 0 AS checkpoint_id, * FROM topic_deduplications WHERE 0;
CREATE INDEX checkpoint_topic_deduplications_by_id
    ON checkpoint_topic_deduplications (checkpoint_id);

CREATE TABLE checkpoint_archives AS SELECT 0 AS checkpoint_id, * FROM archives WHERE 0;
CREATE INDEX checkpoint_archives_by_id ON checkpoint_archives (checkpoint_id);

CREATE TABLE checkpoint_deliveries AS SELECT 0 AS checkpoint_id, * FROM deliveries WHERE 0;
CREATE INDEX checkpoint_deliveries_by_publication
    ON checkpoint_deliveries (checkpoint_id, publication_id);

-- archived_topic_id: NULL too if the topic is not in the checkpoint.
CREATE TABLE checkpoint_publications AS SELECT 0 AS checkpoint_id, * FROM publications WHERE 0;
CREATE UNIQUE INDEX checkpoint_publications_by_id
    ON checkpoint_publications (checkpoint_id, publication_id);
