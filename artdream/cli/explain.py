"""`artdream explain`: what a picture's file says about itself, whether that is so, and the dream rendered again."""

import io
import mmap
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console

from artdream.cli.options import UsageError
from shared.errors import ArtDreamError
from shared.provenance.containers import Container, Content, detect_container
from shared.provenance.embedding import read_statement
from shared.provenance.signing import Signature, SignatureState, read_pem, read_signature
from shared.provenance.statement import SourceType, Statement
from shared.settings import Settings
from shared.storage.object_names import (
    clip_name,
    dream_name,
    gif_name,
    photo_name,
    preview_name,
    square_name,
    working_photo_name,
    zoom_name,
)
from shared.storage.sidecar import Sidecar, read_sidecar
from shared.storage.store import Store, StoreError

#: Objects of a dream that may be the file that is explained, by the file's kind.
_OBJECT_NAMES: Mapping[Container, Sequence[Callable[[str], str]]] = {
    Container.JPEG: (dream_name,),
    Container.WEBP: (preview_name,),
    Container.GIF: (gif_name,),
    Container.MP4: (clip_name, zoom_name, square_name),
}

#: Files whose pixels are compared with those of the dream.
_STILL_CONTAINERS = (Container.JPEG, Container.PNG, Container.WEBP)

#: A picture: (height, width, 3) uint8 sRGB.
Pixels = NDArray[np.uint8]


class ExitCode(IntEnum):
    """What was found; of several files, the highest."""

    CONFIRMED = 0
    UNREADABLE = 1
    NOT_A_DREAM = 3
    CONTRADICTED = 4


class Kind(StrEnum):
    """What a file says that it is."""

    DREAM = "dream"
    OTHER_AI = "other_ai"
    NO_AI = "no_ai"
    SILENT = "silent"
    UNREADABLE = "unreadable"


class StoreState(StrEnum):
    """What comparing a file with this installation's store showed."""

    UNKNOWN = "unknown"  # the dream is not there, or the file names none
    UNAVAILABLE = "unavailable"
    IDENTICAL = "identical"
    SAME_PIXELS = "same_pixels"
    SAYS_OTHERWISE = "says_otherwise"  # the same pixels, and another recipe, seed or network
    CHANGED = "changed"


class Difference(BaseModel):
    """How far two pictures of one size differ, in grey levels from 0 to 255."""

    model_config = ConfigDict(frozen=True)

    mean: float = Field(description="On average over all pixels and colors.")
    largest: int = Field(description="Where they differ most.")


class Explanation(BaseModel):
    """What is known of a file."""

    model_config = ConfigDict(frozen=True)

    file: str = Field(description="The file.")
    kind: Kind = Field(description="What it says that it is: dream, other_ai, no_ai, silent, or unreadable.")
    reason: str = Field("", description="Why it cannot be read.")
    statement: Statement | None = Field(None, description="What it says about itself.")
    signature: Signature | None = Field(None, description="Its signed manifest (C2PA); null if it has none.")
    store: StoreState = Field(
        StoreState.UNKNOWN,
        description=(
            "Compared with the store: identical, same_pixels, says_otherwise, changed, unknown or unavailable."
        ),
    )
    store_object: str = Field("", description="Object in the store that it was compared with.")
    store_difference: Difference | None = Field(None, description="How far the pixels differ, if they do.")
    rendered: Difference | None = Field(None, description="How far the dream that was rendered again differs.")

    @property
    def exit_code(self) -> ExitCode:
        """The exit code for this file alone."""
        if self.kind is Kind.UNREADABLE:
            return ExitCode.UNREADABLE
        is_forged = self.signature is not None and self.signature.state is SignatureState.INVALID
        is_different = self.rendered is not None and self.rendered.largest > 0
        if is_forged or is_different or self.store in (StoreState.CHANGED, StoreState.SAYS_OTHERWISE):
            return ExitCode.CONTRADICTED
        return ExitCode.CONFIRMED if self.kind is Kind.DREAM else ExitCode.NOT_A_DREAM


