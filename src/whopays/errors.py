"""Every exception that whopays raises on purpose.

    WhopaysError
    ├── UsageError               the call is wrong: an option, a type, a path that does not exist
    ├── CodebookError            a codebook file that does not describe a valid label scheme
    ├── OffsetError              a span that does not lie in its text, or does not quote it
    ├── MarkupError              inline mark-up that does not parse; names file and line
    ├── RecordError              a broken JSON line, a missing column; names file and line
    ├── ModelError               a model folder that is incomplete, tampered with, or made for another codebook
    ├── RunError                 a run folder that is in use, made with other settings, or cannot be written
    ├── TaggingError             a text that could not be tagged: the process died over it, or took too long
    └── ReadError                a document that cannot be read; the subclasses say why
        ├── UnknownFormatError       no reader for this kind of file
        ├── EmptyDocumentError       the file holds no text
        ├── EncryptedDocumentError   the file asks for a password
        ├── ImageOnlyError           the pages are pictures without a text layer
        ├── MislabelledError         the content is not what the file's name says
        ├── CorruptDocumentError     the file is damaged
        ├── ChangedDocumentError     the file changed while it was read
        ├── TimeLimitError           reading took longer than a batch allows
        ├── MemoryLimitError         reading took more memory than a batch allows
        └── ReaderCrashError         the process that read the file died

Messages are one sentence each, meant for a person: what was found, what was expected, and the likely fix.
"""

from __future__ import annotations


class WhopaysError(Exception):
    """Base class of all errors that whopays raises on purpose."""


class UsageError(WhopaysError, ValueError):
    """The call is wrong: an option, a type, or a path that does not exist."""


class CodebookError(WhopaysError, ValueError):
    """A codebook file does not describe a valid label scheme."""


class OffsetError(WhopaysError, ValueError):
    """A span does not lie in its text, or does not quote it."""


class MarkupError(WhopaysError, ValueError):
    """Inline mark-up does not parse; the message names file and line."""


class RecordError(WhopaysError, ValueError):
    """A record of a JSONL, CSV or Parquet file is broken; the message names file and line."""


class ModelError(WhopaysError):
    """A model folder is incomplete, was tampered with, or was made for another codebook."""


class RunError(WhopaysError):
    """A run folder is in use, was made with other settings, or cannot be written."""


class TaggingError(WhopaysError):
    """A text could not be tagged: the process that tagged it died or took too long."""


class ReadError(WhopaysError):
    """A document cannot be read; the subclasses say why."""


class UnknownFormatError(ReadError):
    """There is no reader for this kind of file."""


class EmptyDocumentError(ReadError):
    """The file holds no text."""


class EncryptedDocumentError(ReadError):
    """The file asks for a password."""


class ImageOnlyError(ReadError):
    """The pages are pictures without a text layer."""


class MislabelledError(ReadError):
    """The content is not what the file's name says."""


class CorruptDocumentError(ReadError):
    """The file is damaged."""


class ChangedDocumentError(ReadError):
    """The file changed while it was read."""


class TimeLimitError(ReadError):
    """Reading took longer than a batch allows."""


class MemoryLimitError(ReadError):
    """Reading took more memory than a batch allows."""


class ReaderCrashError(ReadError):
    """The process that read the file died."""
