"""What a dream says about itself: everything that made it, and nothing about who was there."""

from datetime import date

import pytest

from shared.jobs.job import Job
from shared.provenance.statement import SOURCE_TYPE_PREFIX, SourceType, Statement, get_program, parse_packet
from shared.recipe.recipe import load_recipe
from tests.sidecars import make_sidecar

JOB = Job(photo_id="5" * 64, recipe=load_recipe("more-paul-klee"), seed=7, submitter="guest-4711")

#: As other programs write a packet that they read: elements, not attributes.
REWRITTEN = f"""<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>
 <rdf:Description rdf:about='' xmlns:Iptc4xmpExt='http://iptc.org/std/Iptc4xmpExt/2008-02-29/'>
  <Iptc4xmpExt:DigitalSourceType rdf:resource='{SOURCE_TYPE_PREFIX}trainedAlgorithmicMedia'/>
 </rdf:Description>
 <rdf:Description rdf:about='' xmlns:xmp='http://ns.adobe.com/xap/1.0/' xmlns:dc='http://purl.org/dc/elements/1.1/'>
  <xmp:CreatorTool>Somebody's program</xmp:CreatorTool><xmp:CreateDate>2026-11-29T21:03:55+01:00</xmp:CreateDate>
  <dc:title><rdf:Alt><rdf:li xml:lang='x-default'>A cat &amp; a dog</rdf:li></rdf:Alt></dc:title>
 </rdf:Description></rdf:RDF></x:xmpmeta>"""


def test_a_dream_says_what_made_it_and_on_which_day() -> None:
    sidecar = make_sidecar(JOB, weights="ab" * 32, completed_at=1_790_000_000.0, program="ArtDream 0.0.9")
    statement = parse_packet(Statement.of_sidecar(sidecar).to_packet())
    assert statement == Statement(
        source_type=SourceType.COMPOSITE,
        program="ArtDream 0.0.9",
        title="Paul Klee",
        job_id=JOB.id,
        recipe="more-paul-klee",
        recipe_version=JOB.recipe.version,
        seed=7,
        network="artist/masters-robust",
        weights="ab" * 32,
        created=date(2026, 9, 21),
    )
    assert statement.is_own
    assert statement.is_ai


def test_a_dream_says_nothing_of_its_guest_its_photo_or_its_files() -> None:
    recipe = load_recipe("lines").model_copy(update={"network": "/home/anna/networks/anna.keras"})
    job = JOB.model_copy(update={"recipe": recipe})
    packet = Statement.of_sidecar(make_sidecar(job, artworks=("anna/picture.jpg",))).to_packet()
    assert b"lines" in packet
    for private in (job.photo_id.encode(), b"4711", b"anna", b".keras", b".jpg", b"photos/", b":00", b"GPS"):
        assert private not in packet


@pytest.mark.parametrize(
    ("title", "read"),
    [
        ("„Träume“ & <Łódź>", "„Träume“ & <Łódź>"),
        ("夢 🌙", "夢 🌙"),
        ('it\'s "so"', 'it\'s "so"'),
        ("a\x1b\x00b\uffff", "ab"),
    ],
)
def test_a_title_comes_back_whatever_its_letters(title: str, read: str) -> None:
    statement = parse_packet(Statement(program=get_program(), title=title, recipe=title).to_packet())
    assert statement
    assert (statement.title, statement.recipe) == (read, read)


def test_what_another_program_wrote_is_understood() -> None:
    assert parse_packet(REWRITTEN.encode()) == Statement(
        source_type="trainedAlgorithmicMedia",
        program="Somebody's program",
        title="A cat & a dog",
        created=date(2026, 11, 29),
    )


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\xff\xfe<\0",
        b"<x:xmpmeta",
        REWRITTEN.replace("DigitalSourceType", "Nothing").encode(),
        ('<!DOCTYPE x [<!ENTITY a "aaaa">]>' + REWRITTEN.replace("A cat", "&a;")).encode(),
        REWRITTEN.encode("utf-16"),
        REWRITTEN.encode() + b" " * 1_000_000,
    ],
    ids=["empty", "no text", "cut short", "no source type", "entities", "UTF-16", "too long"],
)
def test_a_packet_that_is_damaged_or_hostile_says_nothing(packet: bytes) -> None:
    assert parse_packet(packet) is None
