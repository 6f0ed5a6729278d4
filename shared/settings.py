"""The settings of an installation: one frozen object, read once from the environment and `.env`."""

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlencode

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SecretsSettingsSource, SettingsConfigDict

from shared.broker.policy import require_secure_url, validate_secret
from shared.errors import ArtDreamError
from shared.recipe.canvas import MAX_PHOTO_SIDE
from shared.recipe.painters import DEFAULT_PAINTER_RECIPES
from shared.recipe.recipe import DEFAULT_RECIPE
from shared.secret_files import export_store_secrets, find_secrets_folder

ENV_PREFIX = "ARTDREAM_"

#: Value of `public_url` of a display that phones cannot reach.
NO_PUBLIC_URL = "none"

#: File in the data folder that holds the URL of the embedded broker, so that other commands find it.
BROKER_FILE = "broker.url"


class Settings(BaseSettings):
    """The settings of an installation. Every field is an environment variable with the prefix `ARTDREAM_`."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_file=".env",
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,  # the input may be a secret
    )

    data: Path = Field(Path("artdream-data"), description="Data folder: embedded broker, embedded store, ledger, logs.")
    inbox: Path = Field(Path("inbox"), description="Folder that the producer watches for photos.")
    secrets_dir: Path | None = Field(
        None,
        description=(
            "Folder of secret files, one setting or store key each (artdream_broker_url, "
            "aws_secret_access_key, …). Default: /run/secrets if it exists. Environment variables take "
            "precedence."
        ),
    )
    broker_url: SecretStr | None = Field(
        None,
        description=(
            "URL of the broker: redis://, rediss:// (TLS) or unix://, as "
            "rediss://user:password@host:port/0. Default: the embedded broker of the data folder."
        ),
    )
    broker_ca: Path | None = Field(
        None,
        description=(
            "PEM file of the authority that issued the certificate of a rediss:// broker. Default: the "
            "system's authorities."
        ),
    )
    insecure_broker: bool = Field(
        False,
        description=(
            "Allow a broker on another machine without TLS or without a password. Anybody on that network "
            "can then read the password and all jobs, and submit jobs. Only for a network that you "
            "control."
        ),
    )
    store_url: str | None = Field(
        None,
        description=(
            "URL of the store: file://, s3://bucket/prefix, gs://, az:// or ssh+sftp://user@host/folder. "
            "Default: the folder `store` in the data folder. Keys come from the environment or from "
            "secret files: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, and for other S3 servers "
            "AWS_ENDPOINT and AWS_ALLOW_HTTP=true; GOOGLE_SERVICE_ACCOUNT; AZURE_STORAGE_ACCOUNT_NAME, "
            "AZURE_STORAGE_ACCOUNT_KEY."
        ),
    )
    ssh: str | None = Field(
        None, description="SSH host through which the broker is reached, as user@host or user@host:port. Default: none."
    )
    ssh_key: Path | None = Field(
        None, description="Private key for SSH (broker and store). Default: the agent's keys and those in ~/.ssh."
    )
    ssh_known_hosts: Path = Field(
        Path("~/.ssh/known_hosts"), description="known_hosts file. Connections to other hosts are refused."
    )
    weights: Path = Field(Path("~/.cache/artdream/weights"), description="Folder for downloaded network weights.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description=(
            "Number type of the networks. auto uses bfloat16 if it is faster on this processor, otherwise float32."
        ),
    )
    recipe: str = Field(
        ", ".join(DEFAULT_PAINTER_RECIPES),
        description=(
            "Recipes for photos from the inbox, by name or .toml file, separated by commas. Each photo "
            "gets one of them, chosen by its content."
        ),
    )
    event: Path | None = Field(
        None,
        description=(
            "TOML file whose table [event] says how the event looks: title, logo, colors, texts. The displays of an "
            "installation name the same file. Default: the usual look. The console can change it."
        ),
    )
    approval: bool = Field(
        False,
        description=(
            "Require the operator's approval before a dream is shown. Set it for any component, such as the display: "
            "when it starts, the setting applies to the whole installation. From then on the console changes it; "
            "removing it here does not."
        ),
    )
    moderation: Literal["off", "hold"] = Field(
        "off",
        description=(
            "hold: a small network scores each photo, frame and dream, and what may not be fit for everybody "
            "waits for the operator's approval. Set it for every worker; it needs `artdream[moderation]`."
        ),
    )
    moderation_threshold: float = Field(
        0.5,
        ge=0,
        le=1,
        description=(
            "Score, from 0 to 1, from which on the network's moderation holds a dream. Lower holds more: a place with "
            "children may take 0.2, a museum with nudes on its walls 0.8."
        ),
    )
    retention_days: int = Field(
        0, ge=0, description="Days after which dreams and photos are deleted; 0: never. The console can change it."
    )
    counts_days: int = Field(
        400, ge=0, description="Days for which the usage counts are kept, which have no personal data; 0: forever."
    )
    passcode: SecretStr | None = Field(
        None,
        min_length=8,
        description="Passcode of the operator's console, at least 8 characters. Default: no console.",
    )
    host: str = Field("127.0.0.1", description="Address that the display listens on. 0.0.0.0 opens it to the network.")
    port: int = Field(8501, ge=1, le=65535, description="Port of the display.")
    public_url: str | None = Field(
        None,
        description=(
            "Address of the display for phones, such as https://dream.example.org; QR codes lead there. "
            "Default: this machine's address if the display is open to the network. none: phones cannot "
            "reach it."
        ),
    )
    trusted_proxies: str = Field(
        "",
        description=(
            "Addresses or networks of reverse proxies in front of the display, separated by commas. Only "
            "their X-Forwarded-For and X-Forwarded-Proto headers are trusted. Without this setting, all "
            "guests behind a proxy count as one."
        ),
    )
    links_secret: SecretStr | None = Field(
        None,
        min_length=16,
        description="Secret that signs share links. Default: a key in the data folder, generated once.",
    )
    links_days: float = Field(30.0, gt=0, le=3650, description="Days for which a share link is valid.")
    send: bool = Field(True, description="Accept photos from phones at /send.")
    send_recipes: str = Field(
        " ".join(
            (
                *DEFAULT_PAINTER_RECIPES,
                *["inside-van-gogh", "wonderland", "gold"],
                *["animals", "apparition", "curls", "eyes", "mosaic", "night", "spirals", "woodcut"],
            )
        ),
        description="Recipes that guests can choose from at /send, separated by spaces.",
    )
    sends_per_guest: int = Field(6, ge=1, description="Photos that a guest can send in ten minutes.")
    api: bool = Field(
        False,
        description=(
            "Serve the HTTP API at /api/v1, for programs with a key of `artdream api-key create`. Needs the extra "
            "`api`."
        ),
    )
    webhooks: bool = Field(
        False,
        description=(
            "Let `artdream up` deliver webhooks to the endpoints of `artdream webhook add`, as `artdream webhooks` "
            "does."
        ),
    )
    mirror: bool = Field(
        False,
        description=(
            "Serve the mirror at /mirror: visitors before a screen with a webcam see themselves painted. Needs the "
            "extra `mirror`."
        ),
    )
    mirror_network: Path | None = Field(
        None,
        description="Folder of the mirror's network, as `artdream train-stylizer` writes it. Default: the bundled one.",
    )
    printer: str = Field(
        "",
        description=(
            "Printer for guests' sheets: the name of a CUPS queue on this machine, or an address as "
            "ipp://host:631/ipp/print. Default: nothing is printed."
        ),
    )
    print_sheet: Literal["postcard", "photo-and-dream", "dream"] = Field(
        "postcard",
        description="What a sheet shows: postcard (dream, photo, title and QR code), photo-and-dream, or dream alone.",
    )
    print_paper: Literal["10x15", "a6", "a4", "square"] = Field(
        "10x15", description="Paper in the printer: 10x15 (4 × 6 inches), a6, a4, or square (5 × 5 inches)."
    )
    print_automatic: bool = Field(
        False, description="Print every dream as soon as it is visible. The console can change it."
    )
    prints_per_guest: int = Field(
        2,
        ge=0,
        description=(
            "Prints that a guest can order from the share page in an event; 0: none. The console can change it."
        ),
    )
    prints_per_event: int = Field(
        0,
        ge=0,
        description="Automatic and guests' prints in an event; 0: no limit. The console can change it.",
    )
    clips: bool = Field(True, description="Make clips of finished dreams in the background, at low priority.")
    c2pa_key: Path | None = Field(
        None,
        description=(
            "Private key, PEM, with which dreams and their videos are signed (C2PA); `artdream c2pa-key` makes one. "
            "Default: they are not signed."
        ),
    )
    c2pa_certificate: Path | None = Field(
        None, description="PEM file of the certificate of that key, followed by those of its authorities."
    )
    cache_mb: int = Field(
        2000, ge=0, description="Size of the display's picture cache in MB. Not used if the store is a folder."
    )
    language: str = Field(
        "en",
        description=(
            "Language of the wall (de, en, es, fr, it, ja, nl, pt) and the console (de, en); ?lang= "
            "overrides it. Guests' pages use the browser's language if available, otherwise this one."
        ),
    )
    idle_after: float = Field(
        30.0, gt=0, description="Seconds without new dreams after which the wall shows earlier ones."
    )
    rotate_every: float = Field(15.0, ge=3, description="Seconds that the wall shows each earlier dream.")
    settle_seconds: float = Field(0.25, ge=0, description="Seconds without a change before a file counts as complete.")
    patience_seconds: float = Field(
        10.0, gt=0, description="Seconds that a file which cannot be decoded is given to grow before it is rejected."
    )
    photo_side: int = Field(
        MAX_PHOTO_SIDE,
        ge=256,
        le=MAX_PHOTO_SIDE,
        description=(
            "Long side of stored photos in pixels, unless a recipe's canvas is larger. Guests' photos are "
            "first uploaded at the size of the canvas, so a larger size delays no dream."
        ),
    )
    max_file_mb: int = Field(300, gt=0, description="Size of the largest accepted file in MB.")
    max_megapixels: int = Field(
        120,
        gt=0,
        description=(
            "Size of the largest accepted picture in megapixels. A HEIC may have twice as many; of a JPEG, "
            "the decoded pixels count."
        ),
    )
    live_photos: bool = Field(
        False, description="Dream the video of a Live Photo (a `.MOV` beside a picture of the same name) as its clip."
    )
    decode_seconds: float = Field(
        30.0, gt=0, description="Seconds after which decoding a file is stopped and the file rejected."
    )
    grace_seconds: float = Field(
        20.0,
        ge=0,
        description=("Seconds that a stopping worker has to finish its dream before the job goes to another worker."),
    )
    together: int = Field(
        1,
        ge=1,
        le=64,
        description=(
            "Batch jobs that a worker renders in one ascent, for GPUs. A guest's photo waits for all of "
            "them, unless other workers serve the live lane only."
        ),
    )
    log: Literal["text", "json"] = Field(
        "text", description="Log format on standard error: text, or json with one object per line."
    )
    worker_metrics_port: int = Field(0, ge=0, le=65535, description="Port of a worker's Prometheus metrics; 0: none.")
    producer_metrics_port: int = Field(
        0, ge=0, le=65535, description="Port of a producer's Prometheus metrics; 0: none."
    )
    display_metrics_port: int = Field(0, ge=0, le=65535, description="Port of a display's Prometheus metrics; 0: none.")
    webhooks_metrics_port: int = Field(
        0, ge=0, le=65535, description="Port of the Prometheus metrics of `artdream webhooks`; 0: none."
    )
    metrics_host: str = Field(
        "127.0.0.1", description="Address that metrics are served on. They have no access control."
    )
    tracing: bool = Field(
        False,
        description=(
            "Send a trace of each photo to an OpenTelemetry collector; it needs `artdream[tracing]`. "
            "OTEL_EXPORTER_OTLP_ENDPOINT is the collector's address, by default http://localhost:4318."
        ),
    )
    time_limit_seconds: int = Field(600, gt=0, description="Seconds after which a dream fails.")
    worker_process_mb: int = Field(
        0,
        ge=0,
        description=(
            "Memory in MB after which a worker process is replaced when it has finished its dream; 0: no limit."
        ),
    )

    @field_validator("passcode", "links_secret")
    @classmethod
    def _reject_placeholder(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            validate_secret(secret.get_secret_value())
        return secret

    @field_validator("public_url")
    @classmethod
    def _require_root_of_host(cls, url: str | None) -> str | None:
        if url is not None and url != NO_PUBLIC_URL and not re.fullmatch("https?://[^/?#@]+/?", url):
            raise ValueError(
                "name the display's address as https://dream.example.org, without a path, because it has to be at the "
                f"root of a host, or say {NO_PUBLIC_URL}"
            )
        return url

    @field_validator("trusted_proxies")
    @classmethod
    def _require_networks(cls, proxies: str) -> str:
        for proxy in filter(None, map(str.strip, proxies.split(","))):
            try:
                ip_network(proxy)
            except ValueError:
                raise ValueError(f"{proxy} is neither an IP address nor a network such as 10.0.0.0/8") from None
        return proxies

    @property
    def broker(self) -> str:
        """The broker's URL to connect to, secrets included.

        Raises ArtDreamError if it is missing, invalid, or not secure.
        """
        return require_secure_url(
            self.configured_broker_url, ca_file=self.broker_ca, allow_insecure=self.insecure_broker
        )

    @property
    def configured_broker_url(self) -> str:
        """The broker's URL as configured, not checked for security. Raises ArtDreamError if there is none."""
        if self.broker_url is not None:
            return self.broker_url.get_secret_value()
        file = self.data / BROKER_FILE
        try:
            return file.read_text(encoding="utf-8").strip()
        except OSError:
            raise ArtDreamError(
                f"No ArtDream runs on the folder {self.data}: start one with `artdream up`, "
                f"name its folder with --data, or set {ENV_PREFIX}BROKER_URL."
            ) from None

    @property
    def recipes(self) -> tuple[str, ...]:
        """The names or paths of the recipes for photos from the inbox; at least one."""
        return tuple(filter(None, (name.strip() for name in self.recipe.split(",")))) or (DEFAULT_RECIPE,)

    @property
    def guest_recipes(self) -> list[str]:
        """The names of the recipes that guests may choose on their phones."""
        return self.send_recipes.replace(",", " ").split()

    @property
    def store(self) -> str:
        """The store's URL, with the key files if it leads over SSH; by default a folder inside the data folder."""
        if self.store_url and self.store_url.startswith("ssh+sftp:"):
            files = {"known_hosts": self.ssh_known_hosts} | ({"key": self.ssh_key} if self.ssh_key else {})
            return f"{self.store_url}?{urlencode(files)}"
        return self.store_url or (self.data / "store").absolute().as_uri()

    def to_environment(self) -> dict[str, str]:
        """Return these settings as environment variables, for a child process."""
        return {
            f"{ENV_PREFIX}{name.upper()}": value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            for name, value in self
            if value is not None
        }

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  replaced: its folder is a setting itself
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Give secret files the lowest precedence. Raises ArtDreamError if the configured folder is missing."""
        configured = env_settings().get("secrets_dir") or dotenv_settings().get("secrets_dir")
        secret_files = SecretsSettingsSource(settings_cls, secrets_dir=find_secrets_folder(configured))
        return init_settings, env_settings, dotenv_settings, secret_files

    @classmethod
    def is_secret(cls, name: str) -> bool:
        """Return whether a field's value must never be shown; True for an unknown field."""
        return name not in cls.model_fields or "SecretStr" in str(cls.model_fields[name].annotation)

    @classmethod
    def read(cls, **overrides: object) -> Self:
        """Read the settings; overrides that are not None, from the command line, take precedence.

        Raises ArtDreamError that names the invalid variable.
        """
        try:
            export_store_secrets(find_secrets_folder((settings := cls()).secrets_dir))
            return cls.model_validate(
                {**settings.model_dump(), **{k: v for k, v in overrides.items() if v is not None}}
            )
        except ValidationError as error:
            raise ArtDreamError(_describe_error(error)) from None


