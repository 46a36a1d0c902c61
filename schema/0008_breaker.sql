-- Why it stands still, for people.
ALTER TABLE pause ADD COLUMN reason TEXT;
-- How many recipients were offered to next hops, a row for each minute of the clock in which there
-- were any: what policy.breaker has to know of the day before a restart.
CREATE TABLE offered(
	minute INTEGER PRIMARY KEY,
	recipients INTEGER NOT NULL
) STRICT;
