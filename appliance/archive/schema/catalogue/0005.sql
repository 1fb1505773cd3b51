-- What programs search by beside UIDs: attributes as the files on disk have them, which is to say
-- without identity. A version that does not know these tables adds no rows; a later one does.

CREATE TABLE study_attributes (
  study        INTEGER PRIMARY KEY REFERENCES studies,
  date         TEXT NOT NULL,                 -- YYYYMMDD; empty as every text that is not there
  time         TEXT NOT NULL,                 -- HHMMSS.FFFFFF, or the beginning of it
  accession    TEXT NOT NULL,
  physician    TEXT NOT NULL,                 -- Referring Physician's Name
  description  TEXT NOT NULL,
  patient_name TEXT NOT NULL,
  birth_date   TEXT NOT NULL,
  sex          TEXT NOT NULL,
  study_id     TEXT NOT NULL
) STRICT;

CREATE INDEX studies_by_date ON study_attributes (date);
CREATE INDEX studies_by_accession ON study_attributes (accession);

CREATE TABLE series_attributes (
  series       INTEGER PRIMARY KEY REFERENCES series,
  number       INTEGER,
  description  TEXT NOT NULL
) STRICT;
