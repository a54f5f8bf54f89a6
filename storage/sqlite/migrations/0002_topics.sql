-- Topics, subscriptions, and what is published to them.  Times are epoch milliseconds.

-- Small pieces of state, each read and written whole.
CREATE TABLE documents (
    kind TEXT NOT NULL,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (kind, account, region, name)
) WITHOUT ROWID;

CREATE TABLE topics (
    topic_id INTEGER PRIMARY KEY,
    revision INTEGER NOT NULL,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    subscriptions_deleted INTEGER NOT NULL,
    data_protection_policy TEXT,
    attributes TEXT NOT NULL,  -- JSON
    tags TEXT NOT NULL,        -- JSON
    UNIQUE (account, region, name)
);

-- A subscription is live while ended_at_ms is NULL.  It outlives its topic for a while.
CREATE TABLE subscriptions (
    subscription_id TEXT PRIMARY KEY,
    topic_id INTEGER NOT NULL,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    topic_name TEXT NOT NULL,
    owner TEXT NOT NULL,
    principal TEXT NOT NULL,
    protocol TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    confirmation_was_authenticated INTEGER NOT NULL,
    authenticate_on_unsubscribe INTEGER NOT NULL,
    token_issued_at_ms INTEGER NOT NULL,
    queue_id INTEGER,
    ended_at_ms INTEGER,
    expires_at_ms INTEGER,
    replay TEXT,              -- JSON: [status, from, until, after sequence]
    attributes TEXT NOT NULL  -- JSON
) WITHOUT ROWID;
CREATE INDEX subscriptions_live ON subscriptions (topic_id) WHERE ended_at_ms IS NULL;
CREATE INDEX subscriptions_expiring ON subscriptions (expires_at_ms)
    WHERE expires_at_ms IS NOT NULL;

-- `accepted` rises with the moment of acceptance; `sequence` is the publication's.
CREATE TABLE topic_deduplications (
    accepted INTEGER PRIMARY KEY,
    topic_id INTEGER NOT NULL,
    deduplication_key TEXT NOT NULL,
    message_id TEXT NOT NULL,
    sequence INTEGER,
    expires_at_ms INTEGER NOT NULL,
    UNIQUE (topic_id, deduplication_key)
);

-- What was published, once for all of its deliveries and the archive, as long as there is a
-- delivery or it is archived.  Its deliveries have the ids above publication_id up to
-- last_delivery_id, those that are still there.  archived_topic_id: NULL if it is not archived.
CREATE TABLE publications (
    publication_id INTEGER PRIMARY KEY,
    last_delivery_id INTEGER NOT NULL,
    archived_topic_id INTEGER,
    sequence INTEGER,
    published_at_ms INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    topic_arn TEXT,
    structured INTEGER NOT NULL,
    group_id TEXT,
    deduplication_id TEXT,
    trace_header TEXT,
    base_url TEXT NOT NULL,
    subject TEXT,
    attributes TEXT,  -- JSON: {name: [type, text]} or {name: [type, base64, 1]}
    message TEXT NOT NULL
);
CREATE INDEX archives_in_order ON publications (archived_topic_id, sequence, published_at_ms)
    WHERE archived_topic_id IS NOT NULL;
CREATE INDEX archives_by_age ON publications (archived_topic_id, published_at_ms, sequence)
    WHERE archived_topic_id IS NOT NULL;

-- By how much a publication of an archive may be older than one of a lower sequence, at most.
CREATE TABLE archives (topic_id INTEGER PRIMARY KEY, disorder_ms INTEGER NOT NULL);

-- Archives of topics that are gone; sweep empties them.
CREATE TABLE discarded_archives (topic_id INTEGER PRIMARY KEY);

CREATE TABLE deliveries (
    delivery_id INTEGER PRIMARY KEY,
    publication_id INTEGER NOT NULL,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    protocol TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    subscription_id TEXT,
    status TEXT NOT NULL,
    due_at_ms INTEGER,
    created_at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    token TEXT,
    attempts INTEGER NOT NULL,
    last_attempt_at_ms INTEGER,
    finished_at_ms INTEGER,
    status_code INTEGER,
    response TEXT,
    dwell_ms INTEGER
);
-- (the last column is constant; with it the index alone tells what is due, and where)
CREATE INDEX deliveries_pending ON deliveries (protocol, endpoint, due_at_ms, delivery_id, status)
    WHERE status = 'pending';
CREATE INDEX deliveries_waiting ON deliveries (protocol) WHERE status = 'waiting';
CREATE INDEX deliveries_finished ON deliveries (finished_at_ms)
    WHERE status NOT IN ('pending', 'waiting');
