"""What runs in a process that tags: a model of its own, one thread, parts in, records of results out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from whopays.batch.parts import to_record
from whopays.batch.process import Channel
from whopays.errors import WhopaysError
from whopays.tagger import load
from whopays.text import Document


def serve(channel: Channel, options: Mapping[str, Any]) -> None:
    """Say which model was loaded, or why none; then answer each request, a list of parts, with one message a part."""
    try:
        tagger = load(options["model"], threads=1, precision=options["precision"])
    except WhopaysError as error:
        channel.send({"refused": str(error)})
        return
    channel.send({"model": tagger.model_id})
    for request in channel:
        for part in request["parts"]:
            try:
                result = tagger.tag(Document(part["text"], breaks=tuple(part["breaks"])))
            except Exception as error:  # a defect must cost one text, not the batch
                channel.send({"error": type(error).__name__, "message": " ".join(str(error).split())})
            else:
                channel.send({"result": to_record(result)})
