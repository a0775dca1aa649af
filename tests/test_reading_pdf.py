"""PDFs are built in the tests, line by line, so that every wrap and gap is known."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.utils import ImageReader, simpleSplit
from reportlab.pdfgen.canvas import Canvas

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
from whopays.text import Document

FONT, SIZE, LEADING, TOP, LEFT, WIDTH = "Helvetica", 10, 12, 740, 72, 430

PROSE = (
    "The college asks learners for a registration fee, and the apprentice pays for the books, tools and travel that "
    "the course requires. Employers say that they carry the cost of training, yet the levy is returned to them in "
    "full. The state meets the cost of the first qualification only, and every later one is left to the learner."
)
OTHER = (
    "Certificates are demanded for work that was once learned in a week. A licence that nobody reads costs a month of "
    "wages, and the agency that issues it is financed by the people who must hold it. Nothing obliges the firm to pay."
)
THIRD = (
    "Where the employer leaves the sector, the debt stays with the worker, because the agreement was signed before the "
    "first day. Local authorities may forgive it, although none has done so since the scheme began some years ago."
)


class Page:
    """Draws blocks of text from the top of a page down."""

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        self.y: float = TOP

    def lines(self, lines: list[str], x: float = LEFT, size: float = SIZE, gap: float = LEADING) -> Page:
        self.canvas.setFont(FONT, size)
        for line in lines:
            self.canvas.drawString(x, self.y, line)
            self.y -= size * LEADING / SIZE
        self.y -= gap
        return self

    def prose(self, text: str, x: float = LEFT, width: float = WIDTH, size: float = SIZE, gap: float = LEADING) -> Page:
        return self.lines(simpleSplit(text, FONT, size, width), x, size, gap)

    def at(self, y: float, x: float = LEFT) -> Page:
        self.y = y
        return self


class Book:
    def __init__(self, path: Path, **options: object) -> None:
        self.path, self.canvas, self._pages = path, Canvas(str(path), pageCompression=0, **options), 0

    def page(self) -> Page:
        if self._pages:
            self.canvas.showPage()
        self._pages += 1
        return Page(self.canvas)

    def read(self) -> Document:
        self.canvas.showPage()
        self.canvas.save()
        (document,) = read(self.path)
        assert_pages_fit(document)
        return document


def assert_pages_fit(document: Document) -> None:
    assert document.page_starts[0] == 0
    assert all(earlier <= later for earlier, later in pairwise(document.page_starts))


def page_beginnings(document: Document, length: int = 12) -> list[str]:
    return [document.text[start : start + length] for start in document.page_starts]


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path / "report.pdf")


def paragraphs(document: Document) -> list[str]:
    return document.text.split("\n\n")


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


def test_table_rows_are_lines_of_their_own(book: Book) -> None:
    page = book.page().prose(PROSE)
    for cells in (("Item", "Who pays", "Pounds"), ("Books", "Learner", "120"), ("Exam entry", "Employer", "75")):
        for x, cell in zip((LEFT, 220, 380), cells, strict=True):
            page.at(page.y).canvas.drawString(x, page.y, cell)
        page.y -= LEADING
    page.y -= LEADING
    page.prose(OTHER)
    assert paragraphs(book.read()) == [
        PROSE,
        "Item Who pays Pounds",
        "Books Learner 120",
        "Exam entry Employer 75",
        OTHER,
    ]


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


def test_running_heads_feet_and_page_numbers_are_dropped(book: Book) -> None:
    lines = simpleSplit(" ".join([PROSE, OTHER, THIRD] * 4), FONT, SIZE, WIDTH)
    for number in range(1, 6):
        page = book.page().at(790).lines(["Annual report on training"], size=8)
        page.at(TOP).lines(lines[4 * number - 4 : 4 * number])
        page.at(40, 290).lines([f"Page {number} of 5"], x=290, size=8)
    document = book.read()
    assert document.text == " ".join(lines[:20])
    assert page_beginnings(document, 20) == [line[:20] for line in lines[0:20:4]]


def test_a_heading_that_recurs_inside_pages_is_kept(book: Book) -> None:
    for text in (PROSE, OTHER, THIRD):
        book.page().prose(text).lines(["Recommendation"], gap=0).prose(text[::-1])
    assert book.read().text.count("Recommendation") == 3


def test_pages_with_the_same_words_are_no_running_heads(book: Book) -> None:
    for _ in range(3):
        book.page().lines(["The learner pays the fee."])
    assert paragraphs(book.read()) == ["The learner pays the fee."] * 3


@pytest.mark.parametrize("by_row", [False, True])
def test_two_columns_are_read_one_after_the_other(book: Book, by_row: bool) -> None:
    width = 210
    columns = [simpleSplit(text, FONT, SIZE, width) for text in (f"{PROSE} {THIRD}", f"{OTHER} {THIRD}")]
    page = book.page().lines(["A report in two columns with a title across both of them"], size=16)
    drawn = [(x, index, line) for x, lines in zip((72, 310), columns, strict=True) for index, line in enumerate(lines)]
    page.canvas.setFont(FONT, SIZE)
    for x, index, line in sorted(drawn, key=lambda item: item[1]) if by_row else drawn:
        page.canvas.drawString(x, page.y - index * LEADING, line)
    assert book.read().text == (
        f"A report in two columns with a title across both of them\n\n{PROSE} {THIRD}\n\n{OTHER} {THIRD}"
    )


def test_three_columns_with_lines_at_different_heights_are_read_one_after_the_other(book: Book) -> None:
    page = book.page()
    for column, text in enumerate((PROSE, OTHER, THIRD)):
        page.at(TOP - 5 * column).prose(text, x=60 + 170 * column, width=140)
    assert paragraphs(book.read()) == [PROSE, OTHER, THIRD]


def test_justified_lines_of_few_words_are_no_table_rows(book: Book) -> None:
    stretched = [
        " ".ljust(10).join(words) for words in (("every", "apprentice", "pays"), ("every", "apprentice", "owes"))
    ]
    book.page().lines([*simpleSplit(PROSE, FONT, SIZE, 150)[:2], *stretched, "whatever the employer says."])
    assert len(paragraphs(book.read())) == 1


def test_a_sentence_that_runs_from_one_column_into_the_next_is_one_sentence(book: Book) -> None:
    lines = simpleSplit(f"{PROSE} {OTHER} {THIRD}", FONT, SIZE, 210)
    half = len(lines) // 2
    page = book.page().lines(lines[:half])
    page.at(TOP).lines(lines[half:], x=310)
    assert book.read().text == f"{PROSE} {OTHER} {THIRD}"


def test_footnotes_come_after_the_pages_body_and_leave_a_running_sentence_whole(book: Book) -> None:
    lines = simpleSplit(f"{PROSE} {OTHER}", FONT, SIZE, WIDTH)
    note = "1 See the report of the committee, which the college financed and nobody has read since it appeared."
    book.page().lines(lines[:4]).at(90).prose(note, size=8, width=250, gap=0).lines(["2 Ibid."], size=8)
    book.page().lines(lines[4:])
    document = book.read()
    whole, split = f"{PROSE} {OTHER}", document.page_starts[1]
    assert document.text[split:].startswith(lines[4])
    assert sorted(part.text for part in segment(document)) == sorted(
        [*(part.text for part in segment(whole)), *(part.text for part in segment(note)), "2 Ibid."]
    )
    assert document.text.index("2 Ibid.") < split


def test_footnotes_of_both_columns_follow_both_columns(book: Book) -> None:
    page = book.page().prose(PROSE, width=210).at(90).lines(["1 A note on the left side."], size=8)
    page.at(TOP).prose(f"{OTHER} {OTHER}", x=310, width=210)
    text = book.read().text
    assert text == f"{PROSE}\n\n{OTHER} {OTHER}\n\n1 A note on the left side."


def test_a_table_or_figure_at_the_top_of_a_page_does_not_cut_a_sentence(book: Book) -> None:
    lines = simpleSplit(f"{PROSE} {OTHER}", FONT, SIZE, WIDTH)
    assert lines[4][0].islower()
    book.page().lines(lines[:4])
    book.page().lines(["Figure 1: who pays"], size=10).lines(lines[4:])
    document = book.read()
    assert document.text == f"{PROSE} {OTHER}\n\nFigure 1: who pays"


def test_turned_text_is_kept_apart_and_a_turned_page_is_read_like_any_other(book: Book) -> None:
    page = book.page().prose(PROSE)
    page.canvas.saveState()
    page.canvas.translate(40, 200)
    page.canvas.rotate(90)
    page.canvas.drawString(0, 0, "Working paper")
    page.canvas.restoreState()
    turned = book.page()
    turned.canvas.translate(600, 0)
    turned.canvas.rotate(90)
    turned.at(500).prose(OTHER)
    assert paragraphs(book.read()) == [PROSE, "Working paper", OTHER]


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
