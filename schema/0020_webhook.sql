-- What an endpoint of somebody's is to be told of (queue/webhook.h): one event for one target.
CREATE TABLE webhook_call(
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	event BLOB NOT NULL,                -- a ULID, the same for every target and every try
	target TEXT NOT NULL,               -- the name of the webhook
	type TEXT NOT NULL,
	made_at INTEGER NOT NULL,
	due_at INTEGER,                     -- NULL: a dead letter, tried too often
	attempts INTEGER NOT NULL DEFAULT 0,
	tried_at INTEGER NOT NULL DEFAULT 0,
	status INTEGER NOT NULL DEFAULT 0,  -- of the last answer
	error TEXT,
	body TEXT NOT NULL                  -- what is sent, byte for byte
) STRICT;
CREATE INDEX webhook_call_due ON webhook_call(target, due_at);
CREATE INDEX webhook_call_dead ON webhook_call(id) WHERE due_at IS NULL;
