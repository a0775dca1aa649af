"""Tag every document of a folder, and carry on when one cannot be read."""

from pathlib import Path

import whopays
from whopays.reading import discover

tagger = whopays.load()
folder = Path(__file__).parent / "documents"
for path in discover([folder]):
    try:
        documents = list(whopays.read(path))
    except whopays.ReadError as error:
        print("skipped:", error)
        continue
    for document, result in zip(documents, tagger.tag_all(documents), strict=True):
        pages = sorted({span.page for span in result.spans if span.page})
        where = f" (pages {', '.join(map(str, pages))})" if pages else ""
        print(f"{document.id}: {', '.join(result.labels) or 'no claim'}{where}")
