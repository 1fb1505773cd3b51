"""An image of each modality that no sample set has: MG, XA, RF, PET and a photograph.

Phantoms, with the attributes that a machine of the kind writes: each is a valid instance of its
SOP class (PS3.3 Annex A), in the form in which such images come. The same bytes each time.
"""

from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    PositronEmissionTomographyImageStorage,
    VLPhotographicImageStorage,
    XRayAngiographicImageStorage,
    XRayRadiofluoroscopicImageStorage,
)

Grid = NDArray[np.float64]

_ROOT = "2.25.314159265358979323846"
_BRIGHTEST = 4095
"""Of 12 bits."""


def mammogram() -> Dataset:
    """A left medio-lateral oblique view, for presentation: VOI LUT and sigmoid windows."""
    rows, columns = 832, 640
    dataset = _instance(1, DigitalMammographyXRayImageStorageForPresentation, "MG")
    dataset.ImageType = ["ORIGINAL", "PRIMARY", ""]
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.SeriesDescription, dataset.BodyPartExamined = "L MLO", "BREAST"
    dataset.PatientAge, dataset.KVP, dataset.ExposureInuAs = "062Y", "29", 68000
    dataset.BodyPartThickness, dataset.CompressionForce = "58", "95"
    dataset.AnodeTargetMaterial, dataset.FilterMaterial = "TUNGSTEN", "RHODIUM"
    dataset.FilterType = "STRIP"
    dataset.PositionerType, dataset.ImageLaterality = "MAMMOGRAPHIC", "L"
    dataset.PositionerPrimaryAngle, dataset.OrganExposed = "45", "BREAST"
    dataset.OrganDose = "0.014"
    dataset.BreastImplantPresent, dataset.BurnedInAnnotation = "NO", "NO"
    dataset.PatientOrientation = ["A", "FR"]
    dataset.ImagerPixelSpacing = [0.28, 0.28]
    dataset.DetectorType, dataset.DetectorID = "DIRECT", "DETECTOR-0"
    dataset.FieldOfViewOrigin, dataset.FieldOfViewRotation = ["0", "0"], "0"
    dataset.FieldOfViewHorizontalFlip = "NO"
    dataset.PixelIntensityRelationship, dataset.PixelIntensityRelationshipSign = "LOG", -1
    dataset.PresentationLUTShape, dataset.LossyImageCompression = "IDENTITY", "00"
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
    dataset.AcquisitionContextSequence = []
    dataset.AnatomicRegionSequence = [_code("76752008", "SCT", "Breast")]
    view = _code("399368009", "SCT", "medio-lateral oblique")
    view.ViewModifierCodeSequence = []
    dataset.ViewCodeSequence = [view]
    dataset.WindowCenter, dataset.WindowWidth = ["2100", "2500"], ["2600", "1800"]
    dataset.WindowCenterWidthExplanation = ["NORMAL", "HARDER"]
    dataset.VOILUTFunction = "SIGMOID"
    return _grey(dataset, _breast(rows, columns))


def angiogram() -> Dataset:
    """A coronary run: contrast medium reaches the branches frame by frame, at 15 a second."""
    dataset = _instance(2, XRayAngiographicImageStorage, "XA")
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "SINGLE PLANE"]
    dataset.SeriesDescription, dataset.BodyPartExamined = "LCA RAO 30", "HEART"
    dataset.KVP, dataset.RadiationSetting = "78", "GR"
    dataset.XRayTubeCurrent, dataset.ExposureTime, dataset.Exposure = "620", "7", "4"
    dataset.PositionerMotion = "STATIC"
    dataset.PositionerPrimaryAngle, dataset.PositionerSecondaryAngle = "-30", "0"
    dataset.DistanceSourceToDetector, dataset.DistanceSourceToPatient = "1050", "750"
    dataset.ImagerPixelSpacing, dataset.IntensifierSize = [0.4, 0.4], "200"
    dataset.PixelIntensityRelationship = "LIN"
    dataset.PatientOrientation = ["", ""]
    _cine(dataset, milliseconds=1000 / 15)
    dataset.WindowCenter, dataset.WindowWidth = "2000", "3600"
    dataset.LossyImageCompression = "00"
    return _grey(dataset, _coronaries(256, frames=10))