class _Comparison(NamedTuple):
    state: StoreState
    object_name: str = ""
    difference: Difference | None = None


class Explainer:
    """Explains files, with what the store of this installation has of them. It connects to nothing else."""

    def __init__(self, settings: Settings) -> None:
        """Raise ArtDreamError if the store's address is invalid, or the certificate for C2PA cannot be read."""
        self._settings = settings
        has_store = settings.store_url or settings.data.exists()
        self._store = Store(settings.store) if has_store else None
        self._certificates = read_pem(settings.c2pa_certificate) if settings.c2pa_certificate else None

    def explain(self, path: Path) -> Explanation:
        """Return what is known of a file. A file that cannot be read is explained as such."""
        try:
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return self._explain(path, data)
        except ValueError:  # mmap's, of an empty file
            reason = "is empty"
        except OSError as error:
            reason = f"cannot be read: {error.strerror or error}"
        except ArtDreamError as error:
            reason = f"cannot be read: {str(error)[:1].lower()}{str(error)[1:].rstrip('.')}"
        return Explanation(file=str(path), kind=Kind.UNREADABLE, reason=reason)

    def _explain(self, path: Path, data: mmap.mmap) -> Explanation:
        container = detect_container(data)
        if container is None:
            reason = "is no JPEG, PNG, WebP, GIF, MP4 or PDF"
            return Explanation(file=str(path), kind=Kind.UNREADABLE, reason=reason)
        if container in _STILL_CONTAINERS:
            _decode(data)
        statement, signature = read_statement(data), read_signature(data, self._certificates)
        comparison = self._compare(data, container, statement)
        return Explanation(
            file=str(path),
            kind=_classify(statement),
            statement=statement,
            signature=signature,
            store=comparison.state,
            store_object=comparison.object_name,
            store_difference=comparison.difference,
        )

    def _compare(self, data: Content, container: Container, statement: Statement | None) -> _Comparison:
        """Compare a file with the objects of the dream that it names."""
        if self._store is None or statement is None or not statement.job_id:
            return _Comparison(StoreState.UNKNOWN)
        try:
            if (sidecar := read_sidecar(self._store, statement.job_id)) is None:
                return _Comparison(StoreState.UNKNOWN)
            for name in (name_of(statement.job_id) for name_of in _OBJECT_NAMES.get(container, ())):
                if self._store.get(name) == data[:]:
                    return _Comparison(StoreState.IDENTICAL, name)
            if container not in _STILL_CONTAINERS:
                return _Comparison(StoreState.CHANGED)
            name = dream_name(statement.job_id)
            stored = self._store.get(name)
        except StoreError:
            return _Comparison(StoreState.UNAVAILABLE)
        if stored is None:
            return _Comparison(StoreState.CHANGED)
        difference = measure_difference(_decode(data), _decode(stored))
        if difference is not None and difference.largest == 0:
            is_same = statement == Statement.of_sidecar(sidecar)
            return _Comparison(StoreState.SAME_PIXELS if is_same else StoreState.SAYS_OTHERWISE, name)
        return _Comparison(StoreState.CHANGED, name, difference)

    def render(self, explanation: Explanation, target: Path) -> Explanation:
        """Render the dream of a file again, to `target`, and return the explanation with how far it differs.

        With the number type of the first time, and the photo at the size of the first time. Raises ArtDreamError if the
        photo, the network or the dream's metadata is missing, or the weights are others.
        """
        from artdream.cli.dream import create_engine, validate_target, write_picture
        from worker.jobs.frames import encode_jpeg
        from worker.jobs.job_photo import fills_canvas

        validate_target(target, Path(explanation.file))
        picture = self._read_picture(explanation)
        sidecar = self._load_sidecar(explanation)
        working_photo = self._load_photo(working_photo_name(sidecar.photo_id))
        full_photo = self._load_photo(photo_name(sidecar.photo_id))
        photo = full_photo if full_photo is not None else working_photo
        if photo is None:
            raise ArtDreamError(f"The photo of {explanation.file} is no longer in the store.")
        is_small_enough = working_photo is not None and fills_canvas(working_photo, sidecar.recipe)
        engine = create_engine(self._settings.model_copy(update={"precision": sidecar.precision}))
        dream = engine.dream(
            working_photo if working_photo is not None and is_small_enough else photo,
            sidecar.recipe,
            seed=sidecar.seed,
            load_full_photo=lambda: photo,
        )
        if dream.weights_sha256 != sidecar.weights:
            raise ArtDreamError(
                f"The network {sidecar.network} has other weights here than when {explanation.file} was made, so it "
                "cannot be rendered again."
            )
        write_picture(target, dream.pixels, Statement.of_sidecar(sidecar))
        # The dream was stored as a JPEG, whatever the files are.
        difference = measure_difference(picture, _decode(encode_jpeg(dream.pixels)))
        if difference is None:
            raise ArtDreamError(
                f"{explanation.file} has another size than the dream, which is in {target}: they cannot be compared."
            )
        return explanation.model_copy(update={"rendered": difference})

    def _read_picture(self, explanation: Explanation) -> Pixels:
        """Return the pixels of a file. Raises ArtDreamError unless it is a picture of a dream."""
        data = Path(explanation.file).read_bytes() if explanation.kind is Kind.DREAM else b""
        if detect_container(data) not in _STILL_CONTAINERS:
            raise ArtDreamError(f"{explanation.file} is no picture of a dream, so there is nothing to render again.")
        return _decode(data)

    def _load_sidecar(self, explanation: Explanation) -> Sidecar:
        file, statement = explanation.file, explanation.statement
        if statement is None or not statement.job_id:
            raise ArtDreamError(f"{file} names no dream of an installation, so it cannot be rendered again.")
        sidecar = read_sidecar(self._store, statement.job_id) if self._store else None
        if sidecar is None:
            raise ArtDreamError(
                f"The dream of {file} is not in this installation's store: name its data folder with --data."
            )
        return sidecar

    def _load_photo(self, name: str) -> Pixels | None:
        from worker.jobs.job_photo import decode_photo

        data = self._store.get(name) if self._store else None
        return None if data is None else decode_photo(data, name)


