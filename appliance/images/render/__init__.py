"""An instance becomes pictures: decode, modality, VOI, presentation, colour (PS3.4 Section N.2)."""

from appliance.images.render.limits import Limits
from appliance.images.render.pipeline import Picture, Presented, Renderer, render, render_file
from appliance.images.render.refusal import NoPicture, Refusal, Undecodable

__all__ = [
    "Limits",
    "NoPicture",
    "Picture",
    "Presented",
    "Refusal",
    "Renderer",
    "Undecodable",
    "render",
    "render_file",
]
