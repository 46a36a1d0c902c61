-- What kind of trouble it was, as a word (relay/deliver/trouble.h); NULL: none.
ALTER TABLE recipient ADD COLUMN kind TEXT;  -- in the last attempt
ALTER TABLE history ADD COLUMN kind TEXT;
