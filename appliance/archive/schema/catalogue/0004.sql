-- Colour presentation states are rendered, too.

CREATE INDEX any_states_queued ON instances (study)
WHERE picture = 'queued' AND file = 'held'
 AND sop_class IN ('1.2.840.10008.5.1.4.1.1.11.1', '1.2.840.10008.5.1.4.1.1.11.2');

-- The version before had no pictures of them.
UPDATE instances SET picture = 'queued', reason = ''
WHERE picture = 'none' AND file = 'held' AND sop_class = '1.2.840.10008.5.1.4.1.1.11.2';
