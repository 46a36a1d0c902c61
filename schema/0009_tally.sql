-- How much there is, kept with what it counts, so that a start need not count it:
-- recipients by state (the numbers of queue/state.h), 100: messages, 101: their bytes.
CREATE TABLE tally(
	kind INTEGER PRIMARY KEY,
	number INTEGER NOT NULL
) STRICT;
INSERT INTO tally SELECT state, count(*) FROM recipient GROUP BY state;
INSERT INTO tally SELECT 100, count(*) FROM message;
INSERT INTO tally SELECT 101, coalesce(sum(size), 0) FROM message;
