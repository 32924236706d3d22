"""The state diagrams in the documentation are those of the code."""

import pytest

from scripts.generate_states import DIAGRAMS, ROOT, drawn


@pytest.mark.parametrize("place", DIAGRAMS)
def test_a_drawn_table_is_the_one_in_the_code(place: str) -> None:
    name, draw = DIAGRAMS[place]
    page = (ROOT / place).read_text(encoding="utf-8")

    assert page == drawn(page, name, draw()), "run: python -m scripts.generate_states"


def test_a_page_without_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for the states of a run"):
        drawn("# Runs\n", "run", "stateDiagram-v2")