#: Names of all settings, by what they are about.
SETTING_GROUPS: Mapping[str, Sequence[str]] = {
    "Installation": ("data", "inbox", "recipe", "secrets_dir", "log"),
    "Broker and store": (
        "broker_url",
        "broker_ca",
        "insecure_broker",
        "store_url",
        "ssh",
        "ssh_key",
        "ssh_known_hosts",
    ),
    "Producer": (
        "photo_side",
        "settle_seconds",
        "patience_seconds",
        "max_file_mb",
        "max_megapixels",
        "decode_seconds",
        "live_photos",
    ),
    "Worker": (
        "weights",
        "precision",
        "clips",
        "together",
        "time_limit_seconds",
        "grace_seconds",
        "worker_process_mb",
        "c2pa_key",
        "c2pa_certificate",
    ),
    "Display": (
        "host",
        "port",
        "public_url",
        "trusted_proxies",
        "language",
        "idle_after",
        "rotate_every",
        "cache_mb",
        "api",
        "webhooks",
        "mirror",
        "mirror_network",
    ),
    "Guests and operator": (
        "send",
        "send_recipes",
        "sends_per_guest",
        "links_days",
        "links_secret",
        "passcode",
        "event",
        "approval",
        "moderation",
        "moderation_threshold",
        "retention_days",
        "counts_days",
    ),
    "Printing": (
        "printer",
        "print_sheet",
        "print_paper",
        "print_automatic",
        "prints_per_guest",
        "prints_per_event",
    ),
    "Metrics and traces": (
        "worker_metrics_port",
        "producer_metrics_port",
        "display_metrics_port",
        "webhooks_metrics_port",
        "metrics_host",
        "tracing",
    ),
}


def _describe_error(error: ValidationError) -> str:
    """Return a sentence that says what is wrong with a setting, and its value unless that is a secret."""
    first = error.errors()[0]
    name = ".".join(map(str, first["loc"]))
    problem = first["msg"].removeprefix("Value error, ")
    current_value = "" if Settings.is_secret(name) else f" (it is {first['input']!r})"
    return f"Setting {ENV_PREFIX}{name.upper()}: {problem}{current_value}."


def render_env_example() -> str:
    """Return the text of `.env.example`: every setting with its meaning and default."""
    lines = ["# Settings of ArtDream. Copy to .env and uncomment what you change. Generated by `make settings`."]
    for group, names in SETTING_GROUPS.items():
        lines += ["", f"# --- {group} ---"]
        for name in names:
            field = Settings.model_fields[name]
            default = "" if field.default is None else field.default
            lines += ["", f"# {field.description}", f"# {ENV_PREFIX}{name.upper()}={default}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(render_env_example(), end="")  # noqa: T201
