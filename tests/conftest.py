"""What several tests need: the book's pages."""

import nbformat
import pytest

from tools.notebooks import pages


def pytest_generate_tests(metafunc):
    """A test that asks for `page` runs for each page of the book."""
    if "page" in metafunc.fixturenames:
        found = pages()
        metafunc.parametrize("page", found, ids=[path.stem for path in found])


@pytest.fixture
def notebook(page):
    return nbformat.read(page, as_version=4)
