-- Rules on what a message says of itself, looked at in the order of `position`.
-- Numbers of actions are those of queue/rule.h; '' and 0 stand for "any" and
-- "none". `headers` holds one condition a line: "glob Subject *invoice*".
CREATE TABLE rule(
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	position INTEGER NOT NULL,
	name TEXT NOT NULL UNIQUE,
	enabled INTEGER NOT NULL,
	action INTEGER NOT NULL,
	redirect_to TEXT NOT NULL,
	tag TEXT NOT NULL,
	overrides INTEGER NOT NULL,
	sender TEXT NOT NULL,
	recipient TEXT NOT NULL,
	client TEXT NOT NULL,
	user TEXT NOT NULL,
	listener TEXT NOT NULL,
	scope TEXT NOT NULL,
	min_size INTEGER NOT NULL,
	max_size INTEGER NOT NULL,
	headers TEXT NOT NULL,
	note TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	created_by TEXT,
	revision INTEGER NOT NULL
) STRICT;
INSERT INTO meta VALUES('rule_revision', 0);

-- The name of the rule that decided, NULL: the list and the policy did.
ALTER TABLE recipient ADD COLUMN rule TEXT;
-- A person let it go: rules that hold mail for a person have been answered.
ALTER TABLE recipient ADD COLUMN released INTEGER NOT NULL DEFAULT 0;
