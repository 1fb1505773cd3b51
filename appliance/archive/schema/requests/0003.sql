-- Connection self-tests: what was tried towards a remote, hop by hop. Nothing in here identifies.

CREATE TABLE connection_tests (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  remote      TEXT    NOT NULL,                 -- name, as in the settings
  asked_at    REAL    NOT NULL,                 -- seconds since 1970
  updated_at  REAL    NOT NULL,
  state       TEXT    NOT NULL DEFAULT 'asked' CHECK (state IN ('asked', 'running', 'finished')),
  letter_ja   TEXT    NOT NULL DEFAULT '',      -- to the administrator of the PACS
  letter_en   TEXT    NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE hops (
  test     INTEGER NOT NULL REFERENCES connection_tests,
  number   INTEGER NOT NULL,                    -- from 1
  step     TEXT    NOT NULL,
  outcome  TEXT    NOT NULL CHECK (outcome IN ('passed', 'failed', 'skipped')),
  seconds  REAL    NOT NULL,
  ja       TEXT    NOT NULL,
  en       TEXT    NOT NULL,
  detail   TEXT    NOT NULL,
  PRIMARY KEY (test, number)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER connection_tests_capped AFTER INSERT ON connection_tests BEGIN
  DELETE FROM hops WHERE test <= NEW.id - 100;
  DELETE FROM connection_tests WHERE id <= NEW.id - 100;
END;
