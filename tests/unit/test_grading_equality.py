r"""Which answers are equal: one pair a rule, decided without any symbolic work."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_compare.grading.equality import equal_answers
from tts_compare.grading.normalise import compact, normalise

EQUAL = [
    (r"x=5", r"5"),
    (r"5", r"x = 5"),
    (r"5", r"x=5."),
    (r"5", r"2+3=5"),
    (r"\frac{3}{5}", r"\sin\theta = \frac{3}{5}"),
    (r"5", r"x+y=5"),
    (r"y=2x+3", r"2x+3"),
    (r"y=2x+3", r"y=3+2x"),
    (r"y=2x+3", r"2x-y+3=0"),
    (r"5x - 7y + 11z + 4 = 0", r"-5x+7y-11z-4=0"),
    (r"5x - 7y + 11z + 4 = 0", r"10x-14y+22z+8=0"),
    (r"1,-2", r"x=1,x=-2"),
    (r"1,-2", r"x_1 = 1, x_2 = -2"),
    (r"1,-2", r"x_1=-2 \text{ or } x_2=1"),
    (r"1,-2", r"x=-2 \text{ or } x=1"),
    (r"(1,2)", r"x=1, y=2"),
    (r"x=1,y=2", r"y=2,x=1"),
    (r"1 \pm \sqrt{19}", r"1+\sqrt{19}, 1-\sqrt{19}"),
    (r"1 \pm \sqrt{19}", r"\{1-\sqrt{19}, 1+\sqrt{19}\}"),
    (r"1 \pm \sqrt{19}", r"x = 1 \pm \sqrt{19}"),
    (r"\pm 2", r"2,-2"),
    (r"[-2,7]", r"-2 \le x \le 7"),
    (r"x \in [-2,7]", r"[-2,7]"),
    (r"x \in [-2,7]", r"-2\leq x\leq 7"),
    (r"(-\infty,2)\cup(3,\infty)", r"(3,\infty) \cup (-\infty,2)"),
    (r"(2,\infty)", r"x > 2"),
    (r"(-\infty, 0]", r"x \le 0"),
    (r"x>2", r"2<x"),
    (r"(3,4]", r"\left(3,4\right]"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{bmatrix}1\\2\end{bmatrix}"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"(1,2)"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\langle 1,2\rangle"),
    (r"\begin{pmatrix}1/2 & 2\\3&4\end{pmatrix}", r"\begin{pmatrix}0.5&2\\3&4\end{pmatrix}"),
    (r"\begin{pmatrix}1 & 2\\3&4\end{pmatrix}", r"\left[\begin{array}{cc}1&2\\3&4\end{array}\right]"),
    (r"\begin{pmatrix}1 & 2\\3&4\end{pmatrix}", r"\left(\begin{matrix}1&2\\3&4\end{matrix}\right)"),
    (r"52_8", r"52_{8}"),
    (r"52_8", r"52_{\text{eight}}"),
    (r"1011_2", r"(1011)_2"),
    (r"42", r"42_{10}"),
    (r"10\%", r"10"),
    (r"10\%", r"0.1"),
    (r"0.1", r"10\%"),
    (r"10", r"10\%"),
    (r"10\%", r"10 \text{ percent}"),
    (r"\$18.90", r"18.90"),
    (r"\$18.90", r"18.9 \text{ dollars}"),
    (r"\$36", r"36"),
    (r"864 \mbox{ inches}^2", r"864 \text{ in}^2"),
    (r"864 \mbox{ inches}^2", r"864 \text{ square inches}"),
    (r"864 \mbox{ inches}^2", r"864 in^2"),
    (r"5", r"5 \text{ cm}"),
    (r"5", r"5 cm"),
    (r"5", r"5\text{ m}"),
    (r"5", r"5 \text{ apples}"),
    (r"5", r"5 apples"),
    (r"5.4 \text{ cents}", r"5.4 cents"),
    (r"30", r"30 \text{ km/h}"),
    (r"3\frac{1}{2}", r"3.5"),
    (r"3\frac{1}{2}", r"\frac{7}{2}"),
    (r"3 1/2", r"7/2"),
    (r"137 \frac{1}{2}", r"137.5"),
    (r"-1\frac{1}{2}", r"-1.5"),
    (r"\text{even}", r"even"),
    (r"\text{even}", r"Even"),
    (r"\text{even}", r"\textbf{even}."),
    (r"\text{(C)}", r"C"),
    (r"\text{(C)}", r"(C)"),
    (r"\text{(C)}", r"\text{C}"),
    (r"\text{(C)}", r"\textbf{(C)}"),
    (r"C", r"(C)"),
    (r"C", r"\text{(C)}"),
    (r"C", r"\text{(C) } 5"),
    (r"\text{(C)}", r"(C)\ 12"),
    (r"90^\circ", r"90"),
    (r"90^\circ", r"90 \text{ degrees}"),
    (r"\frac{\pi}{2}", r"\pi/2"),
    (r"\frac12", r"\frac{1}{2}"),
    (r"\frac12", r"1/2"),
    (r"\frac{\sqrt3}{3}", r"\frac{1}{\sqrt{3}}"),
    (r"\frac{\sqrt3}{3}", r"\sqrt3/3"),
    (r"\sqrt{51}", r"\sqrt 51"),
    (r"\sqrt{51}", r"√51"),
    (r"2\sqrt{2}", r"\sqrt{8}"),
    (r"x^2+2x+1", r"(x+1)^2"),
    (r"\frac{1}{3}", r"0.\overline{3}"),
    (r"\frac{1}{3}", r"0.333333"),
    (r".0000672", r"6.72 \times 10^{-5}"),
    (r"\sqrt{51}", r"7.141428"),
    (r"10,\!080", r"10080"),
    (r"11,\! 111,\! 111,\! 100", r"11111111100"),
    (r"58,500", r"58500"),
    (r"1,234", r"1234"),
    (r"(1,234)", r"(1, 234)"),
    (r"100,-2", r"-2,100"),
    (r"-2,100", r"100,-2"),
    (r"8!", r"40320"),
    (r"\binom{5}{2}", r"10"),
    (r"2^{10}", r"1024"),
    (r"\log_2 8", r"3"),
    (r"\sin 30^\circ", r"\frac12"),
    (r"\cot x", r"\frac{\cos x}{\sin x}"),
    (r"\cot x", r"\cot(x)"),
    (r"e^{i\pi}", r"-1"),
    (r"6-5i", r"-5i+6"),
    (r"\infty", r"+\infty"),
    (r"3:4", r"3 : 4"),
    (r"\{1,2,3\}", r"\{3,2,1\}"),
    (r"\{5\}", r"5"),
    (r"x^{2010}+1", r"1+x^{2010}"),
    (r"2^{2010}", r"4^{1005}"),
    (r"\frac{270}7\text{ degrees}", r"\frac{270}{7}"),
    (r"(a+5)(b+2)", r"(b+2)(a+5)"),
    (r"(0,9) \cup (9,36)", r"(9,36)\cup(0,9)"),
    (r"\left(\frac{3}{5},\frac{8}{3}\right]", r"(0.6, 8/3]"),
    (r"\emptyset", r"\varnothing"),
    (r"\mathbb{R}", r"\mathbb R"),
    (r"f(x)=2x", r"2x"),
    (r"k=3", r"3"),
    (r"m=3", r"m = 3.0"),
    (r"AB=5", r"5"),
    (r"5", r"\text{Area} = 5"),
    (r"5", r"\angle ABC = 5^\circ"),
    (r"p-q", r"-q+p"),
    (r"\frac{11+9a}{20}", r"\frac{9a}{20}+\frac{11}{20}"),
    (r"3R^2", r"3 R^2"),
    (r"1\,000\,000", r"10^6"),
    (r"1 000 000", r"1000000"),
    (r"6r^2-4r-24", r"2(3r^2-2r-12)"),
    (r"\text{Yes}", r"yes"),
    (r"2k+2", r"2(k+1)"),
    (r"5", r"5 \quad"),
    (r"5", r"$5$"),
    (r"5", r"\(5\)"),
    (r"5", r"**5**"),
    (r"1-\frac{1}{2^{n}}", r"\frac{2^n-1}{2^n}"),
    (r"\ln 2", r"\log 2"),
    (r"\frac{1}{x}", r"x^{-1}"),
    (r"\sqrt[3]{2}", r"2^{1/3}"),
    (r"12:30", r"12:30 \text{ p.m.}"),
    (r"12", r"12 \text{ ways}"),
    (r"9", r"9 \text{ square units}"),
    (r"[0,\infty)", r"x \geq 0"),
    (r"\frac{2}{21}", r"\dfrac{2}{21}\approx 0.0952"),
    (r"3.14", r"\approx 3.14"),
    (r"x<0 \text{ or } x>3", r"(-\infty,0)\cup(3,\infty)"),
    (r"(-\infty,0)\cup(3,\infty)", r"x<0 \text{ or } x>3"),
    (r"(-2,1)", r"x \in (-2,1)"),
    (r"\frac{5}{13}", r"-\frac{-5}{13}"),
    (r"\lfloor 3.5 \rfloor", r"3"),
    (r"|-5|", r"5"),
    (r"1.5 \times 10^{6}", r"1,500,000"),
    (r"\pi r^2", r"r^2\pi"),
    (r"10!", r"3628800"),
    (r"(1,-16,-4,43)", r"1,-16,-4,43"),
    (r"2,3", r"(2,3)"),
    (r"\sqrt{x^2}", r"\sqrt{x^2}"),
    (r"\frac{x+1}{x-1}", r"-\frac{x+1}{1-x}"),
    (r"x^3 - 2x + 4", r"4 - 2x + x^3"),
    (r"2\cos^2 x - 1", r"\cos 2x"),
    (r"(-\sqrt{3}, \sqrt{3})", r"-\sqrt{3}<x<\sqrt{3}"),
    (r"\text{June 20}", r"June 20"),
    (r"\text{odd}", r"odd"),
    (r"-50", r"\text{-}50"),
    (r"2500000", r"2.5 \text{ million}"),
    (r"2500000", r"\$2.5\text{ million dollars}"),
    (r"10^{-5}", "10⁻⁵"),
    (r"2^{10}", "2¹⁰"),
    (r"52_8", "52₈"),
    (r"52_8", r"52 \text{ (base 8)}"),
    (r"2516_8", r"2516_{\text{base 8}}"),
    (r"\frac{1}{8}", "⅛"),
    (r"\frac{7}{2}", "3½"),
    (r"-5", "\uff0d5"),
    (r"90^\circ", "90º"),
    (r"20^\circ C", "20℃"),
    (r"-\frac{1}{3}", r"-0.\overline{3}"),
    (r"\frac{1}{6}", r"x = 0.1\bar{6}"),
    (r"\frac{8}{3}", r"2.\bar 6"),
    (r"\frac{100}{3}\%", r"33.\bar{3}\%"),
    (r"4", r"2^3\frac{1}{2}"),
    (r"4", r"\textcolor{blue}{4}"),
    (r"4", r"\Large{4}"),
    (r"4", r"\underline{4}"),
    (r"6", r"\text{6 ways}"),
    (r"6", r"6 \pmod{7}"),
    (r"6", r"x \equiv 6 \pmod{7}"),
    (r"6", r"6 \ (\text{mod } 7)"),
    (r"x=5", r"\mathbf{x = 5}"),
    (r"5", r"5 = x"),
    (r"\frac{3}{4}", r"\mathbf{\frac{3}{4}}"),
    (r"(3,4)", r"\boldsymbol{(3,4)}"),
    (r"(3,4)", r"\{(3,4)\}"),
    (r"(3,4)", r"y=4, x=3"),
    (r"[0,1)", r"\{x \mid 0 \le x < 1\}"),
    (r"[-2,7]", r"\{x \in \mathbb{R} : -2 \le x \le 7\}"),
    (r"\mathbb{R}", r"\text{all real numbers}"),
    (r"-1, 2", r"x = -1 \quad x = 2"),
    (r"-1, 2", r"x = 2 \lor x = -1"),
    (r"1,2,3", r"1 \text{, } 2 \text{, and } 3"),
    (r"12:30", r"12{:}30"),
    (r"6 \text{ p.m.}", r"\text{6 PM}"),
    (r"\begin{pmatrix}-1/3\\2/3\end{pmatrix}", r"\begin{pmatrix} -\frac{1}{3} \\[4pt] \frac{2}{3} \end{pmatrix}"),
    (r"\begin{pmatrix}0 & -1\\1&0\end{pmatrix}", r"\begin{pmatrix} \phantom{-}0 & -1\\1&0 \end{pmatrix}"),
    (r"\text{(C)}", r"\text{Option C}"),
    (r"\emptyset", r"\{ \}"),
    (r"\{2,3,5\}", r"{2,3,5}"),
    (r"1000000", "1 000 000.0"),
    (r"(-\infty,-1)\cup(1,\infty)", r"(-\infty,-1)\bigcup(1,\infty)"),
]
UNEQUAL = [
    (r"5", r"2+3=6"),
    (r"x+y=5", r"5"),
    (r"y=2x+3", r"y=2x-3"),
    (r"(1,2)", r"x=2, y=1"),
    (r"x=1,y=2", r"x=2,y=1"),
    (r"1 \pm \sqrt{19}", r"1+\sqrt{19}"),
    (r"[-2,7]", r"-2 < x < 7"),
    (r"(2,\infty)", r"x \ge 2"),
    (r"(3,4]", r"[3,4]"),
    (r"(3,4]", r"(3,4)"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}2\\1\end{pmatrix}"),
    (r"\begin{pmatrix}1 & 2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&3\\2&4\end{pmatrix}"),
    (r"52_8", r"52_9"),
    (r"52_8", r"52"),
    (r"42", r"52_8"),
    (r"10\%", r"20\%"),
    (r"864 \mbox{ inches}^2", r"864 \text{ cm}^2"),
    (r"864 \mbox{ inches}^2", r"864 \text{ inches}^3"),
    (r"\text{even}", r"odd"),
    (r"\text{east}", r"west"),
    (r"\text{(C)}", r"D"),
    (r"2\sqrt{2}", r"\sqrt{9}"),
    (r"x^2+2x+1", r"(x+1)^3"),
    (r"\frac{1}{3}", r"0.33"),
    (r"\frac{1}{3}", r"0.3333"),
    (r"0.0000672", r"0.0000671"),
    (r"\sqrt{51}", r"7.14"),
    (r"(1,234)", r"1234"),
    (r"6-5i", r"6+5i"),
    (r"\infty", r"-\infty"),
    (r"\{1,2,3\}", r"\{1,2\}"),
    (r"2^{2010}", r"2^{2011}"),
    (r"x=5", r"y=5"),
    (r"3R^2", r"3r^2"),
    (r"7", r"\frac{7}{0}"),
    (r"5", r"5, 5"),
    (r"\text{Monday}", r"\text{Mon}"),
    (r"(2,3)", r"(3,2)"),
    (r"1/2", r"one half"),
    (r"4", r"four"),
    (r"0", r"5x - 7y + 11z + 4 = 0"),
    (r"\{1\pm\sqrt{5},-2\}", r"-\{1\pm\sqrt{5},-2\}"),
    (r"204_5", r"204_7"),
    (r"(3,\pi/2)", r"[3,\pi/2]"),
    (r"262537412640768744", r"262537412640768743"),
    (r"5", r"5 \text{ million}"),
    (r"5", r"5 \text{ hundred}"),
    (r"2", r"2 \text{ or more}"),
    (r"2", r"2 \text{ and a half}"),
    (r"2", r"2\text{ hours and }30\text{ minutes}"),
    (r"2", r"2 \text{ ft } 6 \text{ in}"),
    (r"2", r"x = 1 \quad x = 2"),
    (r"2", r"x = 1 \\ y = 2"),
    (r"2", r"x = 1 \land y = 2"),
    (r"(3,4)", r"y=3, x=4"),
    (r"-1,2", r"-1<x<2"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"(1,2,3,4)"),
    (r"\text{(C)}", r"(C), (D)"),
    (r"\text{(B)}", r"\text{(B) and (C)}"),
    (r"1,000,000", r"1,0,0"),
    (r"12:30 \text{ p.m.}", r"12:30 \text{ a.m.}"),
    (r"\text{6 p.m.}", r"\text{6 a.m.}"),
    (r"20 \text{ June}", r"20 \text{ July}"),
    (r"90^\circ", r"90 \text{ radians}"),
    (r"x-y", r"|x-y|"),
    (r"x \equiv 5 \pmod{12}", r"5 \pmod{7}"),
    (r"2516", r"2516 \text{ (base 8)}"),
    (r"\frac{1}{6}", r"0.\overline{16}"),
]
UNDECIDED = [
    (r"5x - 7y + 11z + 4 = 0", r"5x-7y+11z-4=0"),
    (r"\int_0^1 x dx", r"\frac{1}{2}"),
    (r"y = \frac{1}{x}", r"xy = 1"),
    (r"2", r"\log 100"),
    (r"12", r"1 \quad 2"),
    (r"x", r"|x|"),
    (r"k+1", r"\sqrt{k^2}+1"),
    (r"x+3", r"|x+3|"),
    (r"5-x", r"|x-5|"),
    (r"y-x", r"|x-y|"),
    (r"xy", r"|xy|"),
]
REFUSED = [
    r"9^{9^{9^9}}-9^{9^{9^9}}+5",
    r"\frac{1}{9^{9^{9^9}}}",
    "(" * 900 + "1" + ")" * 900,
    "-" * 900 + "5",
    "1+" * 900 + "1",
]


@pytest.mark.parametrize(("gold", "answer"), EQUAL)
def test_is_accepted(gold: str, answer: str) -> None:
    assert equal_answers(normalise(gold), normalise(answer)).equal is True


@pytest.mark.parametrize(("gold", "answer"), UNEQUAL)
def test_is_rejected_without_symbolic_work(gold: str, answer: str) -> None:
    assert equal_answers(normalise(gold), normalise(answer)).equal is False


@pytest.mark.parametrize(("gold", "answer"), UNDECIDED)
def test_what_the_cheap_layers_cannot_know_is_left_to_the_symbolic_step(gold: str, answer: str) -> None:
    verdict = equal_answers(normalise(gold), normalise(answer))
    assert (verdict.equal, verdict.layer) == (None, "symbolic")


@pytest.mark.parametrize("answer", REFUSED, ids=lambda answer: answer[:20])
def test_what_nothing_may_compute_is_refused_not_called_wrong(answer: str) -> None:
    verdict = equal_answers("5", normalise(answer))
    assert (verdict.equal, verdict.layer) == (None, "limits")


@pytest.mark.parametrize("answer", ["9^{9^{9^9}}", "100000!", "100000!!", "((10!)!)!"])
def test_a_number_plainly_beyond_any_gold_is_incorrect(answer: str) -> None:
    assert equal_answers("5", normalise(answer)).equal is False


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_whole_numbers_are_equal_only_to_themselves(gold: int, answer: int) -> None:
    assert equal_answers(normalise(str(gold)), normalise(f"{answer:,}")).equal is (gold == answer)


@given(st.fractions(max_denominator=10_000), st.fractions(max_denominator=10_000))
def test_fractions_are_equal_by_value(gold: object, answer: object) -> None:
    written = normalise(rf"\frac{{{answer.numerator}}}{{{answer.denominator}}}")  # type: ignore[attr-defined]
    assert equal_answers(normalise(str(gold)), written).equal is (gold == answer)


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=5), st.lists(st.integers(-5, 5), min_size=1, max_size=5))
def test_a_list_is_equal_in_any_order_and_a_group_only_in_its_own(first: list[int], second: list[int]) -> None:
    bare = [normalise(", ".join(map(str, each))) for each in (first, second)]
    group = [normalise(f"({', '.join(map(str, each))})") for each in (first, second)]
    assert equal_answers(*bare).equal is (sorted(first) == sorted(second))
    assert equal_answers(*group).equal is (first == second)


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_gets_a_verdict_and_itself_is_equal_to_itself(first: str, second: str) -> None:
    equal_answers(normalise(first), normalise(second))
    assert equal_answers(normalise(first), normalise(first)).equal is True


@given(st.text(alphabet="0123456789x+-*/^(){}[]|!,.=<_ \\fracsqtpimgethln", max_size=60))
def test_any_mathematical_looking_text_gets_a_verdict(answer: str) -> None:
    equal_answers(r"\frac{3}{4}", normalise(answer))


@given(st.text(max_size=80))
def test_normalising_twice_changes_nothing_that_is_compared(text: str) -> None:
    once = normalise(text)
    assert equal_answers(once, normalise(once)).equal is not False or compact(once) == compact(normalise(once))
