"""Names come by the thousand, and hostile ones among them; the page of metrics stays as it is."""

from collections.abc import Iterator

import pytest

from core.metrics.instruments import RECORDER
from core.metrics.names import MOST
from core.metrics.recording import SERIES_MOST
from core.metrics.table import OTHER
from observability.telemetry import metrics_page
from observability.telemetry.page import readings_forget
from tests.bench.series import label_values, series
from tests.bench.series_rows import agents
from tests.bench.series_told import tell
from tests.factories.governance import make_workspace

pytestmark = pytest.mark.django_db

TOLD = 2_000


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    readings_forget()
    RECORDER.clear()
    yield
    RECORDER.clear()
    readings_forget()


def scraped() -> str:
    readings_forget()
    return metrics_page().decode()


def test_more_runs_add_no_value_of_a_label_and_no_name_breaks_the_page() -> None:
    agents(make_workspace("acme"))
    tell(0, TOLD)
    first = scraped()

    tell(TOLD, TOLD)
    page = scraped()

    values, families = label_values(page), series(page)
    assert values == label_values(first)
    assert "agentry_forged_total" not in families
    for label in ("agent", "model", "tool"):
        assert len(values[label]) == MOST + 1
        assert OTHER in values[label]
    assert 40 < families["agentry_agent_up"] <= MOST
    assert max(families.values()) <= SERIES_MOST + 1
    assert families["agentry_runs_finished_total"] <= (MOST + 1) * len(values["state"])
    assert families["agentry_tool_calls_total"] <= (MOST + 1) * len(values["outcome"])


def test_without_bounds_the_same_runs_would_grow_it() -> None:
    """What is told does name thousands: the test above would otherwise prove nothing."""
    RECORDER.bind(most=100_000)
    tell(0, 500)
    first = label_values(scraped())

    tell(500, 500)

    assert len(label_values(scraped())["agent"]) > len(first["agent"]) + 400 > 800
