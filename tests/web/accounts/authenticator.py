"""A passkey in software: what a device does with its private key (WebAuthn, level 2)."""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers import bytes_to_base64url as base64url

PRESENT, VERIFIED, WITH_KEY = 0x01, 0x04, 0x40


class Authenticator:
    """One passkey, for the site of this name, used on pages of this origin."""

    def __init__(self, site: str, origin: str) -> None:
        self.site = site
        self.origin = origin
        self.id = secrets.token_bytes(16)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.count = 0
        self.flags = PRESENT | VERIFIED

    def register(self, options: dict[str, Any]) -> str:
        """Make the passkey that these options ask for."""
        numbers = self.key.public_key().public_numbers()
        public_key = cbor2.dumps(
            {
                1: 2,
                3: -7,
                -1: 1,
                -2: numbers.x.to_bytes(32, "big"),
                -3: numbers.y.to_bytes(32, "big"),
            }
        )
        held = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + public_key
        said = self._said("webauthn.create", options["challenge"])
        attestation = cbor2.dumps(
            {"fmt": "none", "attStmt": {}, "authData": self._data(WITH_KEY) + held}
        )
        return self._credential(
            {"clientDataJSON": base64url(said), "attestationObject": base64url(attestation)}
        )

    def show(self, options: dict[str, Any]) -> str:
        """Sign what these options ask for."""
        self.count += 1
        said = self._said("webauthn.get", options["challenge"])
        data = self._data(0)
        signature = self.key.sign(data + hashlib.sha256(said).digest(), ec.ECDSA(SHA256()))
        return self._credential(
            {
                "clientDataJSON": base64url(said),
                "authenticatorData": base64url(data),
                "signature": base64url(signature),
            }
        )

    def _said(self, kind: str, challenge: str) -> bytes:
        return json.dumps(
            {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        ).encode()

    def _data(self, more: int) -> bytes:
        flags = bytes([self.flags | more])
        return hashlib.sha256(self.site.encode()).digest() + flags + self.count.to_bytes(4, "big")

    def _credential(self, response: dict[str, str]) -> str:
        return json.dumps(
            {
                "id": base64url(self.id),
                "rawId": base64url(self.id),
                "type": "public-key",
                "response": response,
                "clientExtensionResults": {},
            }
        )
