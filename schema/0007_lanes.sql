-- The queue at size: what is due is found by time while it is little, and by turns
-- when it is much (queue/lane.h). A message's recipients share their lane.
ALTER TABLE recipient ADD COLUMN lane INTEGER NOT NULL DEFAULT 0;
-- What it waits for, apart from time: a route, by a name that delivery gives. It is
-- claimed when due_at comes, which is the day of its expiry, or made due before (unpark).
ALTER TABLE recipient ADD COLUMN parked TEXT;
-- Expiry is looked at when a recipient is claimed.
DROP INDEX recipient_waiting;
CREATE INDEX recipient_lane ON recipient(lane, due_at)
	WHERE due_at IS NOT NULL AND parked IS NULL;
CREATE INDEX recipient_parked ON recipient(parked, id) WHERE parked IS NOT NULL;
-- What a worker holds: given back at the next start.
CREATE INDEX recipient_leased ON recipient(lease) WHERE lease IS NOT NULL;
-- Until now the mail of a paused route had this time.
UPDATE recipient SET due_at = waiting_since WHERE due_at = 9223372036854775807;
