-- Of number, address and database (queue/proof.h); NULL: accepted before there was one.
ALTER TABLE recipient ADD COLUMN proof INTEGER;
-- The same of the content.
ALTER TABLE chunk ADD COLUMN proof INTEGER;
-- Which database this is, and how often its log began anew.
INSERT INTO meta VALUES('database', random() & 4611686018427387903 | 1);
INSERT INTO meta VALUES('log', 0);
