"""Export the small model for transformers, and tag with the pipeline that whopays registers there (needs the train extra)."""

from tempfile import TemporaryDirectory

from transformers import pipeline

import whopays.integrations.transformers
from whopays.training.float_export import export_transformers

with TemporaryDirectory() as folder:
    print(export_transformers(folder, "small"))
    tag = pipeline(whopays.integrations.transformers.TASK, model=folder)
    for result in tag(["Students now pay $5,500 a year.", "The museum opens at nine."]):
        print(result["labels"], [span["text"] for span in result["spans"]])
