-- Failures on demand, looked at in the order of `position`. Numbers of actions
-- and stages are those of queue/fault.h; '' and 0 stand for "any" and "none".
CREATE TABLE fault(
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	position INTEGER NOT NULL,
	name TEXT NOT NULL UNIQUE,
	enabled INTEGER NOT NULL,
	action INTEGER NOT NULL,
	stage INTEGER NOT NULL,
	recipient TEXT NOT NULL,
	sender TEXT NOT NULL,
	user TEXT NOT NULL,
	scope TEXT NOT NULL,
	code INTEGER NOT NULL,
	enhanced TEXT NOT NULL,
	reply TEXT NOT NULL,
	delay_ms INTEGER NOT NULL,
	attempts INTEGER NOT NULL,
	skip INTEGER NOT NULL,
	every INTEGER NOT NULL,
	times INTEGER NOT NULL,
	note TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	created_by TEXT,
	revision INTEGER NOT NULL
) STRICT;
INSERT INTO meta VALUES('fault_revision', 0);

-- What a rule decided for a recipient when it was accepted (relay/filter/fate.h).
ALTER TABLE recipient ADD COLUMN fault TEXT;
