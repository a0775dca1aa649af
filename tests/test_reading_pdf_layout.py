"""What PDF pages look like: running heads, columns, footnotes, tables, raised numbers, indents."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from reportlab.lib.utils import simpleSplit

from pdf_book import (
    FONT,
    LEADING,
    LEFT,
    OTHER,
    PROSE,
    SIZE,
    THIRD,
    TOP,
    WIDTH,
    Book,
    Page,
    page_beginnings,
    paragraphs,
)
from whopays.segmenting import segment

RIGHT, COLUMN = 310, 210


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path / "report.pdf")


def sentences(count: int) -> str:
    """Prose in which no sentence occurs twice."""
    return " ".join(
        f"In the town with the number {n} the learner {_PAID[n % 5]} a {_FEES[n % 7]}." for n in range(count)
    )


_PAID = ("pays", "borrowed the money for", "was lent a loan by the union in order to enrol and meet", "had", "owes")
_FEES = ("fee", "charge for tools and travel", "deposit", "sum that nobody had told her of", "levy", "debt", "price")


def bound(book: Book, pages: int, head: Callable[[int], str], foot: Callable[[int], str] = "".format) -> list[str]:
    """Draw a text over pages that have a head and a foot; the lines."""
    lines = simpleSplit(sentences(8 * pages), FONT, SIZE, WIDTH)[: 5 * pages]
    for number in range(pages):
        page = book.page().at(790).lines([head(number + 1)], size=8)
        page.at(TOP).lines(lines[5 * number : 5 * number + 5])
        page.at(40).lines([foot(number + 1)], x=290, size=9)
    return lines


@pytest.mark.parametrize(
    ("pages", "head", "foot"),
    [
        (5, "Annual report|Annual report", ""),
        (3, "|Annual report|Annual report", "{}"),
        (2, "Annual report 3/1999|Annual report 3/1999", "{}"),
        (6, "Annual report|A. Halsnes", "– {} –"),
        (5, "|A. Halsnes|Annual report|A. Halsnes|Annual report", ""),
        (6, "{}   Annual report|A. Halsnes   {}", ""),
        (9, "Introduction|Introduction|Introduction|Fees|Fees|Fees|Who pays|Who pays|Who pays", "2-{}"),
        (5, "1 Aims {}|2 Fees {}|2 Fees {}|3 Loans {}|4 Debts {}", ""),
        (6, "Case 1:20-cv-17 Document 12 Page {} of 6", "{}"),
        (4, "", "{} / 4"),
        (5, "", "Page {}"),
    ],
)
def test_heads_and_feet_are_dropped(book: Book, pages: int, head: str, foot: str) -> None:
    heads = head.split("|")
    lines = bound(book, pages, lambda n: heads[(n - 1) % len(heads)].format(n), foot.format)
    document = book.read()
    assert document.text.split() == " ".join(lines).split()
    assert page_beginnings(document, 20) == [line[:20] for line in lines[::5]]


def test_roman_page_numbers_are_dropped(book: Book) -> None:
    lines = bound(book, 5, lambda n: "", lambda n: ("i", "ii", "iii", "iv", "v")[n - 1])
    assert book.read().text.split() == " ".join(lines).split()


def test_a_numbered_paragraph_at_the_top_of_a_page_is_no_running_head(book: Book) -> None:
    begins = (
        "1.1 The Department recognises that",
        "2.7 Books are",
        "4.6 A fee places on individuals a cost that",
        "5 Loans",
    )
    for number, (begin, text) in enumerate(zip(begins, (PROSE, OTHER, THIRD, PROSE), strict=True), start=1):
        page = book.page().at(790).lines(["Paying for study"], size=8).at(TOP).prose(f"{begin} {text}")
        page.at(40).lines([str(number)], x=290, size=9)
    assert paragraphs(book.read()) == [f"{b} {t}" for b, t in zip(begins, (PROSE, OTHER, THIRD, PROSE), strict=True)]


@pytest.mark.parametrize("heading", ["{} Fees of kind {}", "Recommendation {}", "{}. Loans of kind {}"])
def test_headings_that_are_numbered_like_the_pages_are_kept(book: Book, heading: str) -> None:
    for number, text in enumerate((PROSE, OTHER, THIRD), start=1):
        page = book.page().lines([heading.format(number, "xyz"[number - 1])]).prose(text)
        page.at(40).lines([f"– {number} –"], x=290, size=9)
    assert paragraphs(book.read())[::2] == [heading.format(n, "xyz"[n - 1]) for n in (1, 2, 3)]


def test_titles_in_large_type_that_are_numbered_like_the_pages_are_kept(book: Book) -> None:
    for number, text in enumerate((PROSE, OTHER, THIRD), start=1):
        book.page().lines([f"Step {number}"], size=18, gap=30).prose(text)
    assert paragraphs(book.read())[::2] == ["Step 1", "Step 2", "Step 3"]


def test_a_table_of_numbers_over_several_pages_keeps_every_row(book: Book) -> None:
    years = range(1960, 2000)
    for start in years[::10]:
        page = book.page()
        for year in years[start - 1960 : start - 1950]:
            page.row((LEFT, 200, 290, 380), (str(year), str(year * 7 % 13), "0", "0"))
    assert paragraphs(book.read()) == [f"{year} {year * 7 % 13} 0 0" for year in years]


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


def two_columns(page: Page, left: str, right: str) -> None:
    top = page.y
    page.prose(left, width=COLUMN)
    bottom = page.y
    page.at(top).prose(right, x=RIGHT, width=COLUMN).at(min(bottom, page.y))


def test_a_full_width_abstract_in_small_type_comes_before_the_columns(book: Book) -> None:
    abstract, left = f"{THIRD} {OTHER}", f"{PROSE} {PROSE}"
    two_columns(book.page().lines(["The second trade"], size=18).prose(abstract, size=9), left, OTHER)
    assert paragraphs(book.read()) == ["The second trade", abstract, left, OTHER]


def test_footnotes_do_not_come_between_the_parts_of_a_broken_word(book: Book) -> None:
    page = book.page().prose(OTHER, width=COLUMN)
    page.prose(THIRD, width=COLUMN, gap=0).lines(["Nothing was paid. A supplementary cer-"])
    page.at(90).lines(["1 County yearbook, table 7."], size=8)
    page.at(TOP).lines(
        ["tificate, which the county introduced in", "the year 1999, covered a part of a trade"], x=RIGHT
    )
    page.lines(["such as driving, and could be had within"], x=RIGHT, gap=0)
    page.at(90).lines(["2 The memoirs of a foreman."], x=RIGHT, size=8)
    book.page().lines(["a few weeks."])
    document = book.read()
    assert paragraphs(document) == [
        OTHER,
        THIRD,
        "Nothing was paid.",
        "1 County yearbook, table 7.",
        "2 The memoirs of a foreman.",
        "A supplementary certificate, which the county introduced in the year 1999, covered a part of a trade such as "
        "driving, and could be had within a few weeks.",
    ]
    assert document.text[document.page_starts[1] :] == "a few weeks."


def test_footnotes_across_both_columns_come_after_them(book: Book) -> None:
    note = f"1 {sentences(3)}"
    page = book.page()
    two_columns(page, OTHER, f"{PROSE} The debt that is left to the worker after that")
    page.at(100).prose(note, size=8).lines(["2 Ibid."], size=8)
    book.page().lines(["stays there."])
    assert paragraphs(book.read()) == [
        OTHER,
        PROSE,
        note,
        "2 Ibid.",
        "The debt that is left to the worker after that stays there.",
    ]


def test_a_list_of_works_in_small_type_keeps_its_order(book: Book) -> None:
    works = [
        f"Author {n} (2003). Paying for the trade number {n}: a study of debt. Report, Institute." for n in range(8)
    ]
    page = book.page().prose(f"{PROSE} {OTHER}", width=COLUMN).lines(["References"], gap=4)
    for number, work in enumerate(works):
        if number == 4:
            page.at(TOP)
        first, *rest = simpleSplit(work, FONT, 8, COLUMN - 10)
        x = LEFT if number < 4 else RIGHT
        page.lines([first], x=x, size=8, gap=0).lines(rest, x=x + 10, size=8, gap=2)
    assert paragraphs(book.read())[2:] == works


def test_a_table_across_both_columns_is_read_row_by_row(book: Book) -> None:
    table = (("Sector", "Learner", "Employer", "State"), ("Care", "120", "75", "12"), ("Transport", "10", "5", "112"))
    page = book.page()
    two_columns(page, PROSE, OTHER)
    for cells in table:
        page.row((LEFT, 200, 350, 450), cells)
    page.y -= LEADING
    two_columns(page, THIRD, PROSE[::-1])
    assert paragraphs(book.read()) == [PROSE, OTHER, *(" ".join(cells) for cells in table), THIRD, PROSE[::-1]]


def test_tables_and_lists_in_both_columns_stay_in_them(book: Book) -> None:
    page = book.page()
    for x, before, after in ((LEFT, PROSE, THIRD), (RIGHT, f"{OTHER} {OTHER[:60]}.", OTHER[::-1])):
        page.at(TOP).prose(before, x=x, width=COLUMN).at(600)
        for cells in (("Sector", "Fee", "Loan"), ("Care", "12", "15"), ("Transport", "130", "17")):
            page.row((x, x + 90, x + 150), cells)
        page.at(550).row((x, x + 12), ("\u2022", "tools")).row((x, x + 12), ("\u2022", "travel"))
        page.at(510).prose(after, x=x, width=COLUMN)
    middle = ["Sector Fee Loan", "Care 12 15", "Transport 130 17", "\u2022 tools", "\u2022 travel"]
    assert paragraphs(book.read()) == [PROSE, *middle, THIRD, f"{OTHER} {OTHER[:60]}.", *middle, OTHER[::-1]]


def test_a_last_column_of_one_line_is_a_column(book: Book) -> None:
    two_columns(book.page(), f"{PROSE} {OTHER}", "Nobody was asked who pays.")
    assert paragraphs(book.read()) == [f"{PROSE} {OTHER}", "Nobody was asked who pays."]


def test_a_heading_at_the_foot_of_a_column_stays_alone(book: Book) -> None:
    page = book.page().prose(PROSE, width=COLUMN).lines(["What the firms say"])
    page.at(TOP).prose(OTHER, x=RIGHT, width=COLUMN)
    assert paragraphs(book.read()) == [PROSE, "What the firms say", OTHER]


def test_a_first_line_indent_begins_a_paragraph_whose_predecessor_fills_its_last_line(book: Book) -> None:
    full = simpleSplit(sentences(40), FONT, SIZE, WIDTH)
    last = next(index for index, line in enumerate(full) if line.endswith("."))
    page = book.page().lines(full[: last + 1], gap=0)
    page.lines(["Each closure had its own character, and the last shift was told that the gate would be"], x=81, gap=0)
    page.lines(["locked on the Saturday."])
    first, second = paragraphs(book.read())
    assert first == " ".join(full[: last + 1])
    assert second.startswith("Each closure")
    assert second.endswith("the Saturday.")


def test_hanging_entries_are_whole_though_a_line_ends_with_a_full_stop(book: Book) -> None:
    page = book.page().prose(PROSE)
    works = [
        [
            "Aune, P. and Rekdal, S. (2008). Leaving by the southern line: migration from Kronvik,",
            "with a map. Thesis.",
        ],
        ["Fossheim, R. (2007). What the foreman knew about the debts of those who left it and the", "rest."],
        ["Hestad, J. (1999). Forty years at number two machine, and what came after.", "Printed privately."],
        ["Solberg, M. (2003). Staying put: the households and the closure of a mill that paid for", "all."],
    ]
    for first, rest in works:
        page.lines([first], gap=0).lines([rest], x=LEFT + 9, gap=0)
    assert paragraphs(book.read())[1:] == [" ".join(work) for work in works]


def test_raised_note_numbers_are_superscript_digits_that_sentences_end_with(book: Book) -> None:
    page = book.page()
    page.marked("The mill paid for it.^2^ The county did not pay,^3,4^ in a town of 71,000.^11^ A shop of")
    page.marked("20 m^2^ stayed shut. “Nothing at all.”^5^ Others paid.^12,13^ Nobody asked.")
    page.at(90).marked("^2^ See the county yearbook.", 8).marked("^3^See also table 8.", 8)
    document = book.read()
    assert [part.text for part in segment(document)] == [
        "The mill paid for it.²",
        "The county did not pay,³,⁴ in a town of 71,000.¹¹",
        "A shop of 20 m² stayed shut.",
        "“Nothing at all.”⁵",
        "Others paid.¹²,¹³",
        "Nobody asked.",
        "² See the county yearbook.",
        "³See also table 8.",
    ]


def test_digits_that_are_small_but_not_raised_stay(book: Book) -> None:
    page = book.page()
    page.marked("The air had too much CO_2_ and the rest of the line is here.")
    assert "CO2" in book.read().text


def test_wrapped_cells_join_their_row(book: Book) -> None:
    columns = (LEFT, 150, 350)
    page = book.page().prose(PROSE).row(columns, ("Band", "Courses", "Fee"), 16)
    page.row(columns, ("A. Basic", "Reading, writing, number and English for", "nil")).row((150,), ("newcomers",), 16)
    page.row(columns, ("of which", "Office", "24")).row((LEFT,), ("supplementary",), 16)
    page.row(columns, ("C. General", "Languages", "62"), 28)
    page.prose(OTHER)
    assert paragraphs(book.read()) == [
        PROSE,
        "Band Courses Fee",
        "A. Basic Reading, writing, number and English for newcomers nil",
        "of which supplementary Office 24",
        "C. General Languages 62",
        OTHER,
    ]
