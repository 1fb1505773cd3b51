-- Of what form the pixels of an instance are, for who searches: as its header says. Empty where it
-- does not, and for what came before this version.

ALTER TABLE instances ADD COLUMN rows INTEGER;
ALTER TABLE instances ADD COLUMN columns INTEGER;
ALTER TABLE instances ADD COLUMN bits_allocated INTEGER;
