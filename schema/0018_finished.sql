-- Messages of which no recipient waits for anything any more: what retention looks at. `kinds` are
-- the bits of queue/finished.h; `at` is when the last recipient came to its end.
CREATE TABLE finished(
	message INTEGER PRIMARY KEY,
	kinds INTEGER NOT NULL,
	at INTEGER NOT NULL
) STRICT;
INSERT INTO finished SELECT id >> 16,
	max(state IN (6, 7)) + 2 * max(state IN (8, 11)) + 4 * max(state IN (9, 10)), max(updated_at)
	FROM recipient GROUP BY id >> 16 HAVING min(state) >= 6;
CREATE INDEX finished_at ON finished(kinds, at);
-- When retention took the content away; what became of the message is still told.
ALTER TABLE message ADD COLUMN removed_at INTEGER;
