-- Searches by hand: what somebody looks for at a remote, and what it has. All of it identifies, and
-- is erased soon after.

CREATE TABLE searches (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  remote      TEXT    NOT NULL,                 -- name, as in the settings
  patient_id  TEXT,
  accession   TEXT,
  asked_at    REAL    NOT NULL,                 -- seconds since 1970
  state       TEXT    NOT NULL DEFAULT 'asked' CHECK (state IN ('asked', 'finished')),
  sentence    TEXT    NOT NULL DEFAULT '',      -- why it failed
  surplus     INTEGER NOT NULL DEFAULT 0        -- matches that are not kept: too many
) STRICT;

CREATE TABLE matches (
  search      INTEGER NOT NULL REFERENCES searches,
  number      INTEGER NOT NULL,                 -- from 1
  study       TEXT    NOT NULL,                 -- the remote's own UID
  patient_id  TEXT    NOT NULL,
  accession   TEXT    NOT NULL,
  day         TEXT    NOT NULL,                 -- as DICOM writes it
  time        TEXT    NOT NULL,
  PRIMARY KEY (search, number)
) STRICT, WITHOUT ROWID;
