"""The settings of an installation: one frozen object, read once from the environment and `.env`."""

import re
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

    data: Path = Field(Path("artdream-data"), description="Folder of the embedded broker, store and ledger.")
    inbox: Path = Field(Path("inbox"), description="Folder that the producer watches for photos.")
    secrets_dir: Path | None = Field(
        None,
        description="Folder of files that each hold one setting, artdream_broker_url and so on, or one key of the "
        "store, aws_secret_access_key; empty: /run/secrets where there is one. The environment comes first.",
    )
    broker_url: SecretStr | None = Field(
        None,
        description="redis://…, over TLS rediss://user:password@host:port/0, or unix:///path/of/a.sock; empty: the "
        "broker of the stack that runs on the data folder.",
    )
    broker_ca: Path | None = Field(
        None,
        description="PEM file of the authority that issued the certificate of a rediss:// broker; empty: those that "
        "this machine trusts.",
    )
    insecure_broker: bool = Field(
        False,
        description="true runs with a broker on another machine that is spoken to in the clear or without a password: "
        "whoever is on that network reads the password and every job, and sends any. For a network of your own only.",
    )
    store_url: str | None = Field(
        None,
        description="file:///…, s3://bucket/prefix, gs://…, az://… or ssh+sftp://user@host/folder; empty: the folder "
        "`store` in data. Keys are read from the environment, not from this file: AWS_ACCESS_KEY_ID, "
        "AWS_SECRET_ACCESS_KEY, AWS_REGION, for S3-compatible servers AWS_ENDPOINT and AWS_ALLOW_HTTP=true; "
        "GOOGLE_SERVICE_ACCOUNT; AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY.",
    )
    ssh: str | None = Field(
        None, description="user@host or user@host:port of the SSH host that the broker is reached through; empty: none."
    )
    ssh_key: Path | None = Field(
        None, description="Private key for SSH, broker and store alike; empty: the agent's keys and those in ~/.ssh."
    )
    ssh_known_hosts: Path = Field(
        Path("~/.ssh/known_hosts"), description="File of the SSH hosts whose keys are known; others are refused."
    )
    weights: Path = Field(
        Path("~/.cache/artdream/weights"), description="Folder that the weights of the big networks are fetched into."
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="What networks compute in: auto takes bfloat16 where it is faster here, float32 elsewhere."
    )
    recipe: str = Field(
        ", ".join(DEFAULT_PAINTER_RECIPES),
        description="Recipes, or .toml files, that photos from the inbox are dreamt with; its content chooses one.",
    )
    approval: bool = Field(
        False,
        description="Whether the operator approves each dream before it is seen, until the console says else.",
    )
    retention_days: int = Field(
        0, ge=0, description="Days after which dreams and photos are deleted, until the console says else; 0: never."
    )
    passcode: SecretStr | None = Field(
        None,
        min_length=8,
        description="What opens the operator's console, at least 8 characters; empty: there is no console.",
    )
    host: str = Field("127.0.0.1", description="Address the display listens on; 0.0.0.0 opens it to the network.")
    port: int = Field(8501, ge=1, le=65535, description="Port of the display.")
    public_url: str | None = Field(
        None,
        description="The display's address for phones, https://dream.example.org; empty: this machine's address where "
        "the display is open to the network; none: phones cannot reach it. QR codes lead there.",
    )
    trusted_proxies: str = Field(
        "",
        description="Addresses or networks of the proxies before the display, with commas between: the address and the "
        "scheme of a browser are what X-Forwarded-For and X-Forwarded-Proto of theirs say, and of nobody else's. "
        "Without them all guests behind a proxy count as one.",
    )
    links_secret: SecretStr | None = Field(
        None, min_length=16, description="Signs the links that take dreams home; empty: a key in data, made once."
    )
    links_days: float = Field(30.0, gt=0, le=3650, description="Days after which such a link ends.")
    send: bool = Field(True, description="Whether guests may send photos from their phones, at /send.")
    send_recipes: str = Field(
        " ".join(
            (
                *DEFAULT_PAINTER_RECIPES,
                *["animals", "apparition", "curls", "eyes", "mosaic", "night", "spirals", "woodcut"],
            )
        ),
        description="What they may choose from.",
    )
    sends_per_guest: int = Field(6, ge=1, description="Photos that one guest may send in ten minutes.")
    clips: bool = Field(True, description="Whether workers make clips of finished dreams, between the dreams.")
    cache_mb: int = Field(
        2000, ge=0, description="Megabytes of pictures that the display keeps where the store is not a folder."
    )
    language: str = Field(
        "en",
        description="Language of the wall (de, en, es, fr, it, ja, nl, pt) and of the console (de, en); /?lang=de asks "
        "for another. Other pages speak the language "
        "of the guest's browser, or this one.",
    )
    idle_after: float = Field(
        30.0, gt=0, description="Seconds without news after which the wall shows old dreams again."
    )
    rotate_every: float = Field(15.0, ge=3, description="Seconds that each of them stays.")
    settle_seconds: float = Field(0.25, ge=0, description="How long a file must stand still to count as whole.")
    patience_seconds: float = Field(
        10.0, gt=0, description="How long a file that cannot be decoded may still be growing before it is set aside."
    )
    photo_side: int = Field(
        MAX_PHOTO_SIDE,
        ge=256,
        le=MAX_PHOTO_SIDE,
        description="Long side in pixels that photos are shrunk to, unless a recipe's canvas is larger. Guests' photos "
        "go out at the size of the canvas first, so that larger ones delay no dream.",
    )
    max_file_mb: int = Field(300, gt=0, description="Files of more megabytes than this are refused.")
    max_megapixels: int = Field(120, gt=0, description="Pictures of more megapixels than this are refused.")
    decode_seconds: float = Field(30.0, gt=0, description="A picture that takes longer to decode is refused.")
    grace_seconds: float = Field(
        20.0, ge=0, description="How long a worker that has to stop may still dream before its job goes to another."
    )
    together: int = Field(
        1,
        ge=1,
        le=64,
        description="Photos of a batch that a worker dreams in one ascent, where so many wait, meant for GPUs: a "
        "guest's photo that comes meanwhile waits for all of them, unless workers have lanes of their own.",
    )
    log: Literal["text", "json"] = Field(
        "text", description="How worker, producer and display log to standard error: text, or json, an object a line."
    )
    worker_metrics_port: int = Field(
        0, ge=0, le=65535, description="Port on which a worker serves /metrics for Prometheus; 0: none."
    )
    producer_metrics_port: int = Field(0, ge=0, le=65535, description="The same of a producer.")
    display_metrics_port: int = Field(0, ge=0, le=65535, description="The same of a display: guests never see it.")
    metrics_host: str = Field(
        "127.0.0.1", description="Address that metrics are served on; anybody who reaches it reads them."
    )
    time_limit_seconds: int = Field(600, gt=0, description="A dream that takes longer than this fails.")
    worker_process_mb: int = Field(
        0,
        ge=0,
        description="Megabytes of memory that a process of a worker may take: after a dream that took more, another "
        "process warms up and takes its place. 0: no limit.",
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
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else field.default
        lines += ["", f"# {field.description}", f"# {ENV_PREFIX}{name.upper()}={default}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(render_env_example(), end="")  # noqa: T201
