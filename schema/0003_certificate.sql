-- The certificate that the client proved to hold, when a trusted signer made it.
ALTER TABLE message ADD COLUMN certificate_subject TEXT;  -- RFC 4514
ALTER TABLE message ADD COLUMN certificate_sha256 TEXT;   -- lower-case hexadecimal
