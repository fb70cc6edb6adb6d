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


SCHEMA = """id bigint, small smallint, whole int, price decimal(12,2), long decimal(38,10), single float, double double, ok boolean,
  name string, day date, at timestamp, clock timestamp_ntz, body string, tags string, region string"""

THINGS = ["id % 17 = 3 AND region = 'r2'", "price > 1000000", "name = ''", "day < DATE '0100-01-01'", "isnan(single)", "region IS NULL",
  "at = TIMESTAMP '1940-06-15 00:00:00.251073'", "long < -300000000000000000000", "region = 'a/b=c %20'", "double = 0"]


def compare():
    """Every row of a table that Longhaul copied, beside what Postgres itself has written as CSV; and filters beside a full scan."""
    given = json.loads(sys.argv[4])
    text = spark.read.schema(SCHEMA).options(multiLine=True, nullValue="\\N", emptyValue="", escape='"', positiveInf="Infinity",
        negativeInf="-Infinity", timestampFormat="yyyy-MM-dd HH:mm:ss.SSSSSS", timestampNTZFormat="yyyy-MM-dd HH:mm:ss.SSSSSS",
        dateFormat="yyyy-MM-dd", mode="FAILFAST").csv(given["expected"])
    expected = text.selectExpr("* EXCEPT (body, tags, region)", "unhex(body) AS body", "from_json(tags, 'array<string>') AS tags", "region").cache()
    found = read().select(*expected.columns).cache()
    return {
        "rows": found.count(),
        "expected": expected.count(),
        "missing": expected.exceptAll(found).count(),
        "extra": found.exceptAll(expected).count(),
        "filters": filtered(THINGS),
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


print("RESULT " + json.dumps({"look": look, "compare": compare, "change": change, "track": track, "tracked": tracked}[step](), default=str))
