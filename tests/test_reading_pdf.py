"""PDF files: paragraphs, words and pages, and what is refused. `test_reading_pdf_layout.py` has what pages look like."""

from __future__ import annotations

from pathlib import Path

import pytest
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.utils import ImageReader, simpleSplit
from reportlab.pdfgen.canvas import Canvas

from pdf_book import FONT, LEFT, OTHER, PROSE, SIZE, THIRD, WIDTH, Book, page_beginnings, paragraphs
from whopays.errors import (
    CorruptDocumentError,
    EmptyDocumentError,
    EncryptedDocumentError,
    ImageOnlyError,
    MislabelledError,
)
from whopays.reading import read
from whopays.reading.pdf_hyphens import Vocabulary, joint
from whopays.segmenting import segment


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path / "report.pdf")


def test_wrapped_lines_become_paragraphs(book: Book) -> None:
    book.page().prose(PROSE).prose(OTHER)
    assert paragraphs(book.read()) == [PROSE, OTHER]


def test_a_document_has_the_files_name_its_path_and_the_title_of_its_metadata(book: Book) -> None:
    book.canvas.setTitle("Who pays?")
    book.page().prose(PROSE)
    document = book.read()
    assert (document.id, document.source, document.title) == ("report.pdf", str(book.path), "Who pays?")


def test_paragraphs_without_gaps_are_told_by_their_indent(book: Book) -> None:
    page = book.page()
    for text in (PROSE, OTHER, THIRD):
        first, *rest = simpleSplit(text, FONT, SIZE, WIDTH - 15)
        page.lines([first], x=LEFT + 15, gap=0).lines(rest, gap=0)
    assert paragraphs(book.read()) == [PROSE, OTHER, THIRD]


def test_headings_and_list_items_stand_alone(book: Book) -> None:
    page = book.page()
    page.lines(["1. Fees and who pays them"], size=14, gap=4).prose(PROSE)
    page.lines(["Charges for learners"], gap=0).prose(OTHER, gap=0)
    page.lines(["\u2022 registration, which is due at the start", "\u2022 examination"], gap=0).lines(
        ["(a) tools", "(b) travel"]
    )
    assert paragraphs(book.read()) == [
        "1. Fees and who pays them",
        PROSE,
        "Charges for learners",
        OTHER,
        "\u2022 registration, which is due at the start",
        "\u2022 examination",
        "(a) tools",
        "(b) travel",
    ]


def test_a_list_item_that_wraps_stays_whole(book: Book) -> None:
    page = book.page()
    for text in (THIRD, OTHER):
        first, *rest = simpleSplit(text, FONT, SIZE, WIDTH - 15)
        page.canvas.drawString(LEFT, page.y, "\u2022")
        page.lines([first, *rest], x=LEFT + 15, gap=0)
    assert paragraphs(book.read()) == [f"\u2022 {THIRD}", f"\u2022 {OTHER}"]


def test_words_broken_at_line_ends_are_mended(book: Book) -> None:
    book.page().lines(
        [
            "The responsibility for occupational training rests with the govern-",
            "ment, which since the reform of the cost-sharing rules and the post-",
            "2012 settlement has left it to firms. In the Anglo-",
            "Saxon countries a self-",
            "financed course is common, and cost-",
            "sharing is rare.",
        ]
    )
    assert book.read().text == (
        "The responsibility for occupational training rests with the government, which since the reform of the "
        "cost-sharing rules and the post-2012 settlement has left it to firms. In the Anglo-Saxon countries a "
        "self-financed course is common, and cost-sharing is rare."
    )


@pytest.mark.parametrize(
    ("line", "following", "joined"),
    [
        ("the train-", "ing levy", "the training levy"),
        ("the train\u00ad", "ing levy", "the training levy"),
        ("an employer-", "funded course", "an employer-funded course"),
        ("a means-", "tested grant", "a means-tested grant"),
        ("the North-", "East", "the North-East"),
        ("2010\u2013", "2012", "2010\u20132012"),
        ("learners and/", "or firms", "learners and/or firms"),
        ("the fee -", "if any", "the fee - if any"),
        ("see https://example.org/who-", "pays", "see https://example.org/who-pays"),
    ],
)
def test_a_hyphen_goes_only_where_the_break_made_it(line: str, following: str, joined: str) -> None:
    text, separator = joint(line, following, Vocabulary([]))
    assert text + separator + following == joined


def test_a_hyphen_stays_where_the_document_writes_the_compound_elsewhere() -> None:
    vocabulary = Vocabulary(["that the wage-earner pays"])
    assert joint("a wage-", "earner", vocabulary) == ("a wage-", "")
    assert joint("a wage-", "earner", Vocabulary([])) == ("a wage", "")


def test_page_starts_point_to_the_first_character_of_each_page(book: Book) -> None:
    for text in (PROSE, OTHER, THIRD):
        book.page().prose(text)
    document = book.read()
    assert document.text == f"{PROSE}\n\n{OTHER}\n\n{THIRD}"
    assert page_beginnings(document) == ["The college ", "Certificates", "Where the em"]
    assert document.page_at(document.text.index("Nothing obliges")) == 2


