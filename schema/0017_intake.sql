-- A change of many lines of the whitelist is written here step by step, where nobody sees it. Then
-- one row puts it in force (state 2, at most one at a time), and its lines move to the whitelist and
-- the trail, step by step. `trail`: id there of the line that moves next.
CREATE TABLE intake(
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	at INTEGER NOT NULL,
	actor TEXT,
	state INTEGER NOT NULL,             -- 1 being written, 2 in force, 3 given up
	revision INTEGER NOT NULL DEFAULT 0,
	trail INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX intake_in_force ON intake(state) WHERE state = 2;
CREATE INDEX intake_state ON intake(state);
CREATE TABLE intake_line(
	intake INTEGER NOT NULL,
	entry INTEGER NOT NULL,
	operation INTEGER NOT NULL,
	pattern TEXT NOT NULL,
	kind INTEGER NOT NULL,
	action INTEGER NOT NULL,
	scope TEXT NOT NULL,
	note TEXT,
	owner TEXT,
	expires_at INTEGER NOT NULL,
	PRIMARY KEY(intake, entry)
) STRICT, WITHOUT ROWID;
CREATE INDEX intake_line_pattern ON intake_line(pattern);
