"""The named switches of a stage: what the sources leave open, with the values a user may choose.

The first value of each is the sources' own, or where they are silent the plainest one (rim-method, section 7).
"""

from __future__ import annotations

from enum import StrEnum


class Objective(StrEnum):
    """What a stage trains."""

    TEXT = "text"
    """Plain causal text after the prompt, no blocks: the example's own spans, else steps and answer."""
    STEPS = "steps"
    """RiM stage 1: one block a step, each step read out after its block."""
    ANSWER = "answer"
    """RiM stage 2: K blocks, the same answer read out after each of them."""
    DIRECT = "direct"
    """A control: the answer right after the prompt, no blocks and no steps."""
    FADING = "fading"
    """A control: written steps and answer, no blocks; the first steps disappear while the stage goes on."""
    FADING_BLOCKS = "fading-blocks"
    """A control: the same behind K blocks."""
    MARKED_STEPS = "marked-steps"
    """A control: each step and the answer, all right after the prompt, no blocks; what says which step it is, is
    its number before it ("Step 2: ")."""
    CHAIN = "chain"
    """A control: all written steps, then the answer, no blocks."""
    LATENT = "latent"
    """QThink: latent steps after the prompt, then the text; the states behind them learn from a teacher's."""


class Supervision(StrEnum):
    """Which latent steps learn from a teacher's states."""

    FINAL_STEP = "final-step"
    """The last one alone, as QThink's first card."""
    EVERY_STEP = "every-step"
    """All of them, as its later cards ("per-step")."""


class Teacher(StrEnum):
    """Over which rollouts of a problem the teacher's states are averaged."""

    RIGHT = "right"
    """Those whose answer is right ("reward-weighted"); a problem without any has no teacher."""
    ALL = "all"
    """All of them ("uniform")."""


class Match(StrEnum):
    """What of a latent step is compared with the teacher's state; the cards do not say."""

    STATE = "state"
    """The state behind the step, after the model's last norm, as the teacher's is."""
    PROJECTED = "projected"
    """The vector that the projection head makes for the step to read."""


class Target(StrEnum):
    """Which text follows the latent steps; the cards do not say."""

    SOLUTION = "solution"
    """The row's written steps, a line each, then the answer."""
    ANSWER = "answer"
    """The answer alone."""


class Alignment(StrEnum):
    """What the readout after block t says in stage 1 (the target shift)."""

    NEXT_STEP = "next-step"
    """Block t replaces step t, so it says step t + 1; the last one says the answer."""
    SAME_STEP = "same-step"
    """Block t says step t, and one extra block says the answer."""


class Anneal(StrEnum):
    """How the weight of a readout falls during stage 1; s is the step, S the stage's steps, t of T the readout."""

    LINEAR_RELATIVE = "linear-relative"
    """max(0, 1 - s / (S·t/T)): early steps lose their supervision first."""
    LINEAR = "linear"
    """max(0, 1 - s/S): all steps alike."""
    UNIFORM = "uniform"
    """Weight 1 throughout."""


class LastStep(StrEnum):
    """What happens to the answer's own weight in stage 1; the sources do not say."""

    KEEP = "keep"
    """It stays 1."""
    DECAY = "decay"
    """It is annealed like the steps."""


class BlockWeights(StrEnum):
    """The weight of the answer after block k of K in stage 2; they sum to 1."""

    RISING = "rising"
    """2k / (K(K+1))."""
    FLAT = "flat"
    """1/K."""
    LAST = "last"
    """1 after the last block, 0 elsewhere."""


class Visibility(StrEnum):
    """What a readout after blocks may attend to."""

    QUESTION = "question"
    """The question and its blocks, as in plain causal inference."""
    BLOCKS = "blocks"
    """Its blocks alone. Training then differs from inference, where the readout sees the question."""


class Normalisation(StrEnum):
    """What the weighted sum of a batch's losses is divided by; the batch is that of all processes."""

    ROWS = "rows"
    """The examples of the batch: the loss as it is printed."""
    TOKENS = "tokens"
    """The labelled tokens of the batch, each counted with its readout's weight: a weighted mean over tokens."""
    READOUTS = "readouts"
    """The examples, each divided by its own number of readouts besides (mean over T)."""


class Reduction(StrEnum):
    """What becomes of the tokens of one readout."""

    SUM = "sum"
    """-log p of the readout: the sum over its labelled tokens."""
    MEAN = "mean"
    """The mean over them: a letter and a long answer count alike."""


class StepEnd(StrEnum):
    """How a written step ends behind its block; the sources do not say."""

    NONE = "none"
    """With its own last token."""
    NEWLINE = "newline"
    """With a line break, which is learned too: where a step ends, and not only how it begins."""
    TURN = "turn"
    """With the token that ends a turn, as an answer does."""


class Fading(StrEnum):
    """How many written steps are left while they fade."""

    ONE_BY_ONE = "one-by-one"
    """Step t of T goes at t/(T + 1) of the stage, as in iCoT and Coconut."""
    HALVES = "halves"
    """T, T/2, T/4, …, 1, 0 are left, for an equal part of the stage each (Log-ICoT)."""


class Schedule(StrEnum):
    """The learning rate after the warm-up."""

    CONSTANT = "constant"
    """As in the paper."""
    LINEAR = "linear"
    """Falls to zero at the stage's end."""
