"""Translation, sums and chess, tools, attacks, designs, mending, bias, objectives and noise in
`research/benchmarks/groups`: formulas by hand or by brute force, and controls that are controls.
"""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from laboratory import cells, said, scripts

from pyswarmopt_groups.negotiation.debate import first_turn, later_turn
from pyswarmopt_llm.scores.tasks import Item, Task

lab = scripts(
    "adverse_members adverse_texts attack biased chess_squares collective culprits design "
    "machinesom mended objectives rankings task_tables tools translation"
)


# Translation and summaries


def test_kept_fusions_write_what_the_mean_of_their_members_finds_likeliest() -> None:
    """Forty texts by NumPy: two, three and four members, and the words that most of six pairs write."""
    t = lab.translation
    kept = {
        row["method"]: list(bytes.fromhex(row["scores"]))
        for row in lab.task_tables.lines("translation")
        if (row["members"], row["task"], row["seed"]) == (t.CAREFUL, "translation", 1)
    }
    items = t.items("translation", "test", 40, 1)
    models = [t.WordModel(knowledge, t.CORPUS) for knowledge in t.KNOWLEDGE.values()]
    rows = [
        [m.distributions(t.read_text("translation", i.question)) for i in items] for m in models
    ]
    shares = np.array(
        [
            [[[row[w] for w in t.SYLLABLES] for row in text] for text in of_model]
            for of_model in rows
        ]
    )

    def scores(places: Any) -> list[int]:
        texts = [" ".join(t.SYLLABLES[k] for k in row) for row in places]
        return [round(100 * value) for value in t.bleu(items, texts)]

    task = Task("translation", items[:1], items, t.PROMPTS["translation"])
    study = t.Study([t.Renderer("m", models[0])], task, 1, t.CAREFUL)
    found = {row["method"]: list(bytes.fromhex(row["scores"])) for row in study.fusions(models)}
    assert found == {method: kept[method][:40] for method in found}
    for count in (2, 3, 4):
        places = shares[:count].mean(axis=0).argmax(axis=-1)
        assert scores(places) == found[f"fusion of {count}"]
    pairs = [
        shares[[*pair]].mean(axis=0).argmax(-1) for pair in itertools.combinations(range(4), 2)
    ]
    votes = np.array(
        [[np.bincount(c).argmax() for c in text.T] for text in np.stack(pairs, axis=1)]
    )
    same = [a == b for a, b in zip(scores(votes), found["vote of six fusions of two"], strict=True)]
    assert np.mean(same) > 0.9  # ties go to the first-listed there, to the first word here


