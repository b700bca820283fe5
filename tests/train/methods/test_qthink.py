"""QThink's terms against the card's own loop, a row at a time; samples, weights and places by hand."""

import pytest
import torch
from rim_export.checkpoint.latent import CARD_INSTRUCTION
from rim_export.checkpoint.prompt import derive_latent_contract, template_ids
from torch.nn.functional import cross_entropy, log_softmax

from rim_edge.data.rows import Example
from rim_edge.methods.method import Term
from rim_edge.methods.qthink.head import add_head, take_head
from rim_edge.methods.qthink.method import QThink
from rim_edge.methods.qthink.samples import LatentSample
from rim_edge.methods.qthink.teachers import Teachers, question_key
from rim_edge.methods.qthink.terms import LatentTerms
from rim_edge.methods.rim.encode import ExampleEncoder
from rim_edge.recipe.curriculum import Stage
from rim_edge.recipe.latent import LatentTraining
from rim_edge.recipe.switches import Match, Normalisation, Objective, Supervision, Target
from rim_edge.rollouts.states import places, thought

STEPS, WIDTH = 3, 32
STAGE = Stage("latent", Objective.LATENT, 1, 1e-3, normalisation=Normalisation.TOKENS)
ROWS = Stage("latent", Objective.LATENT, 1, 1e-3, normalisation=Normalisation.ROWS)


@pytest.fixture
def model(tiny_model):
    model = tiny_model(vocabulary=1051)
    torch.manual_seed(5)
    add_head(model, None)
    return model


@pytest.fixture
def method(tokenizer):
    return make(tokenizer)


def make(tokenizer, teachers=None, **settings):
    encoder = ExampleEncoder(tokenizer, derive_latent_contract(tokenizer))
    latent = LatentTraining(steps=STEPS, **settings)
    return QThink(encoder, latent, WIDTH, 0, teachers or Teachers())


def samples():
    torch.manual_seed(1)
    return [
        LatentSample((5, 6, 7, 8, 9), (11, 12, 13), torch.randn(STEPS, WIDTH)),
        LatentSample((20, 21), (30,)),
        LatentSample((4, 3, 2), (40, 41, 42, 43, 44, 45), torch.randn(STEPS, WIDTH)),
    ]


def as_the_card(model, sample, match):
    """Return a row's terms by the card's loop: whole forward passes, batch 1, hidden_states[-1], its own cache."""
    ids = torch.tensor([sample.prompt])
    out = model(input_ids=ids, output_hidden_states=True, use_cache=True)
    cache, latent, distances = out.past_key_values, out.hidden_states[-1][:, -1, :], []
    for step in range(STEPS):
        latent = model.projection_head(latent)
        read = latent
        mask = torch.ones(1, ids.shape[1] + step + 1, dtype=torch.long)
        out = model(
            None, mask, None, cache, inputs_embeds=latent[:, None], output_hidden_states=True, use_cache=True
        )
        latent = out.hidden_states[-1][:, -1, :]
        if sample.teacher is not None:
            compared = read if match is Match.PROJECTED else latent
            distances.append((compared[0] - sample.teacher[step]).abs().mean())
    logits, nll = out.logits[:, -1], []
    for place, token in enumerate(sample.text):
        nll.append(-log_softmax(logits[0], -1)[token])
        mask = torch.ones(1, ids.shape[1] + STEPS + place + 1, dtype=torch.long)
        logits = model(torch.tensor([[token]]), mask, None, cache, use_cache=True).logits[:, -1]
    return torch.stack(nll).mean(), distances


@pytest.mark.parametrize("match", list(Match))
def test_a_batch_of_unequal_rows_has_the_terms_of_the_cards_loop(model, tokenizer, match):
    method, rows = make(tokenizer, match=match), samples()
    terms = method.scorer(model)(method.batch(rows)).reshape(3, 1 + STEPS)
    for row, sample in enumerate(rows):
        nll, distances = as_the_card(model, sample, match)
        torch.testing.assert_close(terms[row, 0], nll, rtol=1e-5, atol=1e-5)
        for step, distance in enumerate(distances):
            torch.testing.assert_close(terms[row, 1 + step], distance, rtol=1e-5, atol=1e-5)


