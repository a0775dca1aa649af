"""`benchmarks/quality.py`: what it counts as a pair."""

from __future__ import annotations

import quality
from whopays.corpus.markup import Example
from whopays.text import Span

TEXT = "She pays."
CLAIM = (Span(0, 9, "learner:bears", TEXT),)


def test_a_pair_of_which_a_set_holds_one_member_alone_is_not_counted_as_right_or_wrong():
    members = [Example("a", TEXT, CLAIM, {"pair": "a"}), Example("b", TEXT, (), {"pair": "a"})]
    alone = Example("c", TEXT, CLAIM, {"pair": "c"})
    assert quality._pairs([alone], [CLAIM]) == ""
    assert quality._pairs([*members, alone], [CLAIM, (), ()]).startswith("Both members right: 1.00 ")
    assert quality._pairs([*members, alone], [CLAIM, CLAIM, CLAIM]).startswith("Both members right: 0.00 ")