def explain_files(
    paths: Sequence[Path], settings: Settings, console: Console, *, render_to: Path | None, as_json: bool
) -> ExitCode:
    """Print what is known of files, and return the exit code. render_to: the dream of the only file, rendered again."""
    from artdream.cli.options import print_json

    if render_to is not None and len(paths) > 1:
        raise UsageError("--render renders the dream of one file: name one.")
    explainer = Explainer(settings)
    explanations = [explainer.explain(path) for path in paths]
    if render_to is not None:
        explanations = [explainer.render(explanations[0], render_to)]
    if as_json:
        print_json(explanations)
    else:
        for explanation in explanations:
            for line in to_lines(explanation):
                console.print(line, soft_wrap=True, markup=False)
    return max((explanation.exit_code for explanation in explanations), default=ExitCode.CONFIRMED)


def measure_difference(one: Pixels, other: Pixels) -> Difference | None:
    """Return how far two pictures, (height, width, 3) uint8, differ; None if their sizes do."""
    if one.shape != other.shape:
        return None
    difference = np.abs(one.astype(np.int16) - other)
    return Difference(mean=round(float(difference.mean()), 3), largest=int(difference.max()))


def to_lines(explanation: Explanation) -> list[str]:
    """Return an explanation in words: one sentence, then what is known, line by line."""
    file, statement = explanation.file, explanation.statement
    match explanation.kind:
        case Kind.UNREADABLE:
            return [f"{file} {explanation.reason}."]
        case Kind.SILENT:
            first = f"{file} does not say how it was made."
        case Kind.NO_AI:
            first = f"{file} says that it was made without AI ({_describe_type(statement)})."
        case Kind.OTHER_AI:
            program = f" by {statement.program}" if statement and statement.program else ""
            first = f"{file} says that it was made with AI{program}, not by ArtDream ({_describe_type(statement)})."
        case Kind.DREAM:
            first = f"{file} says: {_describe_dream(statement)}."
    facts = _list_facts(statement) if explanation.kind is Kind.DREAM and statement else {}
    if explanation.signature:
        facts["signature"] = _describe_signature(explanation.signature)
    elif explanation.kind is Kind.DREAM:
        facts["signature"] = "none, so the file itself proves nothing: anybody can write or remove such a statement"
    if explanation.kind is Kind.DREAM:
        facts["store"] = _describe_store(explanation)
    if explanation.rendered:
        facts["rendered"] = _describe_rendered(explanation.rendered)
    return [first, *(f"  {name:10}{text}" for name, text in facts.items())]


