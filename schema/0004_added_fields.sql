-- Header fields that we put in front, beside Received (smtp.fixups), with
-- their line ends; an empty line behind them where the message has no header.
ALTER TABLE message ADD COLUMN added_fields TEXT;
