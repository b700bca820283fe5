"""What QThink trains: latent steps before a text, whose states learn from those of written rollouts.

Sources: QThink's cards. Where they are silent the field's docstring says what was chosen.
"""

from __future__ import annotations

from dataclasses import dataclass

from rim_export.checkpoint.latent import CARD_INSTRUCTION, CARD_STEPS

from rim_edge.recipe.bounds import SettingError, not_negative, shown, whole
from rim_edge.recipe.switches import Match, Supervision, Target, Teacher

PLACE = "{answer}"
"""Where the answer stands in `LatentTraining.answer`."""


@dataclass(frozen=True)
class LatentTraining:
    """The latent steps of a recipe; stages with the objective `latent` train them."""

    steps: int = CARD_STEPS
    """K; 0 is the control: the same text right after the prompt, without a projection head."""
    instruction: str = CARD_INSTRUCTION
    """What stands before each question, in the same turn."""
    supervision: Supervision = Supervision.FINAL_STEP
    """Which steps have a teacher."""
    teacher: Teacher = Teacher.RIGHT
    """Which rollouts teach."""
    gamma: float = 1.0
    """Weight of the distance to the teacher beside the text's loss; 0 trains without a teacher."""
    match: Match = Match.STATE
    """What is compared."""
    target: Target = Target.SOLUTION
    """The text."""
    answer: str = f"#### {PLACE}"
    """Its last line."""
    target_tokens: int = 128
    """Tokens that the text is cut to."""

    def __post_init__(self) -> None:
        whole("latent", "steps", self.steps, 0)
        not_negative("latent", "gamma", self.gamma)
        whole("latent", "target_tokens", self.target_tokens, 1)
        if not isinstance(self.answer, str) or self.answer.count(PLACE) != 1:
            raise SettingError("latent", "answer", shown(self.answer), f"a line with {PLACE} once")

    @property
    def has_teacher(self) -> bool:
        """Whether states are compared with a teacher's."""
        return self.steps > 0 and self.gamma > 0

    def is_taught(self, step: int) -> bool:
        """Whether latent step `step` (1..steps) has a teacher."""
        return self.supervision is Supervision.EVERY_STEP or step == self.steps
