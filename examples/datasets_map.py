"""Tag a `datasets.Dataset`; equal calls are found in the cache."""

from datasets import Dataset

import whopays

tagger = whopays.load()
data = Dataset.from_dict({"text": ["Students now pay $5,500 a year.", "The museum opens at nine."]})
for row in data.map(tagger.tag_batch, batched=True, features=tagger.batch_features(data)):
    print(row["labels"], row["payers"], [span["text"] for span in row["spans"]])
