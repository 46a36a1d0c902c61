-- What a message handed in by the API with an Idempotency-Key was answered with, for a day
-- (queue/handin.h). `key` and `request` are SHA-256; `answer` is the body that was sent.
CREATE TABLE handin(
	id INTEGER PRIMARY KEY,
	key BLOB NOT NULL UNIQUE,
	at INTEGER NOT NULL,
	request BLOB NOT NULL,
	answer BLOB NOT NULL
) STRICT;
CREATE INDEX handin_at ON handin(at);
