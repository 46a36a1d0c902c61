-- The sender was told that it takes long (NOTIFY=DELAY of RFC 3461): once is enough.
ALTER TABLE recipient ADD COLUMN delay_told INTEGER NOT NULL DEFAULT 0;
