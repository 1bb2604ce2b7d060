"""What the lesson says, asks and answers. Texts are HTML; test_lesson.py tries what the questions claim."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pyswarmopt.teaching.lesson.settings import Settings


@dataclass(frozen=True)
class Question:
    """Predict, then check."""

    ask: str
    choices: tuple[str, ...]
    answer: int  # index of the right choice
    why: str
    change: dict[str, Any]  # of the chapter's settings, to try it


@dataclass(frozen=True)
class Exercise:
    """For pen, paper and sliders: something to do, and what comes out."""

    task: str
    answer: str


@dataclass(frozen=True)
class Chapter:
    """One page of the lesson."""

    title: str
    text: tuple[str, ...]  # paragraphs, HTML
    settings: Settings  # of the recorded swarm
    moves: int
    seed: int
    follow: int  # number of the particle that is selected first
    questions: tuple[Question, ...]
    exercises: tuple[Exercise, ...]


PULLS = Chapter(
    title="Three pulls",
    text=(
        "Six particles look for the lowest point of a bowl. None of them sees the bowl: a particle only learns the "
        "height where it stands. It remembers the best place where it has been, <var>p</var>, and it is told the best "
        "place that anybody has been to, <var>g</var>.",
        "The arrows are all there is to the method. A particle keeps part of its velocity "
        "(<b class='inertia'>inertia</b>), is drawn back to its own best (<b class='cognitive'>cognitive</b>) and "
        "towards the swarm’s best (<b class='social'>social</b>). Each pull is multiplied by a random number. Put head "
        "to tail, the arrows lead to the next position. Press <kbd>→</kbd> and see whether the particle goes there.",
    ),
    settings=Settings("sphere", (1.2, -0.8), particles=6, inertia=0.73, cognitive=1.5, social=1.5),
    moves=25,
    seed=4,
    follow=2,
    questions=(
        Question(
            "A particle has just found the swarm’s best: it stands on p and on g. Which arrows does it have?",
            ("All three", "Only inertia", "None: it rests"),
            1,
            "With x = p = g both differences are zero, whatever the random numbers are. Only the velocity it already "
            "has carries it on. Stop when a particle stands in the orange ring, click it, and look at the table.",
            {},
        ),
        Question(
            "What happens if social is 0?",
            (
                "They meet at the best point all the same",
                "Each looks for itself, and they stay apart",
                "They stop at once",
            ),
            1,
            "Nothing a particle knows comes from another one. Each circles around its own best, which improves only by "
            "the luck of its own moves: as many separate searches as there are particles.",
            {"social": 0.0},
        ),
    ),
    exercises=(
        Exercise(
            "At step 0 work out one row of the table with a pocket calculator: weight × r × (difference), for both "
            "coordinates.",
            "The table shows weight × r as “coefficient”. The new velocity is the sum of the arrows, the new "
            "position is the old one plus λ times the new velocity.",
        ),
        Exercise(
            "Set the random numbers to “none”. Why do particles now move on nearly regular spirals?",
            "Without r a particle under fixed p and g obeys a linear recurrence of second order with constant "
            "coefficients. For these weights its eigenvalues are complex with modulus √inertia = 0.85: a damped "
            "oscillation.",
        ),
    ),
)

GOSSIP = Chapter(
    title="Who informs whom",
    text=(
        "The Rastrigin function has a valley at nearly every whole number; a single one is the deepest. A swarm that "
        "agrees too soon agrees on the wrong one.",
        "On a <b>ring</b> a particle knows only its two neighbours’ bests, drawn here as dotted lines. News travels "
        "one place per move, so several valleys are tried at the same time. With <b>everybody</b> connected the swarm "
        "is faster, and more often trapped.",
    ),
    settings=Settings(
        "rastrigin", (1.0, -2.0), -5.12, 5.12, particles=16, inertia=0.5, cognitive=1.5, social=1.5, topology="ring"
    ),
    moves=60,
    seed=7,
    follow=3,
    questions=(
        Question(
            "After 15 moves, which swarm is spread wider?",
            ("The ring", "Everybody connected", "No difference"),
            0,
            "With everybody connected all feel the same g from the first move on. On the ring distant particles still "
            "follow different bests.",
            {"topology": "global"},
        ),
        Question(
            "Take inertia away: 0 instead of 0.5. What happens?",
            (
                "The swarm finds the best valley less often",
                "Nothing: inertia only smooths the paths",
                "The particles fly off",
            ),
            0,
            "Without momentum a particle jumps to a random point around p and g and never flies on past them. Of 1000 "
            "swarms 652 found the best valley; with inertia 0.5 it was 798.",
            {"inertia": 0.0},
        ),
    ),
    exercises=(
        Exercise(
            "Let 200 swarms run on the ring and with everybody connected (“Try 200 swarms”). Do the intervals "
            "overlap? Do they with inertia 0.4 and both pulls 1.2? With inertia 0.73?",
            "A single run says nothing: look at shares with their intervals. Of 1000 swarms the ring finds the best "
            "valley in 80% and everybody in 72%; 200 are hardly enough to tell. With inertia 0.4 and pulls 1.2 it is "
            "71% against 51%. With inertia 0.73 it is 84% against 86%, and the ring has no advantage on this "
            "landscape: a swarm that keeps its momentum does not agree so soon anyway.",
        ),
        Exercise(
            "How many moves does it take at least until all 16 particles of a ring know of a new best?",
            "8: the news goes one place in both directions per move. In general half the number of particles.",
        ),
    ),
)

STABILITY = Chapter(
    title="How much is too much",
    text=(
        "Himmelblau’s function has four equally deep valleys. The weights here are too large: the swarm does not "
        "settle, and only the walls hold it.",
        "The small map shows when it would. While p and g stand still, the spread of a particle’s positions settles "
        "only below the curve: <var>c</var><sub>1</sub> + <var>c</var><sub>2</sub> &lt; 24 (1 − <var>w</var>²) / (7 "
        "− 5 <var>w</var>) (Poli 2009). Move the dot below it.",
    ),
    settings=Settings("himmelblau", particles=10, inertia=0.9, cognitive=2.0, social=2.0),
    moves=40,
    seed=1,
    follow=0,
    questions=(
        Question(
            "Inertia 0.9 is kept. How small must cognitive + social be for the swarm to settle?",
            ("Below 4", "Below 1.82", "There is no such value"),
            1,
            "24 (1 − 0.81) / (7 − 4.5) = 1.824. Above it the variance of the positions grows from move to move "
            "although each pull points to a good place: it overshoots too far.",
            {"cognitive": 0.8, "social": 0.8},
        ),
        Question(
            "The weights stay too large, and the walls are taken away. Where is the swarm after 40 moves?",
            ("In one of the valleys", "Still in the square", "Far outside"),
            2,
            "The oscillations grow without end. What is remembered as the best is still inside: only the particles "
            "have left, and find nothing any more.",
            {"boundary": "none"},
        ),
        Question(
            "With the weights of Clerc and Kennedy (inertia 0.73, both pulls 1.5) all particles end in one valley. "
            "Will it be the same valley for other random numbers?",
            ("Yes, the deepest", "No, any of the four", "They split evenly over all four"),
            1,
            "All four are equally deep; which one wins depends on who found it first. A swarm gives one answer, not "
            "all.",
            {"inertia": 0.73, "cognitive": 1.5, "social": 1.5},
        ),
    ),
    exercises=(
        Exercise(
            "Clerc and Kennedy’s constriction coefficient for φ = 4.1 is χ = 2 / |2 − φ − √(φ² − 4φ)|. Compute χ and "
            "χφ, and find the point on the map.",
            "χ = 0.7298 and χφ = 2.992; the limit at w = 0.7298 is 24 (1 − 0.5326) / (7 − 3.649) = 3.347, so the swarm "
            "settles.",
        ),
        Exercise(
            "Compare the walls “stop”, “bounce” and “around” with the large weights. Where do particles spend their "
            "time?",
            "With “stop” and weights that are too large they sit on the edges and in the corners. “Bounce” sends them "
            "back inside with half their speed; “around” lets them enter on the other side, where no pull sent them.",
        ),
    ),
)

EXPERTS = Chapter(
    title="A swarm of experts",
    text=(
        "Model Swarms (Feng et al. 2024) moves language models instead of points. Think of this square as all "
        "models, of the height as their errors, and of the three squares as experts that somebody trained. The swarm "
        "starts with the experts and with mixtures of two of them.",
        "Three things are new. Each r is one number for all coordinates, so a particle stays in the plane that the "
        "experts span. The sum is divided by C, the sum of the drawn r times weight, so a particle averages its pulls. "
        "And a fourth arrow pushes away from the worst point seen (<b class='repel'>repel</b>, ×). A particle without "
        "a new best for five moves goes back to its best, at rest (dashed line).",
    ),
    settings=Settings(
        "ackley",
        (0.6, 0.9),
        particles=12,
        inertia=0.2,
        cognitive=0.3,
        social=0.4,
        repel=0.05,
        random="scalar",
        normalise=True,
        step=0.8,
        decay=0.95,
        boundary="none",
        restart=5,
        experts=((-4.0, -2.5), (3.6, -1.8), (0.4, 4.2)),
        launch=1.0,
    ),
    moves=40,
    seed=3,
    follow=4,
    questions=(
        Question(
            "The repel weight is raised from 0.05 to 0.6. Does the swarm end closer together?",
            ("Closer", "Wider apart", "As before"),
            1,
            "The push x − w grows with the distance from the worst point, so a large weight drives the particles "
            "outwards while the other pulls become smaller shares. Without any the swarm contracts to a point. Do "
            "not conclude that more is better: on this landscape 794 of 1000 swarms find the best point without it, "
            "and 628 with 0.05.",
            {"repel": 0.6},
        ),
        Question(
            "All random numbers are switched off. A swarm is started twice from the same points. What differs?",
            ("The paths", "Only the last digits", "Nothing"),
            2,
            "With r = 1 the rest of the run follows from the start. And that is all that changes here: with r 628 of "
            "1000 swarms find the best point, without it 626.",
            {"random": "none"},
        ),
    ),
    exercises=(
        Exercise(
            "Why may a particle leave the triangle of the experts, but with two experts never the line through them?",
            "Every step adds multiples of differences of points that lie in the affine hull of the experts: the "
            "plane of three points, the line of two. Within it nothing keeps the shares between 0 and 1: repel and "
            "inertia carry particles beyond the experts.",
        ),
        Exercise(
            "Switch the restart off. Look at the spread at the end, and try 200 swarms.",
            "The restart puts a stagnant particle exactly on p, at rest; without it the swarm ends closer together "
            "(median spread 0.22 instead of 0.35 in 1000 swarms). The share that finds the best point hardly changes "
            "here: 60% without, 63% with it.",
        ),
    ),
)

LINE = Chapter(
    title="Two experts, one line",
    text=(
        "With only two experts all mixtures lie on one line. Every pull is a difference of two points of the line, and "
        "with one random number per particle so is every sum of pulls: no coefficient takes the swarm off it.",
        "This is why searching a million weights is cheap: the swarm of models is a swarm of <em>shares</em>, here one "
        "number per particle. If what you look for is not on the line, no amount of search finds it; another expert "
        "might.",
    ),
    settings=replace(
        EXPERTS.settings,
        landscape="himmelblau",
        shift=(0.0, 0.0),
        particles=8,
        experts=((-4.2, -0.6), (4.4, 1.4)),
    ),
    moves=30,
    seed=2,
    follow=5,
    questions=(
        Question(
            "The random numbers become one per coordinate, as in classical PSO. Where can the swarm go now?",
            ("Still only along the line", "Anywhere in the plane", "Only to the experts"),
            1,
            "Different factors for the two coordinates bend every pull away from the line. For a model of a million "
            "weights that means a million random numbers per pull, and positions that are no mixture of the experts "
            "any more.",
            {"random": "element"},
        ),
    ),
    exercises=(
        Exercise(
            "Prove it: let x, v, p, g and w be on the line, v as a direction of it. Show that the new x is on the "
            "line.",
            "Every term is a number times a direction of the line; so is their sum v′. Then x + λ v′ is a point of the "
            "line plus a direction of it. By induction over the moves it holds for ever.",
        ),
    ),
)

CHAPTERS = (PULLS, GOSSIP, STABILITY, EXPERTS, LINE)
