"""`jaxscale sample`: what a tiny language model of a sweep says."""

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
    sample.add_argument("--prompt", default="The ", help="text to begin with, of models of text (default: 'The ')")
    sample.add_argument("--export", type=Path, help="also write the parameters, as an orbax checkpoint, to this new folder")
    sample.add_argument("--export-state", type=Path, help="the whole training state, the rule's memory included, likewise")
    sample.add_argument("--experiment", metavar="MODULE:NAME", help="what was swept; found by itself for studies")
    sample.set_defaults(command=_sample)


def _sample(arguments):
    import jax
    import jax.numpy as jnp

    from jaxscale.cli.stores import swept
    from jaxscale.models.language.generate import generate, save_params, trained_model
    from jaxscale.sweep.final import final_state

    experiment = swept(arguments.store, arguments.experiment)
    if experiment is None:
        raise ValueError(f"'{arguments.store}' is no study's sweep; say what was swept with --experiment MODULE:NAME.")
    system, data, state = final_state(experiment, arguments.store, _cell(arguments.cell))
    model, params = trained_model(system, data, state)
    world, of_text = model.world, hasattr(model.world, "spell")
    prompt = (world.read(arguments.prompt) if of_text else None) or [0]
    tokens = generate(model, params, jax.random.key(0), jnp.array(prompt), arguments.length, temperature=arguments.temperature)
    print(world.spell(tokens.tolist()) if of_text else " ".join(map(str, tokens.tolist())))
    if arguments.export:
        print(f"parameters: {save_params(arguments.export, params)}")
    if arguments.export_state:
        print(f"training state: {save_params(arguments.export_state, state)}")
    return OK


def _cell(text):
    """{name: number, flag or text} of NAME=VALUE,..."""
    cell: dict[str, Any] = {}
    for part in text.split(","):
        name, found, value = part.partition("=")
        if not found:
            raise ValueError(f"--cell must be NAME=VALUE,...; got '{part}'.")
        try:
            cell[name] = int(value) if value.lstrip("-").isdigit() else float(value)
        except ValueError:
            cell[name] = {"True": True, "False": False}.get(value, value)
    return cell
