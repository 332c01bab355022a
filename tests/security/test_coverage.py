"""Every requirement has a test, and the page says truly where."""

from tests.security.requirements import REQUIRED, promised, shown


def test_every_requirement_has_a_test() -> None:
    """Whoever takes the last test of one away finds out here."""
    tests = shown()

    assert [number for number in REQUIRED if not tests.get(number)] == []


def test_no_test_names_a_requirement_that_does_not_exist() -> None:
    """A mistyped number would show nothing."""
    assert set(shown()) <= set(REQUIRED)


def test_the_page_names_the_files_in_which_each_is_shown() -> None:
    """Neither a file too few nor one that shows nothing of it."""
    files = {
        number: frozenset(test.partition("::")[0] for test in tests)
        for number, tests in shown().items()
    }

    assert promised() == files