def test_an_empty_page_begins_where_the_next_one_does(book: Book) -> None:
    book.page()
    book.page().prose(PROSE)
    book.page()
    book.page().prose(OTHER)
    book.page()
    document = book.read()
    second = len(PROSE) + 2
    assert document.page_starts == (0, 0, second, second, len(document.text))


def test_a_sentence_that_runs_over_a_page_break_is_one_sentence(book: Book) -> None:
    lines = simpleSplit(f"{PROSE} {OTHER}", FONT, SIZE, WIDTH)
    book.page().lines(lines[:4])
    book.page().lines(lines[4:])
    document = book.read()
    assert document.text == f"{PROSE} {OTHER}"
    assert document.text[document.page_starts[1] :].startswith(lines[4])
    assert len(segment(document)) == 6


def test_a_word_broken_by_a_page_break_is_mended_and_its_second_half_is_on_the_new_page(book: Book) -> None:
    book.page().prose(PROSE).lines(["All this is a matter for the learner and not at all for the employer or the gov-"])
    book.page().lines(["ernment, as the minister said."])
    document = book.read()
    assert document.text.endswith("or the government, as the minister said.")
    assert document.text[document.page_starts[1] :] == "ernment, as the minister said."


def test_a_finished_paragraph_is_not_joined_to_the_next_page(book: Book) -> None:
    book.page().prose(PROSE)
    book.page().lines(["Fees"], gap=0).prose(OTHER)
    assert paragraphs(book.read()) == [PROSE, "Fees", OTHER]


def test_a_list_of_contents_keeps_its_lines_apart(book: Book) -> None:
    entries = [f"{number} {'Chapter on fees'} {'. ' * 50}{number}" for number in (1, 2, 3)]
    book.page().lines(entries).prose(PROSE)
    assert [len(part) > 100 for part in paragraphs(book.read())] == [True] * 4


def test_an_emoji_is_one_character_of_the_text(tmp_path: Path) -> None:
    mapping = (
        b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def /CMapType 2 def "
        b"1 begincodespacerange <00> <FF> endcodespacerange 1 beginbfchar <41> <D83DDE00> endbfchar endcmap end end"
    )
    page = b"BT /F1 12 Tf 72 700 Td (The learner pays A today) Tj ET"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(page), page),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/ToUnicode 6 0 R>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(mapping), mapping),
    ]
    numbered = (b"%d 0 obj\n%s\nendobj\n" % pair for pair in enumerate(objects, start=1))
    path = tmp_path / "emoji.pdf"
    path.write_bytes(b"%PDF-1.4\n" + b"".join(numbered) + b"trailer<</Root 1 0 R>>\n%%EOF\n")
    assert next(read(path)).text == "The learner pays \U0001f600 today"


def test_an_encrypted_pdf_asks_for_a_copy_without_password(tmp_path: Path) -> None:
    path = tmp_path / "locked.pdf"
    canvas = Canvas(str(path), encrypt=StandardEncryption("secret"))
    canvas.drawString(72, 700, "The learner pays.")
    canvas.save()
    with pytest.raises(EncryptedDocumentError, match=r"locked\.pdf.*password"):
        read(path)


def test_a_pdf_that_only_its_owner_may_change_is_read(tmp_path: Path) -> None:
    path = tmp_path / "owned.pdf"
    canvas = Canvas(str(path), encrypt=StandardEncryption("", ownerPassword="secret"))
    canvas.drawString(72, 700, "The learner pays.")
    canvas.save()
    assert next(read(path)).text == "The learner pays."


def test_pages_that_are_pictures_are_refused_with_advice_on_ocr(tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "scan.pdf"
    canvas = Canvas(str(path))
    canvas.drawImage(ImageReader(Image.new("L", (20, 20), 128)), 72, 72, 400, 600)
    canvas.save()
    with pytest.raises(ImageOnlyError, match=r"scan\.pdf.*OCR"):
        read(path)


def test_a_pdf_without_text_or_pictures_is_empty(book: Book) -> None:
    book.page().canvas.line(0, 0, 100, 100)
    with pytest.raises(EmptyDocumentError, match=r"report\.pdf"):
        book.read()


def test_a_pdf_that_ends_early_or_is_garbled_is_damaged(book: Book, tmp_path: Path) -> None:
    book.page().prose(PROSE)
    book.read()
    data = book.path.read_bytes()
    for name, content in (
        ("short.pdf", data[: len(data) // 2]),
        ("garbled.pdf", b"%PDF-1.4\n%\xff\xfe junk\n%%EOF\n"),
        ("web.pdf", data.replace(b"1 0 obj\n<<", b"1 0 obj\n<</Linearized 1 /L 99999 ", 1)),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(CorruptDocumentError, match=name):
            read(path)


@pytest.mark.parametrize(
    ("content", "seeming"),
    [
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b"PK\x03\x04....", "a ZIP archive"),
        (b"just words", "something else"),
    ],
)
def test_a_pdf_that_is_something_else_is_named(tmp_path: Path, content: bytes, seeming: str) -> None:
    path = tmp_path / "download.pdf"
    path.write_bytes(content)
    with pytest.raises(MislabelledError, match=seeming):
        read(path)
