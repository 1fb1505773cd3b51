-- Presentation states are rendered: which pictures of theirs are of which images.

CREATE TABLE presented (
  state    INTEGER NOT NULL REFERENCES instances,
  image    TEXT    NOT NULL,                 -- SOP Instance UID of an image of the same study
  frame    INTEGER NOT NULL,                 -- of the image, from 1; 0: the whole
  picture  INTEGER,                          -- pictures.frame; NULL: there is none, or not yet
  PRIMARY KEY (state, image, frame)
) STRICT, WITHOUT ROWID;

CREATE INDEX presented_images ON presented (image);

-- While one of them waits to be rendered, the images of its study are not dropped.
CREATE INDEX states_queued ON instances (study)
WHERE picture = 'queued' AND file = 'held' AND sop_class = '1.2.840.10008.5.1.4.1.1.11.1';

-- The version before had no pictures of them.
UPDATE instances SET picture = 'queued', reason = ''
WHERE picture = 'none' AND file = 'held' AND sop_class = '1.2.840.10008.5.1.4.1.1.11.1';
