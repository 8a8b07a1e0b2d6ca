"""`jaxscale sample`: what a tiny language model of a sweep says."""

import sys
from pathlib import Path
from typing import Any

from jaxscale.cli.codes import OK


def add(commands: Any) -> None:
    """Add the commands of this file."""
    sample = commands.add_parser("sample", help="train one run of a store again, and print text from it")
    sample.add_argument("store", type=Path, help="folder of a study's sweep of language models")
    sample.add_argument("--cell", required=True, help="NAME=VALUE,... one for every axis, seed included")
    sample.add_argument("--length", type=int, default=300, help="tokens (default: 300)")
    sample.add_argument("--temperature", type=float, default=0.8, help="0 takes the likeliest token (default: 0.8)")
    sample.add_argument(
        "--prompt", help="text to begin with (default: 'The '), or of a world without text tokens such as '3 1 4' (default: 0)"
    )
    sample.add_argument("--export", type=Path, help="also write the parameters, as an orbax checkpoint, to this new folder")
    sample.add_argument("--export-state", type=Path, help="the whole training state, the rule's memory included, likewise")
    sample.add_argument("--experiment", metavar="MODULE:NAME", help="what was swept; found by itself for studies")
    sample.set_defaults(command=_sample)


def _sample(arguments):
    import jax
    import jax.numpy as jnp

    from jaxscale.cli.stores import swept
    from jaxscale.engine.audit.final import final_state
    from jaxscale.models.language.generation import check_drawing, generate, save_params, trained_model

    experiment = swept(arguments.store, arguments.experiment)
    if experiment is None:
        raise ValueError(f"'{arguments.store}' is no study's sweep; say what was swept with --experiment MODULE:NAME.")
    check_drawing(arguments.length, arguments.temperature)
    for folder in filter(None, (arguments.export, arguments.export_state)):
        if folder.exists():
            raise ValueError(f"'{folder}' exists; give --export and --export-state folders that do not.")
    system, data, state = final_state(experiment, arguments.store, _cell(arguments.cell))
    model, params = trained_model(system, data, state)
    prompt = jnp.array(_prompt(model.world, arguments.prompt))
    tokens = generate(model, params, jax.random.key(0), prompt, arguments.length, temperature=arguments.temperature)
    print(_shown(model.world, tokens.tolist()))
    if arguments.export:
        print(f"parameters: {save_params(arguments.export, params)}")
    if arguments.export_state:
        print(f"training state: {save_params(arguments.export_state, state)}")
    return OK


def _prompt(world, text):
    """Tokens of what was typed; says on stderr what the world makes of it, where that is not the same."""
    if not hasattr(world, "spell"):
        try:
            return [int(token) for token in (text or "0").replace(",", " ").split()]
        except ValueError:
            raise ValueError(
                f"{type(world).__name__} has no text, so --prompt must be tokens such as '3 1 4'; got '{text}'."
            ) from None
    text = "The " if text is None else text
    tokens = world.read(text) or [0]
    if "".join(text.lower().split()) != "".join((read := world.spell(tokens)).lower().split()):
        print(f"the prompt was read as '{read}': the rest is not in the model's vocabulary.", file=sys.stderr)
    return tokens


def _shown(world, tokens):
    return world.spell(tokens) if hasattr(world, "spell") else " ".join(map(str, tokens))


def _cell(text):
    """{name: number, flag or text} of NAME=VALUE,..."""
    cell: dict[str, Any] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"--cell must be NAME=VALUE,...; got '{part}'.")
        try:
            cell[name] = int(value) if value.lstrip("-").isdigit() else float(value)
        except ValueError:
            cell[name] = {"True": True, "False": False}.get(value, value)
    return cell
