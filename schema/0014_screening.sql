-- What the policy hook is asked about (queue/screen.h): when it is asked next. NULL: it waits
-- for nothing of the kind, or is being asked at this moment, under a lease.
ALTER TABLE recipient ADD COLUMN ask_at INTEGER;
ALTER TABLE recipient ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;   -- in vain, since it waits
ALTER TABLE recipient ADD COLUMN permit INTEGER NOT NULL DEFAULT 0;  -- enum permit
ALTER TABLE recipient ADD COLUMN hop TEXT;  -- where the hook sends it; NULL: its route's hosts
-- The command lines as they came, for the hook (raw bytes); NULL: it came another way.
ALTER TABLE recipient ADD COLUMN command TEXT;
ALTER TABLE message ADD COLUMN command TEXT;
CREATE INDEX recipient_ask ON recipient(ask_at) WHERE ask_at IS NOT NULL;
