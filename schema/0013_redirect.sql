-- Who stands for a redirected recipient: another one of the same message, which was judged itself.
ALTER TABLE recipient ADD COLUMN redirect_to TEXT;
