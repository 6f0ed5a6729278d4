"""The statement: that a picture is made with AI, and by what; as an XMP packet, and read from one."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import cache
from importlib.metadata import version
from typing import Self
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from pydantic import BaseModel, ConfigDict

from shared.jpeg_marker import PROGRAM
from shared.recipe.recipe import Recipe
from shared.storage.sidecar import Sidecar

#: IPTC's controlled vocabulary of source types (cv.iptc.org/newscodes/digitalsourcetype).
SOURCE_TYPE_PREFIX = "http://cv.iptc.org/newscodes/digitalsourcetype/"

#: Bytes of the largest packet that is read.
MAX_PACKET_BYTES = 1_000_000

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DC = "http://purl.org/dc/elements/1.1/"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_XMP = "http://ns.adobe.com/xap/1.0/"
_OWN = "urn:artdream:provenance:1#"
_PREFIXES = {_IPTC: "Iptc4xmpExt", _XMP: "xmp", _OWN: "artdream"}

#: What begins and ends every packet (XMP specification, part 1, 7.3.2); programs find it by this.
_BEGIN = "<?xpacket begin='\ufeff' id='W5M0MpCehiHzreSzNTczkc9d'?>"
_END = "<?xpacket end='w'?>"

#: Names of networks, as `artdream networks` lists them; a recipe may also name a file.
_NETWORK_NAME = re.compile(r"[\w-]+(/[\w-]+)?")

#: Characters that XML 1.0 does not have.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class SourceType(StrEnum):
    """How a picture came about, in the terms of IPTC."""

    #: A photo that a trained network has changed.
    COMPOSITE = "compositeWithTrainedAlgorithmicMedia"
    #: A picture that a trained network has made of nothing.
    TRAINED = "trainedAlgorithmicMedia"


class Statement(BaseModel):
    """What a file says about itself. The fields that are empty are not written.

    Never a position, a guest, a file path, or a time of day.
    """

    model_config = ConfigDict(frozen=True)

    #: The last part of the IPTC source type's address. Other programs write other types than those of SourceType.
    source_type: str = SourceType.COMPOSITE
    #: Program that made the picture, with its version.
    program: str = ""
    title: str = ""
    #: Job that the dream is of: a hash of photo, recipe and seed.
    job_id: str = ""
    #: Name and version of the recipe.
    recipe: str = ""
    recipe_version: int | None = None
    seed: int | None = None
    #: Name of the network, and SHA-256 of its weights.
    network: str = ""
    weights: str = ""
    #: Day on which it was made, UTC.
    created: date | None = None

    @property
    def is_own(self) -> bool:
        """Whether ArtDream made the picture."""
        return self.program == PROGRAM or self.program.startswith(f"{PROGRAM} ")

    @property
    def is_ai(self) -> bool:
        """Whether a trained network made the picture or a part of it."""
        return self.source_type in tuple(SourceType)

    @classmethod
    def brief(cls) -> Self:
        """Return what a frame or a thumbnail says: made with AI, by this version of ArtDream."""
        return cls(program=get_program())

    @classmethod
    def of_recipe(
        cls,
        recipe: Recipe,
        *,
        seed: int,
        weights: str,
        source_type: SourceType = SourceType.COMPOSITE,
        created_at: float,
        program: str = "",
        job_id: str = "",
    ) -> Self:
        """Return what a dream says. created_at: epoch seconds. program: by default this version of ArtDream.

        The name of a network that is a file is left out: it is a path.
        """
        return cls(
            source_type=source_type,
            program=program or get_program(),
            title=recipe.title,
            job_id=job_id,
            recipe=recipe.name,
            recipe_version=recipe.version,
            seed=seed,
            network=recipe.network if _NETWORK_NAME.fullmatch(recipe.network) else "",
            weights=weights,
            created=datetime.fromtimestamp(created_at, UTC).date(),
        )

    @classmethod
    def of_sidecar(cls, sidecar: Sidecar) -> Self:
        """Return what the files of a dream say, from the metadata that lie beside it."""
        return cls.of_recipe(
            sidecar.recipe,
            seed=sidecar.seed,
            weights=sidecar.weights,
            created_at=sidecar.completed_at,
            program=sidecar.program,
            job_id=sidecar.job_id,
        )

    @classmethod
    def of_collection(cls, title: str) -> Self:
        """Return what a film or a sheet of several dreams says."""
        return cls(program=get_program(), title=title)

    def to_packet(self) -> bytes:
        """Return this as an XMP packet, UTF-8."""
        system, _, system_version = self.program.partition(" ")
        properties = {
            (_IPTC, "DigitalSourceType"): SOURCE_TYPE_PREFIX + self.source_type,
            (_IPTC, "AISystemUsed"): system,
            (_IPTC, "AISystemVersionUsed"): system_version,
            (_XMP, "CreatorTool"): self.program,
            (_XMP, "CreateDate"): self.created.isoformat() if self.created else "",
            (_OWN, "Job"): self.job_id,
            (_OWN, "Recipe"): self.recipe,
            (_OWN, "RecipeVersion"): "" if self.recipe_version is None else str(self.recipe_version),
            (_OWN, "Seed"): "" if self.seed is None else str(self.seed),
            (_OWN, "Network"): self.network,
            (_OWN, "WeightsSHA256"): self.weights,
        }
        written = {key: _NO_XML.sub("", text) for key, text in properties.items() if text}
        namespaces = {namespace: _PREFIXES[namespace] for namespace, _ in written}
        element = ""
        if self.title:
            namespaces[_DC] = "dc"
            text = escape(_NO_XML.sub("", self.title))
            element = f"<dc:title><rdf:Alt><rdf:li xml:lang='x-default'>{text}</rdf:li></rdf:Alt></dc:title>"
        declared = "".join(f" xmlns:{prefix}='{namespace}'" for namespace, prefix in namespaces.items())
        attributes = "".join(
            f" {_PREFIXES[namespace]}:{name}={quoteattr(text)}" for (namespace, name), text in written.items()
        )
        return (
            f"{_BEGIN}<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='{_RDF}'>"
            f"<rdf:Description rdf:about=''{declared}{attributes}>{element}</rdf:Description>"
            f"</rdf:RDF></x:xmpmeta>{_END}"
        ).encode()


@cache
def get_program() -> str:
    """Return the name and the version of this program."""
    return f"{PROGRAM} {version('artdream')}"


def parse_packet(packet: bytes) -> Statement | None:
    """Return what an XMP packet says about how its picture came about, whoever wrote it; None if it says nothing.

    Another program may have written it again, with elements for attributes. A packet that is damaged, or no UTF-8, says
    nothing.
    """
    if len(packet) > MAX_PACKET_BYTES:
        return None
    try:
        text = packet.decode("utf-8-sig").strip("\0 \t\r\n\ufeff")
        if "<!" in text.replace("<!--", ""):  # no document type, and so no entities that grow
            return None
        values = dict(_iter_properties(ElementTree.fromstring(text)))  # noqa: S314  see above
    except (UnicodeDecodeError, ElementTree.ParseError, ValueError):
        return None
    source_type = values.get(f"{{{_IPTC}}}DigitalSourceType", "")
    if not source_type:
        return None
    own = {name: values.get(f"{{{_OWN}}}{name}", "") for name in ("Job", "Recipe", "RecipeVersion", "Seed", "Network")}
    return Statement(
        source_type=source_type.rstrip("/").rpartition("/")[2],
        program=values.get(f"{{{_XMP}}}CreatorTool") or values.get(f"{{{_IPTC}}}AISystemUsed", ""),
        title=values.get(f"{{{_DC}}}title", ""),
        job_id=own["Job"] if re.fullmatch("[0-9a-f]{32}", own["Job"]) else "",
        recipe=own["Recipe"],
        recipe_version=_parse_number(own["RecipeVersion"]),
        seed=_parse_number(own["Seed"]),
        network=own["Network"],
        weights=values.get(f"{{{_OWN}}}WeightsSHA256", ""),
        created=_parse_date(values.get(f"{{{_XMP}}}CreateDate", "")),
    )


def _iter_properties(root: ElementTree.Element) -> Iterator[tuple[str, str]]:
    """Yield the properties of a packet, with their full names; of a list, the first text."""
    for description in root.iter(f"{{{_RDF}}}Description"):
        yield from description.attrib.items()
        for element in description:
            item = element.find(f".//{{{_RDF}}}li")
            text = element.text if item is None else item.text
            yield element.tag, (text or element.get(f"{{{_RDF}}}resource") or "").strip()


def _parse_number(text: str) -> int | None:
    return int(text) if re.fullmatch("[0-9]{1,10}", text) else None


def _parse_date(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None
