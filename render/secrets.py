"""Secrets out of texts: what foreign libraries put into their messages must not reach a terminal, a log or a report.

Known by their form, not by their value: nobody below the command line reads the environment.
"""

from __future__ import annotations

import re

__all__ = ["redacted"]

HIDDEN = "…"
_SURE = (
    (re.compile(r"\b(?:hf|api_org)_[A-Za-z0-9]{20,}"), HIDDEN),  # tokens of the Hugging Face hub
    (
        re.compile(r"(?i)(authorization\W{1,6}(?:bearer|basic))\s+[A-Za-z0-9._~+/=-]+"),
        rf"\1 {HIDDEN}",
    ),  # RFC 9110, 11.4
    (re.compile(r"(?i)\b(bearer)\s+[A-Za-z0-9._~+/=-]{16,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"(://)[^/\s:@]*:[^/\s@]*@"), rf"\1{HIDDEN}@"),  # user and password in an address
    (re.compile(r"(?i)([?&](?:token|signature|x-amz-[a-z-]+|key-pair-id|policy)=)[^&\s'\"]+"), rf"\1{HIDDEN}"),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b"), HIDDEN),  # access keys of AWS
)
_LIKELY = (
    (re.compile(r"(//)\S*@"), rf"\1{HIDDEN}@"),  # whatever stands before an @ of an address
    (re.compile(r"(://[^\s?]*\?)\S+"), rf"\1{HIDDEN}"),  # queries, in which addresses are signed
    (
        re.compile(
            r"(?i)((?:signature|credential|secret|token|password|access_?key)[\w-]*[\"']?\s*[=:]\s*[\"']?)[^\s&,;\"']+"
        ),
        rf"\1{HIDDEN}",
    ),
)
"""Forms that harmless texts have as well, job specs and traces among them."""


def redacted(text: str, *, strict: bool = False) -> str:
    """``text`` without tokens, passwords and signed parts of addresses.

    ``strict`` leaves out what may be one, too: for what stores say, and for addresses that people type.
    """
    for form, instead in (*_LIKELY, *_SURE) if strict else _SURE:
        text = form.sub(instead, text)
    return text
