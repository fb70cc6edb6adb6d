"""Spark and Delta's own library on a table that Longhaul wrote: python interop.py <step> <table> <jars>. Prints one JSON value."""

import json
import sys

from delta_session import session

step, table, jars = sys.argv[1:4]
spark = session(jars)


def read(**options):
    return spark.read.format("delta").options(**options).load(table)


def rows(frame):
    return [[str(value) for value in row] for row in frame.orderBy("id").collect()]


def described():
    history = spark.sql(f"DESCRIBE HISTORY delta.`{table}`").select("version", "operation", "engineInfo", "operationMetrics")
    return [[r.version, r.operation, r.engineInfo, r.operationMetrics] for r in history.collect()]


def filtered(conditions):
    plain = read().cache()
    plain.count()
    found = []
    for condition in conditions:
        pruned = [r.id for r in read().where(condition).select("id").orderBy("id").collect()]
        full = [r.id for r in plain.filter(condition).select("id").orderBy("id").collect()]
        found.append([condition, len(pruned), pruned == full])
    return found


def look():
    frame = read()
    return {
        "schema": [[f.name, f.dataType.simpleString(), f.nullable, f.metadata] for f in frame.schema.fields],
        "count": frame.count(),
        "rows": rows(frame)[:2],
        "history": described(),
        "first version": read(versionAsOf="0").count(),
        "filters": filtered(json.loads(sys.argv[4])),
    }


def change():
    """Append, merge, delete by a deletion vector, OPTIMIZE, VACUUM of all that no version needs."""
    name = f"delta.`{table}`"
    read().where("id < 5").selectExpr("id + 10000 AS id", "* EXCEPT (id)").write.format("delta").mode("append").save(table)
    read().where("id < 10").selectExpr("* EXCEPT (ratio)", "-1.0D AS ratio").createOrReplaceTempView("changed")
    spark.sql(f"MERGE INTO {name} t USING changed s ON t.id = s.id WHEN MATCHED THEN UPDATE SET ratio = s.ratio")
    spark.sql(f"ALTER TABLE {name} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true', 'delta.enableInCommitTimestamps' = 'true')")
    spark.sql(f"DELETE FROM {name} WHERE id = 150")
    spark.sql(f"OPTIMIZE {name} WHERE region = 'north'")
    spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    spark.sql(f"VACUUM {name} RETAIN 0 HOURS")
    return {"count": read().count(), "merged": read().where("ratio = -1").count(), "history": described()}


def track():
    name = f"delta.`{table}`"
    spark.sql(f"ALTER TABLE {name} SET TBLPROPERTIES ('delta.enableRowTracking' = 'true', 'delta.enableChangeDataFeed' = 'true')")
    return spark.sql(f"DESCRIBE DETAIL {name}").select("minReaderVersion", "minWriterVersion", "tableFeatures").collect()[0].asDict()


def tracked():
    frame = read().select("id", "_metadata.row_id", "_metadata.row_commit_version")
    last = spark.sql(f"DESCRIBE HISTORY delta.`{table}` LIMIT 1").collect()[0].version
    changes = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", last).load(table)
    return {
        "rows": frame.count(),
        "distinct row ids": frame.select("row_id").distinct().count(),
        "last version": last,
        "of the last version": frame.where(f"row_commit_version = {last}").count(),
        "changes": sorted([r._change_type, r["count"]] for r in changes.groupBy("_change_type").count().collect()),
    }


print("RESULT " + json.dumps({"look": look, "change": change, "track": track, "tracked": tracked}[step](), default=str))
