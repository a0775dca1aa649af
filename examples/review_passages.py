"""Pick the passages most worth a person's time, and write them for Label Studio."""

from pathlib import Path
from tempfile import TemporaryDirectory

from whopays.review.reviewing import Review, write_review

documents = Path(__file__).parent / "documents"
with TemporaryDirectory() as folder:
    tasks = Path(folder) / "tasks.json"
    review = Review([str(documents / "hollin-consultation-1999.pdf")], [], tasks, "label-studio", count=5)
    picked, _ = write_review(review)
    for passage in picked:
        print(f"{passage.worth:.2f}  {passage.example.id}: {'; '.join(passage.reasons) or 'unlike the others'}")
    print("wrote", *sorted(path.name for path in Path(folder).iterdir()))
