"""The arms of an experiment: RiM and its controls, from one curriculum, at equal examples.

An arm changes what the RiM stages (`steps`, `answer`) train and nothing else: every arm sees the same examples in
the same order, in as many optimizer steps of the same batch, with the same rates, schedules and fresh optimizers.
Text stages before them (the demo's warm-up stands for pre-training) are the same in all arms.

| arm                         | stage 1 trains                       | stage 2 trains                | read with |
| --------------------------- | ------------------------------------ | ----------------------------- | --------- |
| `rim`                       | a step after each block              | the answer after each block   | 1..K      |
| `no-blocks`                 | the answer right after the question  | the same                      | 0 blocks  |
| `no-curriculum`             | the answer after each of K blocks    | the same                      | 1..K      |
| `curriculum-without-blocks` | the steps left, then the answer;     | the answer, as in `no-blocks` | 0 blocks  |
|                             | step t of T goes at t/(T+1)          |                               |           |
| `fading-with-blocks`        | the same behind K blocks             | the answer after each block   | 1..K      |
| `readouts-without-blocks`   | each step and the answer right after | the answer, as in `no-blocks` | 0 blocks  |
|                             | the question, by its number          |                               |           |
| `cot`                       | all written steps, prefix and answer | the same                      | its steps |

So curriculum (none, fading text, readouts) and blocks (none, K) are crossed: no-blocks, no-curriculum;
curriculum-without-blocks, fading-with-blocks; readouts-without-blocks, rim.
Sources: rim-method, section 9; removing steps from the front in equal parts is Coconut's and iCoT's curriculum,
blocks before what is left Coconut's "pause as thought". `Stage.fading` has halves (Log-ICoT) instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from types import MappingProxyType

from rim_edge.errors import CurriculumError
from rim_edge.recipe.curriculum import Curriculum, Stage
from rim_edge.recipe.switches import BlockWeights, Objective


class Arm(StrEnum):
    """What `--arm` takes."""

    RIM = "rim"
    NO_BLOCKS = "no-blocks"
    NO_CURRICULUM = "no-curriculum"
    CURRICULUM_WITHOUT_BLOCKS = "curriculum-without-blocks"
    FADING_WITH_BLOCKS = "fading-with-blocks"
    READOUTS_WITHOUT_BLOCKS = "readouts-without-blocks"
    COT = "cot"


_STEPS, _ANSWER = Objective.STEPS, Objective.ANSWER
_CHANGES: Mapping[Arm, Mapping[Objective, Objective]] = MappingProxyType(
    {
        Arm.RIM: {},
        Arm.NO_BLOCKS: {_STEPS: Objective.DIRECT, _ANSWER: Objective.DIRECT},
        Arm.NO_CURRICULUM: {_STEPS: _ANSWER},
        Arm.CURRICULUM_WITHOUT_BLOCKS: {_STEPS: Objective.FADING, _ANSWER: Objective.DIRECT},
        Arm.FADING_WITH_BLOCKS: {_STEPS: Objective.FADING_BLOCKS},
        Arm.READOUTS_WITHOUT_BLOCKS: {_STEPS: Objective.MARKED_STEPS, _ANSWER: Objective.DIRECT},
        Arm.COT: {_STEPS: Objective.CHAIN, _ANSWER: Objective.CHAIN},
    }
)


def for_arm(curriculum: Curriculum, arm: Arm) -> Curriculum:
    """Return the curriculum as this arm trains it. Raises CurriculumError where it has no such arm."""
    if curriculum.is_latent and arm is not Arm.RIM:
        raise CurriculumError(
            f"Got the arm {arm}, a control of RiM's stages, and stages that train latent steps. Their control is "
            "the same text without them: --latent-steps 0"
        )
    weights = _block_weights(curriculum)
    return replace(curriculum, stages=tuple(_changed(stage, arm, weights) for stage in curriculum.stages))


def _changed(stage: Stage, arm: Arm, weights: BlockWeights) -> Stage:
    objective = _CHANGES[arm].get(stage.objective, stage.objective)
    if objective is stage.objective:
        return stage
    return replace(stage, objective=objective, block_weights=weights)


def _block_weights(curriculum: Curriculum) -> BlockWeights:
    """Return stage 2's weights, which `no-curriculum` uses from the start."""
    found = [stage.block_weights for stage in curriculum.stages if stage.objective is _ANSWER]
    return found[-1] if found else BlockWeights.RISING
