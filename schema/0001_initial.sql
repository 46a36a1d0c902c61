-- Times are milliseconds since 1970 (UTC), bound by the program. Numbers of
-- states, roles, kinds and actions are those of the headers in queue/.

-- One row a message that was accepted.
CREATE TABLE message(
	id INTEGER PRIMARY KEY,             -- given by the program, below 2^47, never used twice
	uid BLOB NOT NULL UNIQUE,           -- the ULID that the outside knows
	received_at INTEGER NOT NULL,
	sender TEXT NOT NULL,               -- '' for the null reverse-path
	size INTEGER NOT NULL,
	header_size INTEGER NOT NULL,
	header_parsed INTEGER NOT NULL,
	body_8bit INTEGER NOT NULL,
	smtputf8 INTEGER NOT NULL,
	envid TEXT,
	ret TEXT,
	bare_cr INTEGER NOT NULL,
	bare_lf INTEGER NOT NULL,
	listener TEXT,
	scope TEXT NOT NULL,
	client_address TEXT,
	client_port INTEGER NOT NULL,
	client_name TEXT,
	helo TEXT,
	protocol TEXT,
	user TEXT,
	tls TEXT,
	subject TEXT,
	message_id TEXT,
	received_field TEXT NOT NULL,
	origin TEXT
) STRICT;

-- The bytes, 256 KiB a row. id = message << 16 | sequence: one tree serves both,
-- and the rows of a message lie together.
CREATE TABLE chunk(
	id INTEGER PRIMARY KEY,
	data BLOB NOT NULL
) STRICT;

-- Messages whose chunks are there without a message row: still arriving, or
-- waiting to be removed. Every row found at start is left over from a crash.
CREATE TABLE staging(
	message INTEGER PRIMARY KEY
) STRICT;

-- The unit of work. id = message << 16 | ordinal, as above.
CREATE TABLE recipient(
	id INTEGER PRIMARY KEY,
	address TEXT NOT NULL,
	state INTEGER NOT NULL,
	accepted_state INTEGER NOT NULL,    -- the first one: the beginning of its story
	wish INTEGER NOT NULL DEFAULT 0,
	due_at INTEGER,                     -- NULL unless it can be claimed
	waiting_since INTEGER NOT NULL,     -- accepted, released or retried at; expiry counts from here
	updated_at INTEGER NOT NULL,
	lease INTEGER,
	lease_until INTEGER,
	attempts INTEGER NOT NULL DEFAULT 0,
	in_doubt INTEGER NOT NULL DEFAULT 0,
	events INTEGER NOT NULL DEFAULT 0,  -- the highest sequence in history
	verdict TEXT NOT NULL,
	verdict_reason TEXT,
	entry INTEGER NOT NULL DEFAULT 0,
	revision INTEGER NOT NULL DEFAULT 0,
	nearest TEXT,
	reason TEXT,                        -- why it is in this state; NULL: the verdict's reason
	route TEXT,
	reply_code INTEGER NOT NULL DEFAULT 0,
	reply_enhanced TEXT,
	reply_text TEXT,
	notify TEXT,
	orcpt TEXT,
	origin TEXT
) STRICT;
CREATE INDEX recipient_due ON recipient(due_at) WHERE due_at IS NOT NULL;
CREATE INDEX recipient_waiting ON recipient(waiting_since) WHERE due_at IS NOT NULL;

-- What happened to a recipient after it was accepted. Sequence 0 is there only
-- when a later judgement replaced the one made at acceptance: it keeps that one.
CREATE TABLE history(
	recipient INTEGER NOT NULL,
	sequence INTEGER NOT NULL,
	at INTEGER NOT NULL,
	event TEXT NOT NULL,
	state INTEGER NOT NULL,
	reason TEXT,
	actor TEXT,
	route TEXT,
	remote TEXT,
	reply_code INTEGER NOT NULL DEFAULT 0,
	reply_enhanced TEXT,
	reply_text TEXT,
	entry INTEGER NOT NULL DEFAULT 0,
	revision INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY(recipient, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE whitelist(
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	pattern TEXT NOT NULL,
	kind INTEGER NOT NULL,
	action INTEGER NOT NULL,
	scope TEXT NOT NULL,
	note TEXT,
	owner TEXT,
	created_at INTEGER NOT NULL,
	created_by TEXT,
	expires_at INTEGER NOT NULL,
	hits INTEGER NOT NULL DEFAULT 0,
	last_hit_at INTEGER NOT NULL DEFAULT 0,
	revision INTEGER NOT NULL,
	UNIQUE(pattern, scope, action)
) STRICT;

CREATE TABLE token(
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	name TEXT NOT NULL,
	digest BLOB NOT NULL UNIQUE,
	role INTEGER NOT NULL,
	scope TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	created_by TEXT,
	expires_at INTEGER NOT NULL,
	last_used_at INTEGER NOT NULL DEFAULT 0,
	revoked_at INTEGER
) STRICT;
CREATE UNIQUE INDEX token_name ON token(name) WHERE revoked_at IS NULL;

CREATE TABLE audit(
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	at INTEGER NOT NULL,
	actor TEXT,
	action TEXT NOT NULL,
	subject TEXT,
	before TEXT,
	after TEXT
) STRICT;

-- What stands still; route '' is all of delivery.
CREATE TABLE pause(
	route TEXT PRIMARY KEY,
	paused_at INTEGER NOT NULL,
	actor TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE meta(
	name TEXT PRIMARY KEY,
	value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES('whitelist_revision', 0);
INSERT INTO meta VALUES('next_message', 1);