def test_gradients_of_a_batch_are_those_of_its_rows(model, method):
    rows = samples()
    learn = [*model.projection_head.parameters(), model.model.layers[0].mlp.up_proj.weight]

    def gradients(some):
        terms = method.scorer(model)(method.batch(some))
        return torch.autograd.grad((method.weights(some, ROWS, 0) * terms).sum(), learn)

    together = gradients(rows)
    alone = [sum(parts) for parts in zip(*(gradients([row]) for row in rows), strict=True)]
    for whole, parts in zip(together, alone, strict=True):
        assert whole.abs().max() > 1e-4
        torch.testing.assert_close(whole, parts, rtol=0, atol=2e-4 * float(whole.abs().max()))


def test_without_latent_steps_it_is_plain_text_after_the_prompt(model):
    take_head(model)
    row = LatentSample((5, 6, 7), (11, 12))
    terms = LatentTerms(model, 0, Match.STATE)(
        QThink(None, LatentTraining(steps=0), WIDTH, 0).batch([row])  # type: ignore[arg-type]
    )
    logits = model(torch.tensor([[5, 6, 7, 11, 12]])).logits[0, 2:4]
    torch.testing.assert_close(terms, cross_entropy(logits, torch.tensor([11, 12]))[None], rtol=1e-5, atol=1e-5)


def test_weights_by_hand(tokenizer):
    rows = samples()
    final, every = make(tokenizer, gamma=2.0), make(tokenizer, gamma=2.0, supervision=Supervision.EVERY_STEP)
    assert final.weights(rows, ROWS, 0).tolist() == [1, 0, 0, 2, 1, 0, 0, 0, 1, 0, 0, 2]
    assert final.size(rows, ROWS, 0) == 3
    third = pytest.approx(2 / 3)
    assert every.weights(rows, ROWS, 0).tolist() == [1, third, third, third, 1, 0, 0, 0, 1, third, third, third]
    # by tokens, a row counts as often as its text has tokens: 3, 1 and 6
    assert final.weights(rows, STAGE, 0).tolist() == [3, 0, 0, 6, 1, 0, 0, 0, 6, 0, 0, 12]
    assert final.size(rows, STAGE, 0) == 10
    assert final.places(rows[:2]) == [
        (Term.NLL, 1),
        None,
        None,
        (Term.DISTANCE, 3),
        (Term.NLL, 1),
        None,
        None,
        None,
    ]


def test_a_sample_is_the_cards_prompt_and_the_solution(tokenizer):
    example = Example("Which room?", ("A to B", "B to C"), "C")
    state = torch.ones(STEPS, WIDTH)
    teachers = Teachers({question_key("Which room?"): state})
    sample = make(tokenizer, teachers).sample(example, STAGE)
    assert list(sample.prompt) == template_ids(tokenizer, CARD_INSTRUCTION + "Which room?")
    assert tokenizer.decode(sample.text) == tokenizer.decode(
        [*tokenizer.encode("A to B\nB to C\n#### C"), tokenizer.eos_token_id]
    )
    assert sample.text[-1] == tokenizer.eos_token_id
    assert sample.teacher is state
    cut = make(tokenizer, target_tokens=2).sample(example, STAGE)
    assert cut.text == sample.text[:2] and cut.teacher is None
    answer = make(tokenizer, target=Target.ANSWER, answer="It is {answer}").sample(example, STAGE)
    assert answer.text == (*tokenizer.encode("It is C"), tokenizer.eos_token_id)


def test_places_are_evenly_spaced_and_end_at_the_last_token():
    assert places(12, 6) == [1, 3, 5, 7, 9, 11]
    assert places(10, 6) == [1, 3, 4, 6, 8, 9]  # ⌈10k/6⌉ - 1
    assert places(2, 4) == [0, 0, 1, 1]
    assert places(7, 1) == [6]


def test_what_was_thought():
    assert thought("<think>so</think>\n#### 4") == (7, 9)
    assert thought("2+2\n#### 4") == (0, 4)
    assert thought("four") == (0, 4)
    assert thought("<think>never ends #### 4") == (0, 18)
