"""The planted defects still fit, and the scenes are clean without any."""

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from replenish.verify.invariants import INVARIANTS
from tests.planted.__main__ import Ground, judge
from tests.planted.bugs import BUGS, Bug
from tests.planted.copies import ROOT, Edit, MisfitError, changed, planted
from tests.planted.play import play
from tests.planted.scenes import SCENES
from tests.postgres import Databases, MakeDatabase
from tests.world import prepare

QUICK = next(bug for bug in BUGS if bug.name == "money in floats")


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_defect_fits_where_it_is_planted(bug: Bug) -> None:
    """Code that moves takes its defects along, or this says which is left behind."""
    texts: dict[str, str] = {}
    for edit in bug.edits:
        before = texts.get(edit.path) or (ROOT / edit.path).read_text("utf-8")
        texts[edit.path] = changed(before, edit)
    for path, text in texts.items():
        ast.parse(text, path)
    assert set(bug.caught_by) <= {invariant.name for invariant in INVARIANTS}


def test_there_are_two_dozen_defects_of_different_names() -> None:
    """As many as the acceptance list asks for."""
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 24


def test_a_defect_that_does_not_fit_is_named() -> None:
    """It is not taken for a defect that nothing finds."""
    with (
        pytest.raises(MisfitError, match=r"policy\.py has 0 places like 'no such'"),
        planted([Edit("replenish/domain/policy.py", "no such", "")]),
    ):
        pytest.fail("planted")


@pytest.mark.integration
@pytest.mark.faults
@pytest.mark.deep
@pytest.mark.timeout(600)
def test_the_tree_as_it_is_goes_through_all_scenes(
    make_database: MakeDatabase, tmp_path: Path
) -> None:
    """Nothing is broken, no step ends in what it should not, and much has happened."""
    played = play(make_database(prepare), tmp_path)

    assert (played.found, played.failures) == ({}, [])
    assert set(played.seconds) == set(SCENES)
    for name in (
        "unknown_resolved",
        "orphans_adopted",
        "credits_put_right",
        "restored",
    ):
        assert played.counts[name] > 0, name
    assert played.counts["charges"] > 80


@pytest.mark.integration
@pytest.mark.faults
@pytest.mark.deep
@pytest.mark.timeout(600)
def test_a_defect_is_caught_by_the_invariant_that_was_named(
    databases: Databases,
) -> None:
    """What breaks only others is not caught. All: `python -m tests.planted`."""
    ground = Ground(databases)

    caught = judge(QUICK, ground)
    elsewhere = judge(replace(QUICK, caught_by=("I20",)), ground)

    assert (caught.caught, caught.scene) == (True, "every answer")
    assert "19.99" in caught.example
    assert not elsewhere.caught
    assert elsewhere.by == caught.by
