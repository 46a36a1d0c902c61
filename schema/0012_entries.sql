-- An entry that was seen to expire stays so, wherever the clock goes afterwards.
ALTER TABLE whitelist ADD COLUMN expired_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX whitelist_expiry ON whitelist(expires_at)
	WHERE expires_at > 0 AND expired_at = 0;
-- The list's history is part of the trail: which entry it was, and the revision that it
-- made of the list (0: written down before there was this column).
ALTER TABLE audit ADD COLUMN entry INTEGER;
ALTER TABLE audit ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
UPDATE audit SET entry = CAST(coalesce(
		CASE WHEN json_valid(after) THEN after ->> 'id' END,
		CASE WHEN json_valid(before) THEN before ->> 'id' END) AS INTEGER)
	WHERE action IN ('whitelist.add', 'whitelist.replace', 'whitelist.remove');
CREATE INDEX audit_entry ON audit(entry, id) WHERE entry IS NOT NULL;
CREATE INDEX audit_list ON audit(id) WHERE entry IS NOT NULL;
-- Whom mail was for lately, in ASCII lower case, and whether the last was refused at acceptance:
-- what a change of the list would mean. Written down from time to time (queue/seen.h).
CREATE TABLE seen(
	address TEXT NOT NULL,
	scope TEXT NOT NULL,
	at INTEGER NOT NULL,
	refused INTEGER NOT NULL,
	PRIMARY KEY(address, scope)
) STRICT, WITHOUT ROWID;
CREATE INDEX seen_at ON seen(at);
INSERT OR IGNORE INTO seen
	SELECT lower(r.address), m.scope, m.received_at, r.accepted_state IN (5, 7, 8)
	FROM (SELECT id, address, accepted_state FROM recipient ORDER BY id DESC LIMIT 20000) r
	JOIN message m ON m.id = r.id >> 16 ORDER BY r.id DESC;