def fluoroscopy() -> Dataset:
    """A swallow of barium behind a round shutter, at 7.5 frames a second."""
    side = 256
    dataset = _instance(3, XRayRadiofluoroscopicImageStorage, "RF")
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "SINGLE PLANE"]
    dataset.SeriesDescription, dataset.BodyPartExamined = "OESOPHAGUS", "CHEST"
    dataset.KVP, dataset.RadiationSetting = "85", "SC"
    dataset.XRayTubeCurrent, dataset.ExposureTime, dataset.Exposure = "12", "8", "1"
    dataset.ImagerPixelSpacing, dataset.ColumnAngulation = [0.8, 0.8], "0"
    dataset.PixelIntensityRelationship = "LOG"
    dataset.ModalityLUTSequence = [_linear_again()]
    dataset.PatientOrientation = ["", ""]
    _cine(dataset, milliseconds=1000 / 7.5)
    dataset.ShutterShape, dataset.ShutterPresentationValue = "CIRCULAR", 0
    dataset.CenterOfCircularShutter, dataset.RadiusOfCircularShutter = [side // 2] * 2, 120
    dataset.WindowCenter, dataset.WindowWidth = "2048", "4096"
    dataset.LossyImageCompression = "00"
    return _grey(dataset, np.stack([_swallow(side, height / 5) for height in range(6)]))


def photograph() -> Dataset:
    """A mole beside a scale, as a camera's JPEG: YBR_FULL_422, lossy."""
    rows, columns = 480, 640
    dataset = _instance(4, VLPhotographicImageStorage, "XC")
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.SeriesDescription, dataset.BodyPartExamined = "MOLE, LEFT FOREARM", "FOREARM"
    dataset.AcquisitionContextSequence = []
    dataset.AnatomicRegionSequence = [_code("14975008", "SCT", "Forearm")]
    dataset.PatientOrientation = ["", ""]
    dataset.Laterality, dataset.BurnedInAnnotation = "L", "NO"
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
    dataset.PhotometricInterpretation = "YBR_FULL_422"
    dataset.Rows, dataset.Columns, dataset.PixelRepresentation = rows, columns, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    skin = _skin(rows, columns)
    file = BytesIO()
    Image.fromarray(skin).save(file, "JPEG", quality=92, subsampling=1)
    dataset.LossyImageCompression = "01"
    dataset.LossyImageCompressionMethod = "ISO_10918_1"
    dataset.LossyImageCompressionRatio = f"{skin.nbytes / len(file.getvalue()):.2f}"
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PixelData = encapsulate([file.getvalue()])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    return dataset


def emission() -> Dataset:
    """A slice of a whole-body PET in Bq/ml, signed, with the slope of its own maximum."""
    side, brightest = 168, 42_000.0
    dataset = _instance(5, PositronEmissionTomographyImageStorage, "PT")
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.SeriesDescription, dataset.BodyPartExamined = "FDG WB", "WHOLEBODY"
    dataset.SeriesType, dataset.Units, dataset.CountsSource = (
        ["STATIC", "IMAGE"],
        "BQML",
        "EMISSION",
    )
    dataset.CorrectedImage = ["DECY", "ATTN", "SCAT", "DTIM", "RAN", "NORM"]
    dataset.DecayCorrection, dataset.CollimatorType = "START", "NONE"
    dataset.NumberOfSlices, dataset.ImageIndex = 1, 1
    dataset.RandomsCorrectionMethod, dataset.ReconstructionMethod = "DLYD", "OSEM"
    dataset.FrameReferenceTime, dataset.ActualFrameDuration = "60000", "120000"
    dataset.DecayFactor, dataset.ScatterCorrectionMethod = "1.02", "MODEL"
    dataset.PatientWeight, dataset.PatientSize = "61", "1.64"
    dataset.PixelSpacing, dataset.SliceThickness = [4.07, 4.07], "3"
    dataset.ImagePositionPatient = [-341.9, -341.9, -120]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = f"{_ROOT}.5.9", ""
    dataset.PatientOrientationCodeSequence = [_code("102538003", "SCT", "recumbent")]
    gantry = _code("102540008", "SCT", "headfirst")
    dataset.PatientGantryRelationshipCodeSequence = [gantry]
    dataset.RadiopharmaceuticalInformationSequence = [_tracer()]
    dataset.RescaleIntercept, dataset.RescaleSlope = 0, f"{brightest / 32767:.8f}"
    dataset.WindowCenter, dataset.WindowWidth = "5000", "10000"
    return _grey(dataset, _uptake(side) / brightest * 32767, stored=16, signed=True)


MADE: Mapping[str, Callable[[], Dataset]] = MappingProxyType(
    {"MG": mammogram, "XA": angiogram, "RF": fluoroscopy, "XC": photograph, "PT": emission}
)
"""How the image of each modality is made."""


def write(folder: Path) -> list[Path]:
    """Save each as `MG.dcm` … in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for modality, make in MADE.items():
        files.append(folder / f"{modality}.dcm")
        make().save_as(files[-1], enforce_file_format=True)
    return files


def _instance(number: int, sop_class: UID, modality: str) -> Dataset:
    """What all have: whose it is, when and by what it was made, in Explicit VR Little Endian."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, f"{_ROOT}.{number}.1.1"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{_ROOT}.{number}", f"{_ROOT}.{number}.1"
    for event in ("Study", "Series", "Acquisition", "Content"):
        setattr(dataset, f"{event}Date", "20260402")
        setattr(dataset, f"{event}Time", "113000")
    dataset.AccessionNumber, dataset.StudyID = f"ACC-3141{number}", "1"
    dataset.Modality, dataset.Manufacturer = modality, "netty"
    dataset.ManufacturerModelName, dataset.SoftwareVersions = "phantom", "1"
    dataset.DeviceSerialNumber = "SERIAL-1"
    dataset.InstitutionName, dataset.StationName = "HOSPITAL OF NOWHERE", "ROOM 3"
    dataset.ReferringPhysicianName = "Referrer^Rei"
    dataset.PatientName, dataset.PatientID = "Suzuki^Hanako=鈴木^花子=すずき^はなこ", "NETTY-0002"
    dataset.PatientBirthDate, dataset.PatientSex = "19640229", "F"
    dataset.SeriesNumber = dataset.AcquisitionNumber = dataset.InstanceNumber = 1
    return dataset


def _cine(dataset: Dataset, milliseconds: float) -> None:
    """Frames that follow each other at even times (PS3.3 Section C.7.6.5)."""
    dataset.FrameTime = f"{milliseconds:.3f}"
    dataset.FrameIncrementPointer = 0x00181063
    dataset.CineRate = dataset.RecommendedDisplayFrameRate = round(1000 / milliseconds)


def _grey(dataset: Dataset, shades: Grid, stored: int = 12, signed: bool = False) -> Dataset:
    """With shades (rows, columns) or (frames, rows, columns) as its pixels."""
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    if shades.ndim == 3:
        dataset.NumberOfFrames = len(shades)
    dataset.Rows, dataset.Columns = shades.shape[-2:]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, stored, stored - 1
    dataset.PixelRepresentation = int(signed)
    dataset.PixelData = np.rint(shades).astype("<i2" if signed else "<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _linear_again() -> Dataset:
    """From logarithmic to linear values: for measuring, not for display (PS3.3 C.8.7.1.1.2)."""
    values = np.arange(_BRIGHTEST + 1)
    table = np.expm1(values / _BRIGHTEST * np.log1p(65535))
    item = Dataset()
    item.LUTDescriptor, item.ModalityLUTType = [len(table), 0, 16], "US"
    item.LUTData = np.rint(table).astype("<u2").tobytes()
    item["LUTDescriptor"].VR, item["LUTData"].VR = "US", "OW"
    return item


def _tracer() -> Dataset:
    item = Dataset()
    item.Radiopharmaceutical, item.RadiopharmaceuticalStartTime = "FDG", "103000"
    item.RadionuclideTotalDose, item.RadionuclideHalfLife = "312000000", "6586.2"
    item.RadionuclidePositronFraction = "0.97"
    item.RadionuclideCodeSequence = [_code("77004003", "SCT", "^18^Fluorine")]
    item.RadiopharmaceuticalCodeSequence = [_code("35321007", "SCT", "Fluorodeoxyglucose F^18^")]
    return item


def _noise(*shape: int, sigma: float, seed: int = 161803) -> Grid:
    return np.random.default_rng(seed).normal(0.0, sigma, shape)


def _clouds(rows: int, columns: int, seed: int) -> Grid:
    """Texture from 0 to 1: noise of ever finer grain, ever weaker."""
    random = np.random.default_rng(seed)
    summed = np.zeros((rows, columns))
    for grain in (4, 8, 16, 32, 64):
        coarse = Image.fromarray(random.random((grain, grain)).astype(np.float32))
        fine = coarse.resize((columns, rows), Image.Resampling.BICUBIC)
        summed += np.asarray(fine, np.float64) / grain**0.7
    spread: Grid = (summed - summed.min()) / np.ptp(summed)
    return spread


def _plane(rows: int, columns: int) -> tuple[Grid, Grid]:
    """The y and x of each pixel, from 0 to 1."""
    y, x = np.mgrid[:rows, :columns]
    return y / rows, x / columns


def _breast(rows: int, columns: int) -> Grid:
    y, x = _plane(rows, columns)
    edge = 0.82 * np.sqrt(np.clip(1 - ((y - 0.52) / 0.46) ** 2, 0, None))
    depth = np.clip((edge - x) / 0.09, 0, 1)
    shades = depth * (900 + 1900 * _clouds(rows, columns, 11) * np.clip(edge - x + 0.3, 0, 1))
    muscle = np.clip((0.42 - x - 0.75 * y) / 0.05, 0, 1)
    shades = np.maximum(shades, muscle * (2700 + 300 * _clouds(rows, columns, 12)))
    mass = np.exp(-((((y - 0.56) / 0.035) ** 2 + ((x - 0.38) / 0.042) ** 2) ** 2))
    shades += 800 * mass
    random = np.random.default_rng(13)
    for down, right in random.normal((0.42, 0.5), 0.02, (24, 2)):
        at = int(down * rows), int(right * columns)
        shades[at[0] : at[0] + 2, at[1] : at[1] + 2] += 1300
    seen: Grid = np.clip(shades + _noise(rows, columns, sigma=18), 0, _BRIGHTEST)
    return seen


def _coronaries(side: int, frames: int) -> Grid:
    """Dark vessels on a bright heart, filled from their roots on, as (frames, side, side)."""
    y, x = _plane(side, side)
    heart = 2600 - 900 * np.exp(-(((y - 0.6) / 0.35) ** 2 + ((x - 0.45) / 0.4) ** 2))
    heart += 250 * np.sin(9 * (y + 0.3 * x))
    dark = np.zeros((side, side))
    shown = []
    for frame in range(frames):
        for v, u, thickness in _vessels(frame / frames, (frame + 1) / frames):
            near = ((y - v) ** 2 + (x - u) ** 2) / thickness**2
            dark = np.maximum(dark, np.clip(1 - near / 2, 0, 1))
        noise = _noise(side, side, sigma=70, seed=frame)
        shown.append(np.clip(heart - 1500 * np.sqrt(dark) + noise, 0, _BRIGHTEST))
    return np.stack(shown)


def _vessels(begin: float, end: float) -> Iterator[tuple[float, float, float]]:
    """Where vessels are that the contrast medium reaches from `begin` to `end`: y, x, thickness."""
    along = np.linspace(0, 1, 160)
    branches = (
        (0.10 + 0.80 * along, 0.30 + 0.25 * along + 0.05 * np.sin(7 * along), 0.0, 0.017),
        (0.22 + 0.55 * along, 0.34 + 0.50 * along**0.8, 0.15, 0.012),
        (0.40 + 0.35 * along, 0.40 - 0.25 * along + 0.04 * np.sin(9 * along), 0.3, 0.010),
        (0.55 + 0.30 * along, 0.45 + 0.30 * along**1.5, 0.45, 0.008),
    )
    for down, right, start, width in branches:
        for t, v, u in zip(along, down, right, strict=True):
            # A stenosis, for who looks.
            narrow = 0.45 if start == 0 and 0.46 < t < 0.52 else 1
            if begin <= (start + t) / 2.1 < end:
                yield v, u, width * (1 - 0.5 * t) * narrow


def _swallow(side: int, height: float) -> Grid:
    """Barium in the gullet, its head at `height`, from 0 at the throat to 1 at the stomach."""
    y, x = _plane(side, side)
    shades = 2500 + 600 * np.cos(6.3 * (x - 0.5)) - 500 * y
    spine = np.exp(-(((x - 0.55) / 0.09) ** 2))
    shades -= 700 * spine * (0.8 + 0.2 * np.sign(np.sin(60 * y)))
    course = 0.47 + 0.03 * np.sin(5 * y)
    width = 0.022 + 0.012 * np.sin(20 * (y - height)) ** 2
    filled = (y < 0.1 + 0.75 * height) & (y > 0.75 * height - 0.3)
    shades -= 1600 * np.clip(1.4 - (np.abs(x - course) / width) ** 2, 0, 1) * filled
    seen: Grid = np.clip(shades + _noise(side, side, sigma=90, seed=int(height * 5)), 0, _BRIGHTEST)
    return seen


def _skin(rows: int, columns: int) -> NDArray[np.uint8]:
    y, x = _plane(rows, columns)
    light = 0.82 + 0.12 * _clouds(rows, columns, 21) + 0.1 * (x - y)
    colours = light[..., None] * np.array([232.0, 186.0, 160.0])
    turn = np.arctan2(y - 0.45, 1.33 * (x - 0.5))
    wavy = 0.09 * (1 + 0.1 * np.sin(2 * turn) + 0.06 * np.sin(5 * turn + 1))
    distance = np.hypot(y - 0.45, 1.33 * (x - 0.5)) / wavy
    mole = np.clip(3 * (1 - distance) + 0.5, 0, 1) * (0.7 + 0.3 * _clouds(rows, columns, 22))
    colours += mole[..., None] * (np.array([86.0, 52.0, 40.0]) - colours)
    colours[int(0.86 * rows) :] = (244, 244, 238)
    for millimetre in range(64):
        length = 30 if millimetre % 10 == 0 else 20 if millimetre % 5 == 0 else 12
        top, left = int(0.86 * rows), 10 * millimetre + 4
        colours[top : top + length, left : left + 2] = 30
    seen: NDArray[np.uint8] = np.clip(colours + _noise(rows, columns, 1, sigma=2), 0, 255).astype(
        np.uint8
    )
    return seen


def _uptake(side: int) -> Grid:
    y, x = _plane(side, side)

    def spot(v: float, u: float, high: float, wide: float, bright: float) -> Any:
        return bright * np.exp(-((((y - v) / high) ** 2 + ((x - u) / wide) ** 2) ** 1.5))

    shades = spot(0.5, 0.5, 0.2, 0.3, 3200)  # the trunk
    shades = shades - spot(0.47, 0.37, 0.11, 0.09, 2200) - spot(0.47, 0.63, 0.11, 0.09, 2200)
    shades = shades + spot(0.45, 0.56, 0.05, 0.05, 9000) - spot(0.45, 0.56, 0.02, 0.02, 5000)
    shades = shades + spot(0.4, 0.34, 0.015, 0.015, 34000)  # a lesion, for who looks
    seen: Grid = np.clip(shades + _noise(side, side, sigma=150) * (shades > 200), 0, None)
    return seen
