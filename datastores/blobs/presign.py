"""Presigned S3 URLs whose headers and parameters are bound too: Signature Version 4 in the query.

obstore signs method, path and end alone; a size, a checksum and a file's name are bound here.
Source: AWS, Signature Version 4, "Authenticating Requests: Using Query Parameters".
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class S3Place:
    """Where a bucket is, and who asks. `base` is scheme and host, `prefix` the path of the bucket."""

    base: str
    prefix: str
    region: str
    key_id: str
    secret: str

    def presigned(
        self,
        method: str,
        key: str,
        *,
        valid_s: float,
        at_utc: datetime,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> str:
        """A URL for one request. Who uses it has to send `headers` exactly so."""
        at = at_utc.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{at[:8]}/{self.region}/s3/aws4_request"
        signed = {"host": self.base.partition("://")[2], **{k.lower(): v for k, v in (headers or {}).items()}}
        names = ";".join(sorted(signed))
        told = {
            **(query or {}),
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{self.key_id}/{scope}",
            "X-Amz-Date": at,
            "X-Amz-Expires": str(int(valid_s)),
            "X-Amz-SignedHeaders": names,
        }
        path = quote(f"{self.prefix}/{key}", safe="/-_.~")
        asked = "&".join(
            f"{quote(name, safe='-_.~')}={quote(told[name], safe='-_.~')}" for name in sorted(told)
        )
        canonical = "\n".join(
            [
                method, path, asked,
                *(f"{name}:{signed[name].strip()}" for name in sorted(signed)), "",
                names, "UNSIGNED-PAYLOAD",
            ]
        )  # fmt: skip
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        signature = hmac.new(
            self._signing_key(at[:8]), f"{_ALGORITHM}\n{at}\n{scope}\n{digest}".encode(), hashlib.sha256
        ).hexdigest()
        return f"{self.base}{path}?{asked}&X-Amz-Signature={signature}"

    def _signing_key(self, day: str) -> bytes:
        key = f"AWS4{self.secret}".encode()
        for part in (day, self.region, "s3", "aws4_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return key
