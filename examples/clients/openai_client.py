"""Ask `rim-edge serve` with OpenAI's own package (pip install openai).

python openai_client.py [http://127.0.0.1:8765]
"""

import math
import sys

import openai

SERVER = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8765"
QUESTION = "Which vitamin deficiency causes scurvy?\nA: Vitamin A\nB: Vitamin B12\nC: Vitamin C"


def main() -> None:
    """Ask for a letter, for a text, and for what is refused."""
    client = openai.OpenAI(
        base_url=SERVER + "/v1",
        api_key="none",  # the package wants one; the server looks at none
        http_client=openai.DefaultHttpxClient(trust_env=False),  # no proxy for what is on this machine
    )
    (model,) = client.models.list()
    asked = client.chat.completions.create(
        model=model.id, messages=[{"role": "user", "content": QUESTION}], logprobs=True, top_logprobs=3
    )
    choice = asked.choices[0]
    assert choice.logprobs and choice.logprobs.content
    shares = {one.token: math.exp(one.logprob) for one in choice.logprobs.content[0].top_logprobs}
    letter = choice.message.content or ""
    print(f"letter: {letter}, {100 * shares[letter]:.1f} %")
    print("text: ", end="")
    try:
        chunks = client.chat.completions.create(
            model=model.id,
            messages=[{"role": "user", "content": "Where is Mary?"}],
            stream=True,
            extra_body={"rim": {"as": "text"}},
        )
        for chunk in chunks:
            print(chunk.choices[0].delta.content or "", end="", flush=True)
        print()
    except openai.BadRequestError as refused:
        print(f"none. {refused.body['message']}")  # type: ignore[index]
    try:
        client.chat.completions.create(
            model=model.id, messages=[{"role": "user", "content": QUESTION}], frequency_penalty=1
        )
    except openai.BadRequestError as refused:
        print(f"refused ({refused.param}): {refused.body['message']}")  # type: ignore[index]


if __name__ == "__main__":
    main()
