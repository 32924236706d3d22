"""Filters of lists that are stricter than the ones they stand on."""

from datetime import UTC, datetime
from typing import Any

import django_filters
from django.core.exceptions import ValidationError
from django_filters.fields import IsoDateTimeField


class _MomentField(IsoDateTimeField):  # type: ignore[misc]  # publishes no types
    def clean(self, value: Any) -> datetime | None:
        """Return the moment in UTC: databases know fewer offsets and years than texts can name."""
        moment: datetime | None = super().clean(value)
        try:
            return None if moment is None else moment.astimezone(UTC)
        except (OverflowError, ValueError):
            raise ValidationError("This moment is out of range.", code="invalid") from None


class MomentFilter(django_filters.IsoDateTimeFilter):  # type: ignore[misc]  # as above
    """A moment (ISO 8601), with any offset from UTC."""

    field_class = _MomentField
