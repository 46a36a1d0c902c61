-- What finds messages by parts of their texts (queue/gram.h), written down when the writer has time
-- (queue/indexer.h). A block is 2,048 messages by their numbers; `stale`: something came to it since.
CREATE TABLE search_block(
	block INTEGER PRIMARY KEY,
	stale INTEGER NOT NULL,
	first_at INTEGER NOT NULL,          -- of its messages, when the first and the last were received
	last_at INTEGER NOT NULL
) STRICT;
CREATE INDEX search_block_stale ON search_block(block) WHERE stale = 1;
-- Which messages of a block hold these three octets: id = block << 24 | octets.
CREATE TABLE search_gram(
	id INTEGER PRIMARY KEY,
	places BLOB NOT NULL
) STRICT;
-- Lists by state. 3, delivering, is left out: it is in recipient_leased.
CREATE INDEX recipient_state ON recipient(state, id) WHERE state <> 3;
