"""Signing: secrets of endpoints, and the headers of a message, as Standard Webhooks 1.0 says.

A secret is derived from the key of the share links and the endpoint's id, so it is stored nowhere.
Source: https://www.standardwebhooks.com
"""

import base64
import hashlib
import hmac

from display.pages.share_links import ShareLinks

#: Begins every secret that is shared with the receiver.
SECRET_PREFIX = "whsec_"  # noqa: S105


def derive_secret(share_links: ShareLinks, endpoint_id: str) -> bytes:
    """Return the secret of an endpoint, 32 bytes."""
    return share_links.derive_secret(f"webhook {endpoint_id}")


def format_secret(secret: bytes) -> str:
    """Return a secret as its receiver needs it."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def digest_secret(secret: bytes) -> str:
    """Return by what a secret is known without being told."""
    return hashlib.sha256(secret).hexdigest()


def make_headers(secret: bytes, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers of an attempt. timestamp: of the attempt, in epoch seconds."""
    signature = hmac.digest(secret, f"{message_id}.{timestamp}.".encode() + body, "sha256")
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }
