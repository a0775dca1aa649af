from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from whopays.errors import EmptyDocumentError, MislabelledError
from whopays.reading import read
from whopays.text import Document

LONG = (
    "The learner pays the registration fee, and the employer, who gains most, pays nothing at all for the course. " * 4
)

ARTICLE = f"""<!DOCTYPE html><html><head><title> Who
 pays? </title><script>var pays = 1;</script></head><body>
<nav><ul><li><a href="/">Home</a></li><li><a href="/about">About us</a></li></ul></nav>
<article><h1>Fees</h1><p>{LONG}</p><h2>Exceptions</h2>
<p>Apprentices are <b>ex</b>empt,<br>and so are <a href="x">nurses</a>.</p>
<ul><li>Books are free</li><li>Travel is not<ul><li>except by bus</li></ul></li></ul>
<table><tr><th>Item</th><th>Payer</th></tr><tr><td>Exam</td><td>the <i>state</i></td></tr></table>
<blockquote><p>They pay twice.</p></blockquote><p>{LONG}</p></article>
<footer>Copyright 2020 <a href="/imprint">Imprint</a></footer></body></html>"""


def page(path: Path, markup: str | bytes, name: str = "page.html") -> Document:
    path = path / name
    path.write_bytes(markup if isinstance(markup, bytes) else markup.encode())
    (document,) = read(path)
    return document


def test_the_main_text_is_read_block_by_block(tmp_path: Path) -> None:
    document = page(tmp_path, ARTICLE)
    assert document.title == "Who pays?"
    assert document.text.split("\n\n") == [
        "Fees",
        LONG.strip(),
        "Exceptions",
        "Apprentices are exempt,\nand so are nurses.",
        "Books are free",
        "Travel is not",
        "except by bus",
        "Item | Payer",
        "Exam | the state",
        "They pay twice.",
        LONG.strip(),
    ]


def test_a_short_page_is_read_whole_with_its_structure(tmp_path: Path) -> None:
    markup = """<h1>Fees</h1><p>Employers
       pay.</p><ul><li>Books</li><li>Travel</li></ul><script>x</script>
       <table><tr><td>Exam</td><td>State</td></tr><tr><td colspan=2>Both</td></tr></table><pre>one\n two</pre>Tail"""
    assert page(tmp_path, markup).text.split("\n\n") == [
        "Fees",
        "Employers pay.",
        "Books",
        "Travel",
        "Exam | State",
        "Both",
        "one\ntwo",
        "Tail",
    ]


def test_two_line_breaks_end_a_paragraph(tmp_path: Path) -> None:
    assert (
        page(tmp_path, "<body>One line,<br>and another.<br> <br/>Next.</body>").text
        == "One line,\nand another.\n\nNext."
    )


def test_a_table_that_only_lays_out_the_page_is_no_table_of_values(tmp_path: Path) -> None:
    content = "".join(f"<p>Rule {number}.</p>" for number in range(5))
    markup = f"<table><tr><td>Menu</td><td>{content}</td></tr></table>"
    assert page(tmp_path, markup).text.split("\n\n") == ["Menu", *(f"Rule {number}." for number in range(5))]


def test_words_without_markup_are_text(tmp_path: Path) -> None:
    assert page(tmp_path, "The learner pays & pays.").text == "The learner pays & pays."


@pytest.mark.parametrize("name", ["a.htm", "a.xhtml"])
def test_xhtml_with_a_declaration_is_read(tmp_path: Path, name: str) -> None:
    markup = '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"><body><p>Café</p></body></html>'
    assert page(tmp_path, markup, name).text == "Café"


@pytest.mark.parametrize(
    ("declared", "encoding"), [("iso-8859-1", "cp1252"), ("windows-1251", "cp1251"), ("utf-8", "utf-8")]
)
def test_the_declared_encoding_is_used(tmp_path: Path, declared: str, encoding: str) -> None:
    words = "Плата — “взнос”" if encoding == "cp1251" else "£9,250 – the learner’s"
    markup = f'<html><head><meta charset="{declared}"></head><body><p>{words}</p></body></html>'
    assert page(tmp_path, markup.encode(encoding)).text == words


def test_external_entities_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("SECRET")
    entity = f'<!DOCTYPE html [<!ENTITY leak SYSTEM "file://{tmp_path}/secret.txt">]>'
    assert "SECRET" not in page(tmp_path, f"{entity}<html><body><p>The learner pays. &leak;</p></body></html>").text


@pytest.mark.parametrize("markup", ["<html><body></body></html>", "<!-- nothing -->", "<script>let x = 1</script>"])
def test_a_page_that_shows_nothing_is_empty(tmp_path: Path, markup: str) -> None:
    with pytest.raises(EmptyDocumentError, match=r"page\.html"):
        page(tmp_path, markup)


def test_a_deeply_nested_page_is_read_or_refused(tmp_path: Path) -> None:
    with suppress(EmptyDocumentError):
        assert "pays" in page(tmp_path, "<div>" * 3000 + "The learner pays." + "</div>" * 3000).text


def test_binary_data_is_no_page(tmp_path: Path) -> None:
    with pytest.raises(MislabelledError, match="binary data"):
        page(tmp_path, bytes(range(32)) * 20)
