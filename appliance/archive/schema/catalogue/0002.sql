-- What a search by the DICOM web services goes by. The one over instances grows at its end while a
-- series arrives.

CREATE INDEX studies_by_patient ON studies (patient);
CREATE INDEX series_by_uid ON series (uid);
CREATE INDEX series_by_modality ON series (modality, study);
CREATE INDEX instances_by_series ON instances (series, file);
