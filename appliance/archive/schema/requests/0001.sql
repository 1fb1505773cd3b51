-- What people asked for, by hand. The only file of the archive that holds identifying values: the
-- keys of a request, until it is finished. AE and panel both write to it.

CREATE TABLE release (
  oldest_able INTEGER NOT NULL  -- code that knows this version, or a later one, works on this database
) STRICT;
INSERT INTO release VALUES (1);

CREATE TABLE requests (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  remote      TEXT    NOT NULL,                 -- name, as in the settings
  patient_id  TEXT,                             -- these three are erased when it is finished
  accession   TEXT,
  study       TEXT,
  asked_at    REAL    NOT NULL,                 -- seconds since 1970
  updated_at  REAL    NOT NULL,
  state       TEXT    NOT NULL DEFAULT 'asked' CHECK (state IN ('asked', 'running', 'finished')),
  outcome     TEXT    NOT NULL DEFAULT '',
  sentence    TEXT    NOT NULL DEFAULT '',
  studies     INTEGER NOT NULL DEFAULT 0,       -- found
  listed      INTEGER NOT NULL DEFAULT 0,       -- instances
  missing     INTEGER NOT NULL DEFAULT 0,
  arrived     INTEGER NOT NULL DEFAULT 0,
  CHECK (state <> 'finished' OR coalesce(patient_id, accession, study) IS NULL)
) STRICT;

CREATE INDEX requests_pending ON requests (id) WHERE state <> 'finished';

CREATE TRIGGER requests_capped AFTER INSERT ON requests BEGIN
  DELETE FROM requests WHERE id <= NEW.id - 1000 AND state = 'finished';
END;

CREATE TABLE operation (
  suspended INTEGER NOT NULL,
  since     REAL                                -- of the last change
) STRICT;
INSERT INTO operation VALUES (0, NULL);
