import datetime

import pytest

from ollamax.cli.age import format_age
from ollamax.cli.size import format_size

HOUR, DAY = 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "Less than a second ago"),
        (1, "1 second ago"),
        (59.9, "59 seconds ago"),
        (60, "About a minute ago"),
        (125, "2 minutes ago"),
        (HOUR - 1, "59 minutes ago"),
        (HOUR, "About an hour ago"),
        (47 * HOUR, "47 hours ago"),
        (2 * DAY, "2 days ago"),
        (13 * DAY, "13 days ago"),
        (14 * DAY, "2 weeks ago"),
        (59 * DAY, "8 weeks ago"),
        (60 * DAY, "2 months ago"),
        (729 * DAY, "24 months ago"),
        (730 * DAY, "2 years ago"),
        (-125, "2 minutes from now"),
    ],
)
def test_ages(seconds, shown):
    now = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    assert format_age(now - datetime.timedelta(seconds=seconds), now) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 KB"),
        (1234, "1.2 KB"),
        (12_345, "12 KB"),
        (3_763_040, "3.8 MB"),
        (4_700_000_000, "4.7 GB"),
        (5 * 10**12, "5 TB"),
    ],
)
def test_sizes(count, shown):
    assert format_size(count) == shown