def _describe_dream(statement: Statement | None) -> str:
    if statement is None:
        return ""
    source = "from nothing" if statement.source_type == SourceType.TRAINED else "from a photo"
    day = f", on {statement.created:%Y-%m-%d}" if isinstance(statement.created, date) else ""
    return f"made {source} with AI, by {statement.program}{day}"


def _list_facts(statement: Statement) -> dict[str, str]:
    facts = {}
    if statement.recipe:
        facts["recipe"] = f"{statement.title} ({statement.recipe}, version {statement.recipe_version})"
        facts["seed"] = str(statement.seed)
        facts["network"] = f"{statement.network or 'a file'}, weights {statement.weights}"
    elif statement.title:
        facts["title"] = statement.title
    if statement.job_id:
        facts["job"] = statement.job_id
    return facts


def _describe_type(statement: Statement | None) -> str:
    return statement.source_type if statement else ""


def _describe_signature(signature: Signature) -> str:
    signer, reasons = signature.signer or "an unnamed signer", ", ".join(signature.reasons)
    match signature.state:
        case SignatureState.UNVERIFIED:
            return "there is one (C2PA), which cannot be verified here: install `artdream[c2pa]`"
        case SignatureState.OWN:
            return f"valid, by this installation's key ({signer}): unchanged since it was signed"
        case SignatureState.VALID:
            return (
                f"valid, and the file is unchanged since it was signed; the certificate says “{signer}”, "
                "which nothing here confirms"
            )
        case SignatureState.INVALID:
            return f"not valid: the file was changed after it was signed, or the certificate has expired ({reasons})"


def _describe_store(explanation: Explanation) -> str:
    match explanation.store:
        case StoreState.IDENTICAL:
            return f"unchanged: byte for byte {explanation.store_object} of this installation"
        case StoreState.SAME_PIXELS:
            return f"the pixels of {explanation.store_object} of this installation, in another file"
        case StoreState.SAYS_OTHERWISE:
            return f"the pixels of {explanation.store_object} of this installation, of which it says something else"
        case StoreState.UNAVAILABLE:
            return "unavailable, so the file is not compared with it"
        case StoreState.UNKNOWN:
            if explanation.statement is None or not explanation.statement.job_id:
                return "the file names no job, so there is nothing to compare it with"
            return "the dream is not in this installation's store, so nothing confirms or contradicts this"
        case StoreState.CHANGED:
            if explanation.store_difference:
                return f"changed: {_describe_difference(explanation.store_difference)} from the dream of that job"
            return "changed: no file of that job is the same or has the same size"


def _describe_rendered(difference: Difference) -> str:
    if difference.largest == 0:
        return "again from photo, recipe, seed and network: the same pixels"
    return f"again from photo, recipe, seed and network: {_describe_difference(difference)}"


def _describe_difference(difference: Difference) -> str:
    return f"{difference.mean:g} grey levels away on average, {difference.largest} at most,"


def _classify(statement: Statement | None) -> Kind:
    if statement is None:
        return Kind.SILENT
    if statement.is_own and statement.is_ai:
        return Kind.DREAM
    return Kind.OTHER_AI if statement.is_ai else Kind.NO_AI


def _decode(data: Content) -> Pixels:
    try:
        with Image.open(io.BytesIO(data[:]), formats=["JPEG", "PNG", "WEBP"]) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ArtDreamError("The picture is damaged.") from error
