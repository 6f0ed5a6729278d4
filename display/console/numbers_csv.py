"""The CSV of the tab Numbers: a row for each hour that the tab shows."""

from datetime import tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import redis

from shared.monitoring.usage_counts import HOURS_PER_DAY, read_usage_counts
from shared.monitoring.usage_report import format_csv, make_rows
from shared.storage.store import Store

#: Route of the CSV.
CSV_PATH = "/console/numbers.csv"

#: Hours of one CSV: ten years.
MAX_CSV_HOURS = 10 * 366 * HOURS_PER_DAY


def parse_zone(name: str | None) -> tzinfo | None:
    """Return the time zone of that IANA name; None, this machine's, if there is none."""
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def format_hours(client: redis.Redis, store: Store, first_hour: int, last_hour: int, zone: tzinfo | None) -> str:
    """Return the hours from the first to the last as CSV, at most MAX_CSV_HOURS. Raises RedisError and StoreError."""
    last_hour = min(last_hour, first_hour + MAX_CSV_HOURS - 1)
    counts = read_usage_counts(client, store, first_hour, last_hour)
    return format_csv(make_rows(counts, first_hour, last_hour, zone))
