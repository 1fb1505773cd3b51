-- What the box holds, what remotes list, what was tried. UIDs in here are the mapped ones; nothing
-- in here identifies a patient.

CREATE TABLE release (
  oldest_able INTEGER NOT NULL  -- code that knows this version, or a later one, works on this database
) STRICT;
INSERT INTO release VALUES (1);

CREATE TABLE process (
  closed_at REAL                -- when the writing process ended in order; NULL while it runs
) STRICT;
INSERT INTO process VALUES (0);

CREATE TABLE remotes (
  id            INTEGER PRIMARY KEY,
  name          TEXT    NOT NULL UNIQUE,      -- as in the settings
  last_reached  REAL,                         -- seconds since 1970, as every time in here
  last_failed   REAL,
  failure       TEXT    NOT NULL DEFAULT '',  -- a sentence; empty once it is reached again
  failures      INTEGER NOT NULL DEFAULT 0,   -- in a row
  next_attempt  REAL
) STRICT;

-- The figures of a study are kept by the triggers below, never by hand.
CREATE TABLE studies (
  id              INTEGER PRIMARY KEY,
  uid             TEXT    NOT NULL UNIQUE,
  patient         TEXT,                       -- pseudonym
  first_stored    REAL,
  last_stored     REAL,
  outstanding     INTEGER NOT NULL DEFAULT 0, -- instances that a remote lists and we do not hold
  held            INTEGER NOT NULL DEFAULT 0, -- every instance that need not be fetched
  missing         INTEGER NOT NULL DEFAULT 0, -- had, and lost
  expired         INTEGER NOT NULL DEFAULT 0,
  queued          INTEGER NOT NULL DEFAULT 0, -- to be rendered
  rendered        INTEGER NOT NULL DEFAULT 0,
  without_picture INTEGER NOT NULL DEFAULT 0,
  failed          INTEGER NOT NULL DEFAULT 0, -- could not be rendered
  bytes           INTEGER NOT NULL DEFAULT 0, -- of the DICOM files on disk
  pictures        INTEGER NOT NULL DEFAULT 0,
  picture_bytes   INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE series (
  id        INTEGER PRIMARY KEY,
  study     INTEGER NOT NULL REFERENCES studies,
  uid       TEXT    NOT NULL,
  modality  TEXT    NOT NULL,
  UNIQUE (study, uid)
) STRICT;

-- One row per file: a remote that lists one SOP instance in two studies is wrong, but must not
-- make either of them incomplete for ever.
CREATE TABLE instances (
  id              INTEGER PRIMARY KEY,
  study           INTEGER NOT NULL REFERENCES studies,
  series          INTEGER NOT NULL REFERENCES series,
  uid             TEXT    NOT NULL,
  sop_class       TEXT    NOT NULL,
  transfer_syntax TEXT    NOT NULL,
  number          INTEGER,                    -- Instance Number
  frames          INTEGER NOT NULL,
  bytes           INTEGER NOT NULL,
  remote          INTEGER REFERENCES remotes,
  warning         TEXT,
  stored_at       REAL    NOT NULL,
  -- held: the DICOM file is here. dropped: removed after its pictures were durable, as the settings
  -- say. expired: file and pictures removed by retention. missing: the file was lost; fetch again.
  file            TEXT    NOT NULL CHECK (file IN ('held', 'dropped', 'expired', 'missing')),
  picture         TEXT    NOT NULL CHECK (picture IN ('queued', 'rendered', 'none', 'failed')),
  reason          TEXT    NOT NULL DEFAULT '', -- why there is no picture
  generation      INTEGER NOT NULL DEFAULT 0,  -- grows when another content takes the file's name
  UNIQUE (study, uid, series)
) STRICT;

CREATE INDEX render_queue ON instances (id) WHERE picture = 'queued' AND file = 'held';

CREATE TABLE pictures (
  instance  INTEGER NOT NULL REFERENCES instances,
  frame     INTEGER NOT NULL,                 -- from 1; 0 if it is the only one
  suffix    TEXT    NOT NULL,
  width     INTEGER NOT NULL,
  height    INTEGER NOT NULL,
  bytes     INTEGER NOT NULL,
  PRIMARY KEY (instance, frame, suffix)
) STRICT, WITHOUT ROWID;

-- What the latest IMAGE-level C-FIND of a study at a remote listed, and how retrieval went since.
CREATE TABLE listings (
  study         INTEGER NOT NULL REFERENCES studies,
  remote        INTEGER NOT NULL REFERENCES remotes,
  changed_at    REAL,                         -- when another set of instances was listed
  attempts      INTEGER NOT NULL DEFAULT 0,   -- retrievals begun since the last complete one
  next_attempt  REAL,
  PRIMARY KEY (study, remote)
) STRICT, WITHOUT ROWID;

CREATE TABLE listed (
  study     INTEGER NOT NULL REFERENCES studies,
  instance  TEXT    NOT NULL,
  remote    INTEGER NOT NULL REFERENCES remotes,
  PRIMARY KEY (study, instance, remote)
) STRICT, WITHOUT ROWID;

CREATE TABLE retrievals (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  study         INTEGER NOT NULL REFERENCES studies,
  remote        INTEGER NOT NULL REFERENCES remotes,
  method        TEXT    NOT NULL,
  begun_at      REAL    NOT NULL,
  ended_at      REAL,
  missing       INTEGER NOT NULL,             -- instances that were to come
  arrived       INTEGER,
  outcome       TEXT,
  sentence      TEXT,
  next_attempt  REAL
) STRICT;

CREATE INDEX retrievals_running ON retrievals (id) WHERE ended_at IS NULL;

CREATE TABLE events (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  at        REAL    NOT NULL,
  severity  TEXT    NOT NULL CHECK (severity IN ('info', 'warning', 'error')),
  subject   TEXT    NOT NULL,
  text      TEXT    NOT NULL
) STRICT;

CREATE TABLE counters (
  name   TEXT    PRIMARY KEY,
  value  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE totals (
  studies         INTEGER NOT NULL DEFAULT 0,
  series          INTEGER NOT NULL DEFAULT 0,
  outstanding     INTEGER NOT NULL DEFAULT 0,
  incomplete      INTEGER NOT NULL DEFAULT 0, -- studies of which something is outstanding
  held            INTEGER NOT NULL DEFAULT 0,
  missing         INTEGER NOT NULL DEFAULT 0,
  expired         INTEGER NOT NULL DEFAULT 0,
  queued          INTEGER NOT NULL DEFAULT 0,
  rendered        INTEGER NOT NULL DEFAULT 0,
  without_picture INTEGER NOT NULL DEFAULT 0,
  failed          INTEGER NOT NULL DEFAULT 0,
  bytes           INTEGER NOT NULL DEFAULT 0,
  pictures        INTEGER NOT NULL DEFAULT 0,
  picture_bytes   INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO totals DEFAULT VALUES;

CREATE TRIGGER instance_added AFTER INSERT ON instances BEGIN
  UPDATE studies SET
    first_stored    = ifnull(first_stored, NEW.stored_at),
    last_stored     = max(ifnull(last_stored, NEW.stored_at), NEW.stored_at),
    held            = held            + (NEW.file <> 'missing'),
    missing         = missing         + (NEW.file =  'missing'),
    expired         = expired         + (NEW.file =  'expired'),
    queued          = queued          + (NEW.file =  'held'    AND NEW.picture = 'queued'),
    rendered        = rendered        + (NEW.file <> 'missing' AND NEW.picture = 'rendered'),
    without_picture = without_picture + (NEW.file <> 'missing' AND NEW.picture = 'none'),
    failed          = failed          + (NEW.file <> 'missing' AND NEW.picture = 'failed'),
    bytes           = bytes           + (NEW.file =  'held') * NEW.bytes,
    outstanding     = outstanding - (
      NEW.file <> 'missing'
      AND EXISTS (SELECT 1 FROM listed WHERE study = NEW.study AND instance = NEW.uid)
      AND NOT EXISTS (SELECT 1 FROM instances
                      WHERE study = NEW.study AND uid = NEW.uid AND id <> NEW.id
                      AND file <> 'missing'))
  WHERE id = NEW.study;
END;

CREATE TRIGGER instance_changed
AFTER UPDATE OF file, picture, bytes, stored_at ON instances BEGIN
  UPDATE studies SET
    last_stored     = max(last_stored, NEW.stored_at),
    held            = held            + (NEW.file <> 'missing') - (OLD.file <> 'missing'),
    missing         = missing         + (NEW.file =  'missing') - (OLD.file =  'missing'),
    expired         = expired         + (NEW.file =  'expired') - (OLD.file =  'expired'),
    queued          = queued          + (NEW.file =  'held'    AND NEW.picture = 'queued')
                                      - (OLD.file =  'held'    AND OLD.picture = 'queued'),
    rendered        = rendered        + (NEW.file <> 'missing' AND NEW.picture = 'rendered')
                                      - (OLD.file <> 'missing' AND OLD.picture = 'rendered'),
    without_picture = without_picture + (NEW.file <> 'missing' AND NEW.picture = 'none')
                                      - (OLD.file <> 'missing' AND OLD.picture = 'none'),
    failed          = failed          + (NEW.file <> 'missing' AND NEW.picture = 'failed')
                                      - (OLD.file <> 'missing' AND OLD.picture = 'failed'),
    bytes           = bytes           + (NEW.file =  'held') * NEW.bytes
                                      - (OLD.file =  'held') * OLD.bytes,
    outstanding     = outstanding + ((OLD.file <> 'missing') - (NEW.file <> 'missing')) * (
      EXISTS (SELECT 1 FROM listed WHERE study = NEW.study AND instance = NEW.uid)
      AND NOT EXISTS (SELECT 1 FROM instances
                      WHERE study = NEW.study AND uid = NEW.uid AND id <> NEW.id
                      AND file <> 'missing'))
  WHERE id = NEW.study;
END;

CREATE TRIGGER picture_added AFTER INSERT ON pictures BEGIN
  UPDATE studies SET pictures = pictures + 1, picture_bytes = picture_bytes + NEW.bytes
  WHERE id = (SELECT study FROM instances WHERE id = NEW.instance);
END;

CREATE TRIGGER picture_removed AFTER DELETE ON pictures BEGIN
  UPDATE studies SET pictures = pictures - 1, picture_bytes = picture_bytes - OLD.bytes
  WHERE id = (SELECT study FROM instances WHERE id = OLD.instance);
END;

CREATE TRIGGER series_added AFTER INSERT ON series BEGIN
  UPDATE totals SET series = series + 1;
END;

CREATE TRIGGER study_changed AFTER UPDATE ON studies BEGIN
  UPDATE totals SET
    studies         = studies         + (NEW.held > 0)        - (OLD.held > 0),
    incomplete      = incomplete      + (NEW.outstanding > 0) - (OLD.outstanding > 0),
    outstanding     = outstanding     + NEW.outstanding       - OLD.outstanding,
    held            = held            + NEW.held              - OLD.held,
    missing         = missing         + NEW.missing           - OLD.missing,
    expired         = expired         + NEW.expired           - OLD.expired,
    queued          = queued          + NEW.queued            - OLD.queued,
    rendered        = rendered        + NEW.rendered          - OLD.rendered,
    without_picture = without_picture + NEW.without_picture   - OLD.without_picture,
    failed          = failed          + NEW.failed            - OLD.failed,
    bytes           = bytes           + NEW.bytes             - OLD.bytes,
    pictures        = pictures        + NEW.pictures          - OLD.pictures,
    picture_bytes   = picture_bytes   + NEW.picture_bytes     - OLD.picture_bytes;
END;

-- History that grows for years is capped by count.
CREATE TRIGGER events_capped AFTER INSERT ON events BEGIN
  DELETE FROM events WHERE id <= NEW.id - 10000;
END;

CREATE TRIGGER retrievals_capped AFTER INSERT ON retrievals BEGIN
  DELETE FROM retrievals WHERE id <= NEW.id - 10000;
END;
