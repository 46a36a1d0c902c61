-- What TLS the attempt had, in words: "TLSv1.3 TLS_AES_256_GCM_SHA384, verified"; NULL: none was asked for.
ALTER TABLE history ADD COLUMN tls TEXT;
