"""The bytes of a file: loading them, telling what they are, decoding text."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from whopays.errors import EmptyDocumentError, MislabelledError, ReadError, UsageError

_SIGNATURES = (
    (b"%PDF-", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive or an Office document"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document"),
    (b"{\\rtf", "an RTF document"),
    (b"\x89PNG\r\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF87a", "a GIF image"),
    (b"GIF89a", "a GIF image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"PAR1", "a Parquet file"),
    (b"PARE", "an encrypted Parquet file"),
    (b"\x1f\x8b\x08", "a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\x7fELF", "a program"),
)
# The UTF-32 marks stand first: the one of UTF-32-LE begins with that of UTF-16-LE.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MARKUP = re.compile(rb"\s*(?:<!doctype\s+html|<html\b)", re.IGNORECASE)
# What no text holds; tabs, line ends, form feeds, backspaces (of man pages), the end mark of DOS and escapes do occur.
_CONTROLS = re.compile(r"[\x00-\x07\x0e-\x19\x1c-\x1f]")
SAMPLE = 1 << 16  # bytes or code points from the start that tell what a file is


def check_file(path: Path) -> None:
    """Raise `UsageError` unless ``path`` is a file, `ReadError` if that cannot be told."""
    try:
        if path.is_file():
            return
        found = "it is a folder" if path.is_dir() else "it is not a file" if path.exists() else "there is no such file"
    except (OSError, ValueError) as error:
        raise ReadError(f"{path}: cannot be opened ({error}); check the name and its permissions.") from None
    raise UsageError(f"{path}: {found}; expected the path of a file to read.")


def load(path: Path) -> bytes:
    """The bytes of a file. Raises `UsageError`, `EmptyDocumentError` (no bytes) or `ReadError` (no permission, ...)."""
    check_file(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None
    if not data:
        raise EmptyDocumentError(f"{path}: the file is empty (0 bytes); expected text.")
    return data


def unreadable(path: Path, error: OSError) -> ReadError:
    """The error for a file that the operating system does not let us read."""
    reason = error.strerror or type(error).__name__
    return ReadError(f"{path}: cannot be read ({reason}); check that it is there and that you may read it.")


def sniff(data: bytes) -> str:
    """What the first bytes of a file say it is, with an article, such as "a PDF"; "" if they do not tell."""
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            return name
    if _MARKUP.match(data.removeprefix(codecs.BOM_UTF8)):
        return "an HTML page"
    return ""


def mislabelled(path: Path, found: str, expected: str) -> MislabelledError:
    """The error for a file that seems to be ``found``; both are named with their article."""
    return MislabelledError(f"{path}: seems to be {found}, expected {expected}; give the file its right extension.")


def check_is_text(path: Path, data: bytes, text: str, expected: str) -> None:
    """Raise `MislabelledError` if ``data``, decoded as ``text``, is a known binary format or no text at all.

    ``expected`` names what the file's name promises, such as "plain text".
    """
    found = sniff(data)
    if found and found != "an HTML page":
        raise mislabelled(path, found, expected)
    sample = text[:SAMPLE]
    if len(_CONTROLS.findall(sample)) > len(sample) / 100:
        raise mislabelled(path, "binary data", expected)


def decode(data: bytes, declared: str = "") -> str:
    """Text from bytes: by byte order mark, else UTF-8, else the ``declared`` encoding, else the likeliest one.

    Line ends are kept as they are, a byte order mark is dropped. Never fails: undecodable bytes become U+FFFD.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    if encoding := _wide_encoding(data):
        return data.decode(encoding, "replace")
    for encoding in ("utf-8", declared):
        try:
            return data.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
    return _guess(data)


def is_utf8(path: Path) -> bool:
    """Whether `decode` would read all of a file as UTF-8; reads it in pieces. Raises `OSError`."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        piece = file.read(SAMPLE)
        if _wide_encoding(piece) or any(piece.startswith(mark) for mark, name in _BYTE_ORDER_MARKS if "8" not in name):
            return False
        try:
            while piece:
                decoder.decode(piece)
                piece = file.read(1 << 20)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _wide_encoding(data: bytes) -> str:
    """UTF-16 without a byte order mark: every other byte of Western text is zero."""
    sample = data[: SAMPLE & ~1]
    half = len(sample) // 2
    if half == 0 or sample.count(0) < 0.4 * half:
        return ""
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd > 0.4 * half and even < 0.05 * half:
        return "utf-16-le"
    if even > 0.4 * half and odd < 0.05 * half:
        return "utf-16-be"
    return ""


def _guess(data: bytes) -> str:
    """Legacy text. Mostly ASCII letters with some others is Windows Western, where a statistical guess from the few
    other bytes is often wrong (it reads '£9,250' as 'Ł9,250'); anything else is left to charset_normalizer.
    """
    western = data.decode("cp1252", "replace")
    letters = [character for character in western[:SAMPLE] if character.isalpha()]
    if "\ufffd" not in western and sum(letter > "\x7f" for letter in letters) < 0.2 * len(letters):
        return western
    from charset_normalizer import from_bytes

    best = from_bytes(data).best()
    return western if best is None else str(best)