def test_a_specialist_is_helped_by_what_it_lacks_at_the_weight_that_is_best_on_dev(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The worth of a fusion is here the weight of the helper, of which 0.7 is the largest."""
    t = lab.translation
    (strong, _), (weak, _) = (t.HELPED[name] for name in (t.SPECIALIST, t.WEAKER))
    everything = {*t.LETTERS, *t.FIELDS}
    assert len(strong) == len(everything) * 5 / 6 and len(weak) == len(everything) / 2
    assert everything - {*strong} < {*weak}
    task = Task(
        "translation",
        t.items("translation", "dev", 2, 0),
        t.items("translation", "test", 2, 0),
        None,
    )
    study = t.Study([t.Renderer("m", t.WordModel(strong, 2))], task, 0, t.CAREFUL)
    fused = []

    def alone(member: Any) -> list[Any]:
        fused.append(member.model)
        return []

    monkeypatch.setattr(study, "alone", alone)
    monkeypatch.setattr(study, "row", lambda name, verdicts: {"method": name})
    monkeypatch.setattr(study, "worth", lambda member: member.model.weights[1])
    rows = list(study.helped())
    assert [row.get("weight") for row in rows] == [None, None, 0.7, 0.7]
    specialist, weaker, helped, misled = fused
    text = t.read_text("translation", "a b c d e f g h")
    for fusion, asked in ((helped, "a b c d e f g h"), (misled, "b c d e f g h a")):
        help_ = weaker.distributions(t.read_text("translation", asked))
        for place, own in enumerate(specialist.distributions(text)):
            for word, value in fusion.distributions(text)[place].items():
                assert value == pytest.approx(0.3 * own[word] + 0.7 * help_[place][word])


def test_votes_by_likeness_and_word_by_word_are_those_of_brute_force() -> None:
    t = lab.translation
    rng = random.Random(0)

    def overlap(items: Any, texts: Any) -> list[float]:
        pairs = zip(items, texts, strict=True)
        return [len(set(i.answer.split()) & set(text.split())) for i, text in pairs]

    for _ in range(50):
        texts = [" ".join(rng.choices("abc", k=4)) for _ in range(4)]
        likeness = [
            sum(len(set(a.split()) & set(b.split())) for j, b in enumerate(texts) if j != k)
            for k, a in enumerate(texts)
        ]
        assert t.by_likeness(texts, overlap) == texts[int(np.argmax(likeness))]
        for place, word in enumerate(t.word_by_word(texts).split()):
            column = [text.split()[place] for text in texts]
            assert column.count(word) == max(map(column.count, column))
    assert t.nearly_agreed(["a b c d", "a b c e"]) and not t.nearly_agreed(["a b c d", "a b e f"])
    assert not t.nearly_agreed(["a b c d", None])


def test_kept_translations_are_scored_anew_by_their_names() -> None:
    """The first 39 texts of each kind: what the members, the votes and their controls wrote. (The
    40th has the arguments about the first, in place of the 41st.)
    """
    t = lab.translation
    methods = ("member 2", "`majority`", "vote by likeness", "vote word by word", "fusion of 3",
               "`refine`, three rounds", "without the arguments of others",
               "arguments about other texts")  # fmt: skip
    models = [t.WordModel(knowledge, t.CORPUS) for knowledge in t.KNOWLEDGE.values()]
    members = [t.Renderer(*pair) for pair in zip(t.KNOWLEDGE, models, strict=True)]
    for kind in t.PROMPTS:
        kept = {
            row["method"]: bytes.fromhex(row["scores"])[:39]
            for row in lab.task_tables.lines("translation")
            if (row["members"], row["task"], row["seed"]) == (t.CAREFUL, kind, 2)
        }
        test = t.items(kind, "test", 500, 2)[:40]
        study = t.Study(
            members, Task(kind, t.items(kind, "dev", 2, 2), test, t.PROMPTS[kind]), 2, t.CAREFUL
        )
        rows = [*study.votes(), *study.negotiations(), *study.fusions(models)]
        found = {row["method"]: bytes.fromhex(row["scores"])[:39] for row in rows}
        assert {name: found[name] for name in methods} == {name: kept[name] for name in methods}
        assert sum(kept["`refine`, three rounds"]) > sum(kept["arguments about other texts"])


def test_outcomes_of_a_group_are_its_verdicts_item_by_item(tmp_path: Path) -> None:
    """Two items, B and A: the vote is right on the second, ann on the first, bob on both."""
    options = {"A": "x", "B": "y"}
    items = (Item("1", "?", options, "B"), Item("2", "?", options, "A"))
    config = SimpleNamespace(out=tmp_path, load=lambda: Task("t", (), items))
    verdicts = [
        {"strategy": name, "answer": answer, "ballots": ballots}
        for name, answer, ballots in (
            ("majority", "A", ["B", "B"]),
            ("majority", "A", [None, "A"]),
            ("game", "B", []),
            ("game", None, []),
        )
    ]
    text = "".join(json.dumps(row) + "\n" for row in verdicts)
    (tmp_path / lab.collective.VERDICTS).write_text(text, encoding="utf-8")
    result = {
        "task": "t",
        "best_single": "bob",
        "members": {"ann": {"tokens": 3.04}, "bob": {"tokens": 4}},
        "strategies": {"majority": {"tokens": 7}, "game": {"tokens": 9}},
    }
    rows = {row["method"]: row for row in map(json.loads, lab.collective.outcomes(config, result))}
    assert {name: row["test"] for name, row in rows.items()} == {
        "majority": "01", "ann": "10", "bob": "11", "game": "10",
    }  # fmt: skip
    assert {name: row["tokens"] for name, row in rows.items()} == {
        "majority": 7, "ann": 3.0, "bob": 4, "game": 9,
    }  # fmt: skip
    assert [rows[name].get("best") for name in ("ann", "bob", "game")] == [False, True, None]


def test_who_is_to_blame_is_whose_absence_gains_most() -> None:
    """Without ann 0.5, without bob and cid 0.7, without dan 0.4: bob and cid share the first place."""
    tests = {"ann": 0.5, "bob": 0.7, "cid": 0.7, "dan": 0.4}
    row = {"members": {name: {"test": value} for name, value in tests.items()}}
    places = [lab.culprits.place(row, name) for name in tests]
    assert places == [3.0, 1.5, 1.5, 4.0]


# Sums and chess


def test_squares_of_a_pawn_are_those_worked_by_hand() -> None:
    moves = lab.chess_squares.moves
    assert moves("pawn", "e2", set(), set()) == {"e3", "e4"}
    assert moves("pawn", "e2", {"e4"}, {"d3", "f3"}) == {"e3", "d3", "f3"}
    assert moves("pawn", "e2", set(), {"e3"}) == set()
    assert moves("pawn", "a7", set(), {"b8"}) == {"a8", "b8"}
    assert moves("pawn", "c8", set(), set()) == set()


def test_squares_are_those_that_are_in_line_with_nothing_between() -> None:
    """Brute force over all squares: differences of files and ranks, and what lies between."""
    chess = lab.chess_squares
    lines = {
        "rook": lambda x, y: not x or not y,
        "bishop": lambda x, y: abs(x) == abs(y),
        "queen": lambda x, y: not x or not y or abs(x) == abs(y),
        "king": lambda x, y: max(abs(x), abs(y)) == 1,
        "knight": lambda x, y: {abs(x), abs(y)} == {1, 2},
    }
    rng = random.Random(0)
    for piece, in_line in lines.items():
        for _ in range(40):
            at, *others = rng.sample(chess.SQUARES, 7)
            own, enemies = set(others[:3]), set(others[3:])
            expected = set()
            for to in chess.SQUARES:
                x, y = ord(to[0]) - ord(at[0]), int(to[1]) - int(at[1])
                if to == at or to in own or not in_line(x, y):
                    continue
                steps = 1 if piece == "knight" else max(abs(x), abs(y))
                between = {
                    chr(ord(at[0]) + x * k // steps) + str(int(at[1]) + y * k // steps)
                    for k in range(1, steps)
                }
                if not between & (own | enemies):
                    expected.add(to)
            assert chess.moves(piece, at, own, enemies) == expected


def test_kept_rows_of_sums_are_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    m = lab.machinesom
    kept = {
        row["method"]: row["test"]
        for row in lab.task_tables.lines("machinesom")
        if (row["task"], row["seed"]) == ("sums", 2)
    }
    monkeypatch.setattr(m, "TEST", 60)
    found = {
        row["method"]: row["test"] for row in m.rows([*map(m.Polynomials, range(3))], "sums", 2)
    }
    assert found == {method: marks[:60] for method, marks in kept.items()}
    alone = [found[f"member {k}"].count("1") for k in (1, 2, 3)]
    assert min(alone) > 20 and max(alone) < 40  # each knows half of the kinds


def test_a_chess_question_is_read_square_by_square() -> None:
    m = lab.machinesom
    (row,) = m.encoded(["pawn a2 white c3 black h8 a1 b1"])
    squares = [m.SQUARES.index(square) for square in ("a2", "c3", "h8", "a1", "b1")]
    at, own, *others = squares
    blocks = [64 * m.PIECES.index("pawn") + at, 384 + own, *(448 + square for square in others)]
    assert np.flatnonzero(row).tolist() == sorted(blocks)


def test_a_number_is_as_sure_as_a_normal_error_is_below_a_half() -> None:
    model = lab.machinesom.Polynomials(0)
    weights = np.array([0.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    model.fits = {"plus": (weights, 0.5), "minus": (weights, 1.0)}
    answers = model.says(["3 plus 4", "3 minus 4"])
    # 68.27% of a normal distribution are within one standard deviation, 38.29% within a half
    assert answers["3 plus 4"] == ("7", pytest.approx(0.6827, abs=1e-4))
    assert answers["3 minus 4"] == ("7", pytest.approx(0.3829, abs=1e-4))


# Tools


def test_kept_rows_of_tools_and_their_controls_are_found_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    t = lab.tools
    kept = {(r["task"], r["method"]): r for r in lab.task_tables.lines("tools") if r["seed"] == 1}
    monkeypatch.setattr(t, "TEST", 40)
    rows = [*t.agent_rows(1), *t.coalition_rows(1)]
    assert len(rows) == len(kept) == 12
    for row in rows:
        # the last errand has the first one's prices, of 40 as of 500
        assert row["test"][:39] == kept[row["task"], row["method"]]["test"][:39], row["method"]


# Attacks


def test_a_tapped_member_says_the_message_and_a_checked_reader_does_not_believe_it() -> None:
    a = lab.attack
    item, form = Item("1", "swap next a b c d", None, "e c d b"), "Question: {question}"
    truth = "surely swap d b c a surely next . The answer is e c d b"
    honest = a.Ruled("m", ("swap", "next"), 0.0)
    turn = first_turn(item, form)
    assert said(honest, turn) == truth
    for name, message in a.MESSAGES.items():
        lie = said(a.Tapped(honest, message), turn)
        assert (lie == truth) == (name in {"boast", "echo"})
    wrong = said(a.Tapped(honest, a.wrong_throughout), turn)
    assert a.read_claim(wrong).sure_of_second and wrong != truth
    knows_swap = a.Ruled("n", ("swap",), 0.0)
    unsure = "perhaps swap a a a a perhaps next . The answer is a a a a"
    believing = said(knows_swap, later_turn(item, form, unsure, [wrong, truth]))
    assert believing == said(a.Checked(knows_swap), later_turn(item, form, unsure, [truth]))
    naive = a.Ruled("n", (), 0.0)
    assert said(naive, later_turn(item, form, unsure, [wrong, truth])) != truth
    # two voices for the truth and one against it
    assert said(a.Quorum(naive), later_turn(item, form, unsure, [wrong, truth, truth])) == truth
    # an echo is somebody else's claim, and sounds sure of it
    repeated = said(a.Tapped(honest, a.echo), later_turn(item, form, truth, [unsure, wrong]))
    assert repeated == unsure.replace("perhaps", "surely")
    forged = said(a.Tapped(honest, a.voices), turn)
    assert forged.count(a.OTHERS) == 2
    shown = a.one_line(later_turn)(item, form, unsure, [forged])
    assert shown.count(a.OTHERS) == 1


def test_the_attack_is_found_on_dev_and_its_table_is_counted_by_hand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Dev says that member 1 lies worst, test that member 2 does."""
    names = ("victim", "task", "dev", "test")
    made = [
        (0, "no attack", "00", "1111"),  # no attack is none of the attacks
        (1, "silence", "11", "1110"),
        (1, "lie", "00", "1100"),
        (2, "silence", "10", "0111"),
        (2, "lie", "01", "0000"),
    ]
    rows = [dict(zip(names, row, strict=True)) | {"method": "m", "seed": 0} for row in made]
    monkeypatch.setattr(lab.task_tables, "lines", lambda name: rows)
    ((_, none, found, silent, by_lot, worst, told),) = cells(lab.task_tables.attack())
    assert none.startswith("1.000") and found.startswith("0.500")
    assert (silent, by_lot, worst) == ("0.750", f"{(3 + 2 + 3 + 0) / 16:.3f}", "0.000")
    assert told == "lie, member 1"


def test_kept_attacks_and_designs_are_what_the_programs_give() -> None:
    kept = lab.task_tables.lines("attack")
    (row,) = [r for r in kept if (r["method"], r["seed"], r["victim"], r["task"]) == (
        "`refine`, checked, most voices first, one line", 1, 2, "voices")]  # fmt: skip
    a = lab.attack
    strategy, defence, plain = a.SYSTEMS[row["method"]]
    members, dev = a.attacked(defence, 1, "voices"), a.items("dev", a.DEV, 1)
    assert [isinstance(member, a.Tapped) for member in members] == [False, True, False, False]
    assert a.signs(a.decided(members, strategy, dev, 1, plain), dev) == row["dev"]
    test = a.items("test", 40, 1)
    assert a.signs(a.decided(members, strategy, test, 1, plain), test) == row["test"][:40]
    d = lab.design
    (row,) = [r for r in lab.task_tables.lines("design") if (r["method"], r["seed"], r["members"]) == (
        "refine:1", 2, [0, 2, 5])]  # fmt: skip
    task = Task("t", d.items("dev", d.DEV, 2), d.items("test", 40, 2), d.TEMPLATE)
    made = d.row_of(d.Design((0, 2, 5), "refine:1"), task, 2)
    assert (made["dev"], made["dev_tokens"]) == (row["dev"], row["dev_tokens"])
    assert made["test"] == row["test"][:40]


# Designs


def test_all_groups_of_up_to_three_have_all_strategies() -> None:
    d = lab.design
    every = d.designs(6, 3)
    assert len(set(every)) == len(every) == 6 * 2 + (15 + 20) * 4
    assert not [
        design for design in every if len(design.members) == 1 and "refine" in design.strategy
    ]
    assert lab.task_tables.LARGEST == d.LARGEST
    names = [member.name for member in d.everybody()]
    assert [name.startswith("careless") for name in names] == [
        k < lab.task_tables.CARELESS for k in range(6)
    ]


def test_a_design_is_the_best_affordable_one_on_dev(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is best on test is not taken; of equals on dev the cheapest is."""
    names = ("members", "method", "dev", "dev_tokens", "test", "tokens")
    made = [
        ([0], "a", "1100", 20, "1000", 21),
        ([4], "a", "1000", 25, "1111", 25),
        ([0, 1], "b", "1111", 50, "1100", 51),
        ([0, 4, 5], "c", "1111", 40, "1110", 41),
        ([0, 1, 2, 3, 4, 5], "a", "1111", 90, "0000", 91),
    ]
    rows = [dict(zip(names, row, strict=True)) | {"seed": 0} for row in made]
    monkeypatch.setattr(lab.task_tables, "lines", lambda name: rows)
    monkeypatch.setattr(lab.task_tables, "BUDGETS", (30, 100))
    small, large = cells(lab.task_tables.design())
    assert small[1].startswith("0.250") and small[2:4] == ["21", ""]
    assert small[4:] == ["0.625", "0.625", "1.000", "a of 1 careless"]
    assert large[1].startswith("0.750") and large[2:4] == ["41", "0.000, 91"]
    by_lot = f"{(1 + 4 + 2 + 3) / 16:.3f}"
    assert large[4:] == ["0.500", by_lot, "1.000", "c of 1 careless and 2 bad"]


# Mending


def test_kept_votes_of_mended_texts_are_counted_anew() -> None:
    """The first 25 tables of a draw; the control's editor has read the words in random order."""
    m = lab.mended
    kept = {
        (row["method"], row["task"]): row["test"][:25]
        for row in lab.task_tables.lines("mended")
        if row["seed"] == 1
    }
    rng = random.Random("mended 1")
    read = [m.FORM.format(*m.sentence(rng)) for _ in range(m.READ)]
    scrambled = [" ".join(rng.sample(text.split(), len(text.split()))) for text in read]
    editor, control = m.Editor(read), m.Editor(scrambled)
    right = [m.FORM.format(*m.sentence(rng)) for _ in range(m.TEST)]
    theirs = m.steps(random.Random("mended 1"))
    ways = {
        "as they are": lambda text: text,
        "repeats removed": m.without_repeats,
        "grammar mended": editor.mend,
        "repeats removed, grammar mended": lambda text: editor.mend(m.without_repeats(text)),
        "repeats removed, mended by who knows no grammar": lambda text: control.mend(
            m.without_repeats(text)
        ),
    }
    tables = [[text.split()[k] for k in (0, 2, 5, 9)] for text in right]
    texts = [[m.said(values, rng) for _ in range(3)] for values in tables]
    for name, way in ways.items():
        rows = [[way(text) for text in row] for row in texts[:25]]
        assert [theirs[name](text) for text in texts[0]] == rows[0]
        votes = [max(row, key=lambda text, row=row: row.count(text)) for row in rows]
        for method, given in (("one member", [row[0] for row in rows]), ("`majority`", votes)):
            signs = "".join(str(int(a == b)) for a, b in zip(given, right[:25], strict=True))
            assert signs == kept[method, name], (method, name)


# Bias and objectives


def test_kept_biases_are_found_again() -> None:
    b = lab.biased
    key = ("task", "method", "members")
    kept = {
        tuple(row[k] for k in key): row
        for row in lab.task_tables.lines("biased")
        if row["seed"] == 1
    }
    rows = {tuple(row[k] for k in key): row for row in b.rows(1)}
    assert rows.keys() == kept.keys()
    for name, row in rows.items():
        assert row["bias"] == pytest.approx(kept[name]["bias"], abs=0.01), name
        assert row["excess"] == pytest.approx(kept[name]["excess"], abs=0.01), name


def test_members_have_a_draw_of_the_texts_each_or_all_of_them(tmp_path: Path) -> None:
    o = lab.objectives
    pairs = o.texts(o.TRAIN, "train 7")
    for resampled in (False, True):
        members = o.group(["model of texts"] * 2, tmp_path, 7, resampled)
        for k, member in enumerate(members):
            drawn = random.Random(f"7 {k}").choices(pairs, k=o.TRAIN) if resampled else pairs
            assert (member.weights == o.model_of_texts("m", drawn).weights).all()
        assert (members[0].weights == members[1].weights).all() != resampled


def test_naive_bayes_is_that_of_scikit_learn() -> None:
    from sklearn.naive_bayes import MultinomialNB

    o = lab.objectives
    pairs = o.texts(400, "train")
    test = [text for text, _ in o.texts(200, "test")]
    inputs, labels = o.counted([text for text, _ in pairs]), [i for _, i in pairs]
    theirs = MultinomialNB(alpha=1.0).fit(inputs, labels).predict(o.counted(test))
    items = [
        Item(str(i), text, dict(zip("ABCDEF", o.INTENTS, strict=True)), "A")
        for i, text in enumerate(test)
    ]
    ours = [
        o.INTENTS["ABCDEF".index(a.text)]
        for a in o.model_of_texts("nb", pairs).answer(items, "likelihood")
    ]
    assert np.mean(np.array(ours) == theirs) > 0.99  # priors differ by one count


def test_a_ranker_takes_the_steps_of_the_multiclass_hinge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two epochs beside gradients of max(0, 1 + best wrong score - right score), by autograd."""
    import torch

    o = lab.objectives
    monkeypatch.setattr(o, "EPOCHS", 2)
    pairs = o.texts(60, "few")
    inputs = torch.tensor(o.counted([text for text, _ in pairs]))
    weights = torch.zeros((len(o.WORDS), 6), dtype=torch.float64, requires_grad=True)
    rng = np.random.default_rng(3)
    for _ in range(2):
        for i in rng.permutation(len(pairs)):
            scores, own = inputs[i] @ weights, o.INTENTS.index(pairs[i][1])
            wrong = torch.cat([scores[:own], scores[own + 1 :]])
            best = wrong[wrong.argmax()]  # of equals the first
            loss = torch.clamp(1 + best - scores[own], min=0)
            (gradient,) = torch.autograd.grad(loss, weights)
            with torch.no_grad():
                weights *= 1 - 1e-3
                weights -= 0.05 * gradient
    assert o.ranker("r", pairs, 3).weights == pytest.approx(weights.detach().numpy(), abs=1e-12)


# Privacy, a liar and typos


def test_kept_votes_of_ten_models_of_texts_are_counted_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Majority by NumPy (ties to the first-listed member), and the member that is best on dev."""
    a, o = lab.adverse_texts, lab.objectives
    kept = {
        row["method"]: row["test"]
        for row in lab.task_tables.lines("adverse-texts")
        if (row["task"], row["seed"]) == ("as they are", 1)
    }
    pairs = {part: o.texts(n, f"{part} 1") for part, n in (("dev", 100), ("test", 500))}
    said = {}
    for part, asked in pairs.items():
        counts = o.counted([text for text, _ in asked])
        said[part] = np.array(
            [(counts @ m.weights + m.bias).argmax(axis=1) for m in a.everybody(1)]
        )
    right = {part: [o.INTENTS.index(i) for _, i in asked] for part, asked in pairs.items()}
    best = int((said["dev"] == right["dev"]).mean(axis=1).argmax())
    alone = (said["test"][best] == right["test"]).astype(int)
    assert "".join(map(str, alone)) == kept["best member"]
    for i, column in enumerate(said["test"].T.tolist()):
        most = max(map(column.count, column))
        winner = next(vote for vote in column if column.count(vote) == most)
        assert kept["majority"][i] == str(int(winner == right["test"][i]))
    rows = [
        {"task": "as they are", "method": "best member", "test": "10"},
        {"task": "as they are", "method": "stacked", "test": "11"},
        {"task": "noise", "method": "best member", "test": "00"},
        {"task": "noise", "method": "best member", "test": "10"},
    ]
    monkeypatch.setattr(lab.task_tables, "lines", lambda name: rows)
    expected = [["as they are", "0.500", "1.000"], ["noise", "0.250", ""]]
    assert cells(lab.task_tables.adverse()) == expected


def test_typos_are_in_test_questions_alone_and_liars_and_noise_in_their_settings() -> None:
    a = lab.adverse_members
    items = tuple(Item(str(i), "abcdefgh ijklmnop", {"A": "x", "B": "y"}, "A") for i in range(50))
    task = Task("t", items, items)
    typed = a.with_typed(task, 0.2)
    assert typed.dev == items and [i.answer for i in typed.test] == ["A"] * 50
    assert sum(i.question != "abcdefgh ijklmnop" for i in typed.test) > 40
    assert a.with_typed(task, 0.0).test == items
    settings = list(a.settings_of("best", "last", (2.0,), 3))
    assert [s.config.seed for s in settings if s.config.epsilon] == [0, 1, 2]
    assert {s.config.liar for s in settings} == {None, "best", "best:test", "last", "last:test"}
    assert {s.without for s in settings} == {None, "best", "last"}


# Rankings


def test_the_control_of_rankings_keeps_first_choices_alone() -> None:
    r = lab.rankings
    drawn = {r.by_lot(("A", "B", "C", "D"), random.Random(i)) for i in range(200)}
    assert drawn == {("A", *rest) for rest in itertools.permutations("BCD")}
    # A has two first choices of five, B no last place, and C the others'
    rankings = [("A", "B", "C")] * 2 + [("B", "A", "C")] + [("C", "B", "A")] * 2
    found = r.answers(rankings, random.Random(0))
    assert (found["`majority`"], found["`borda`"], found["`condorcet`"]) == ("A", "B", "B")


def test_kept_rankings_are_counted_anew() -> None:
    """Borda by NumPy, from the members' weights: six less the place, ties to who is named first."""
    o = lab.objectives
    kept = {
        row["method"]: row["test"]
        for row in lab.task_tables.lines("rankings")
        if (row["task"], row["seed"]) == ("5 members", 2)
    }
    pairs = o.texts(500, "test 2")
    counts = o.counted([text for text, _ in pairs])
    scores = [counts @ m.weights + m.bias for m in lab.adverse_texts.everybody(2)[:5]]
    places = np.array([np.argsort(-member, axis=1, kind="stable") for member in scores])
    points = sum(5 - np.argsort(member, axis=1) for member in places)
    for i, (_, intent) in enumerate(pairs):
        named = list(dict.fromkeys(places[:, i].ravel().tolist()))
        winner = max(named, key=lambda k, i=i: points[i, k])
        assert kept["`borda`"][i] == str(int(o.INTENTS[winner] == intent))
