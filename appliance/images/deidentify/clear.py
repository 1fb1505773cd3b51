"""The profile `clear`: patient number, name and what else identifies are emptied, the rest stays.

This is what the conformance statement that the box replaces described. UIDs, dates, descriptions
and private elements stay; names inside of free text stay too. `CLEARED` is the whole list: the
generated conformance statement prints it. Sequences in it are removed, as without items most are
not valid; the one that must be there, Verifying Observer Identification Code Sequence, is emptied.
Private sequences are gone through as well.
"""

from __future__ import annotations

from typing import Final

from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import tag_for_keyword

from appliance.images.deidentify import actions as act
from appliance.images.deidentify.actions import Marker, Rules

_KEYWORDS: Final = """
AccessionNumber AdmissionID BranchOfService CountryOfResidence IssuerOfPatientID
ConsultingPhysicianIdentificationSequence ContentCreatorIdentificationCodeSequence
CurrentPatientLocation EthnicGroup InstitutionAddress InstitutionCodeSequence InstitutionName
InstitutionalDepartmentName InsurancePlanIdentification
IntendedRecipientsOfResultsIdentificationSequence IssuerOfAdmissionIDSequence
IssuerOfPatientIDQualifiersSequence MedicalRecordLocator MilitaryRank Occupation
OperatorIdentificationSequence OrderCallbackPhoneNumber OrderCallbackTelecomInformation
OrderEntererLocation OtherPatientIDs OtherPatientIDsSequence PatientAddress PatientBirthDate
PatientBirthDateInAlternativeCalendar PatientBirthTime PatientComments
PatientDeathDateInAlternativeCalendar PatientID PatientInstitutionResidence
PatientInsurancePlanCodeSequence PatientReligiousPreference PatientTelecomInformation
PatientTelephoneNumbers PerformingPhysicianIdentificationSequence PersonAddress
PersonIdentificationCodeSequence PersonTelecomInformation PersonTelephoneNumbers
PhysiciansOfRecordIdentificationSequence PhysiciansReadingStudyIdentificationSequence
ReferencedPatientPhotoSequence ReferringPhysicianAddress ReferringPhysicianIdentificationSequence
ReferringPhysicianTelephoneNumbers RegionOfResidence RequestingPhysicianIdentificationSequence
ResponsibleOrganization ScheduledPatientInstitutionResidence
ScheduledPerformingPhysicianIdentificationSequence ServiceEpisodeID
VerifyingObserverIdentificationCodeSequence VerifyingOrganization
"""


def _cleared() -> tuple[int, ...]:
    tags = {tag for tag, (vr, *_) in DicomDictionary.items() if vr == "PN" and tag >> 16 > 2}
    for keyword in _KEYWORDS.split():
        tag = tag_for_keyword(keyword)
        if tag is None:
            raise LookupError(f"the DICOM dictionary has no attribute {keyword}")
        tags.add(tag)
    return tuple(sorted(tags))


CLEARED: Final = _cleared()
"""The tags whose values are emptied at every depth: every name of a person, and these others."""

_OBSERVER_CODES: Final = 0x0040A088

MARKERS: Final = (
    Marker(act.IDENTITY_REMOVED, b"CS", b"YES"),
    Marker(act.METHOD, b"LO", b"Names, numbers and addresses emptied; see conformance statement"),
)


def clear() -> Rules:
    """The rules of the profile."""
    actions = act.kept()
    for tag in [tag for tag in actions if tag >> 16 in (0x0000, 0x0002) or not tag & 0xFFFF]:
        actions[tag] = act.REMOVE
    actions.update({tag: _emptied(tag) for tag in CLEARED})
    actions.update({marker.tag: act.REMOVE for marker in MARKERS})
    actions.update(dict.fromkeys(act.NOTED + act.IDENTITY, act.NOTE))
    actions[act.LENGTH_TO_END] = act.REMOVE
    actions[act.SPECIFIC_CHARACTER_SET] = act.CHARACTER_SET
    actions[act.PATIENT] = act.PATIENT_ID
    return Rules(actions, actions, act.PROBE, MARKERS)


def _emptied(tag: int) -> int:
    is_sequence = act.vr_of(tag) == b"SQ" and tag != _OBSERVER_CODES
    return act.REMOVE if is_sequence else act.EMPTY
