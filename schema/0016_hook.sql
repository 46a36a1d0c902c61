-- What the policy hook is told of the connection, as nginx's mail proxy would (queue/screen.h).
ALTER TABLE message ADD COLUMN certificate TEXT;         -- the client's, PEM; verified or not
ALTER TABLE message ADD COLUMN certificate_verdict TEXT; -- "SUCCESS", "NONE", "FAILED:reason"; NULL: not asked for
ALTER TABLE message ADD COLUMN proxied TEXT;             -- of the PROXY header: "address port own-address own-port"
-- What it said of the next hop it chose: "user<LF>password", '' for no login; NULL: as the route.
-- A secret, which ends with the recipient (queue/screen_inside.h).
ALTER TABLE recipient ADD COLUMN login TEXT;
