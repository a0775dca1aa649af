"""Tags a table of texts with PySpark: `mapInPandas`, one tagger for each partition.

    pip install whopays "pyspark>=4.0"
    spark-submit examples/spark/tag.py texts.parquet tags.parquet [small]

The input has a column ``text``, and any others, which are kept; the output has the tags besides. Every executor needs whopays
installed; the models come with it. Spark does what is Spark's: it divides the table, and repeats the partitions of executors
that die. Unlike `whopays tag --output run/` it reads no PDF or HTML, and keeps no ledger.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

TAGS = """
    payers array<string>, evaders array<string>, mechanisms array<string>, labels array<string>,
    scores map<string, double>,
    spans array<struct<label: string, start: int, end: int, text: string, score: double>>
"""


def tag(table: DataFrame, model: str = "default") -> DataFrame:
    """The table with the columns of `TAGS` added. ``start`` and ``end`` count code points of ``text``."""
    from pyspark.sql.types import StructType

    tags = StructType.fromDDL(TAGS)
    names = tags.names

    def tag_partition(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        import whopays

        # Half a second for each partition; one thread, since Spark runs a task on every core.
        tagger = whopays.load(model, threads=1)
        for batch in batches:
            columns = tagger.tag_batch({"text": batch["text"].tolist()})
            yield batch.assign(**{name: columns[name] for name in names})

    return table.mapInPandas(tag_partition, StructType([*table.schema.fields, *tags.fields]))


def main() -> None:
    from pyspark.sql import SparkSession

    source, target, *model = sys.argv[1:]
    spark = SparkSession.builder.appName("whopays").getOrCreate()
    tag(spark.read.parquet(source), *model).write.parquet(target)


if __name__ == "__main__":
    main()
