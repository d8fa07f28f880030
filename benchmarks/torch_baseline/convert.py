"""Converts weights of dream_jax (nested dicts of arrays) for the PyTorch networks.

Each conversion is linear in the weights (a transpose or a concatenation), so it applies to
gradients as well.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.torch_baseline.agent import Agent

Tree = Mapping[str, Any]
Named = dict[str, np.ndarray]


def named_weights(config: Any, exploit: Tree, encoder: Tree, decoder: Tree, explore: Tree) -> Named:
    """{name of a PyTorch parameter: array}, from the four parameter trees of dream_jax."""
    nets = config.networks
    exploit, encoder, decoder, explore = (x["params"] for x in (exploit, encoder, decoder, explore))
    named: Named = {}

    def put(prefix: str, values: Named) -> None:
        named.update({f"{prefix}.{name}": value for name, value in values.items()})

    for name, tree in (("explore", explore), ("exploit", exploit)):
        put(f"{name}.observation", _embedding(tree["observation"]))
        put(f"{name}.mix", _dense(tree["mix"]))
        put(f"{name}.memory", _memory(tree["memory"]))
        put(f"{name}.dueling.layer", _dueling(tree["dueling"]))
        if nets.time_input:
            named[f"{name}.time"] = np.asarray(tree["time"]["direction"])
    put("explore.previous_action", {"weight": np.asarray(explore["previous_action"]["table"])})
    if "hidden" in explore:
        put("explore.hidden", _dense(explore["hidden"]))
    put("exploit.instruction", _embedding(exploit["instruction"]))
    for layer in ("gain", "from_memory", "from_z", "output"):
        if layer in exploit:
            put(f"exploit.{layer}", _dense(exploit[layer]))

    put("encoder.problem", {"weight": np.asarray(encoder["IndexEmbedding_0"]["table"])})
    put("encoder.output", _dense(encoder["Dense_0"]))

    embedding = "SumEmbedding_0" if nets.embedding == "sum" else "MlpEmbedding_0"
    memory = {"lstm": "Lstm_0", "mingru": "MinGru_0"}[nets.decoder_memory]
    put("decoder.observation", _embedding(decoder[embedding]))
    put("decoder.action", {"weight": np.asarray(decoder["IndexEmbedding_0"]["table"])})
    # Flax numbers layers in the order of construction: the outer of two nested calls comes first.
    put("decoder.output", _dense(decoder["Dense_0"]))
    put("decoder.hidden", _dense(decoder["Dense_1"]))
    put("decoder.memory", _memory(decoder[memory]))
    for fold in range(config.losses.decoder_folds):
        head = decoder[f"_DecoderHead_{fold}"]
        put(f"decoder.heads.{fold}.0", _dense(head["Dense_0"]))
        put(f"decoder.heads.{fold}.2", _dense(head["Dense_1"]))
    return named


def load(agent: Agent, named: Named, target: Named | None = None) -> None:
    """Sets the networks, and the target networks of the policies from `target`.

    Raises ValueError unless `named` has exactly the parameters that learn, in their shapes.
    """
    learned = {n: p for n, p in agent.named_parameters() if p.requires_grad}
    if set(learned) != set(named):
        raise ValueError(f"parameters that do not match: {sorted(set(learned) ^ set(named))}")
    slow = {n: p for n, p in agent.named_parameters() if n.startswith("target_")}
    with torch.no_grad():
        for name, parameter in learned.items():
            parameter.copy_(_tensor(named[name], parameter))
        for name, value in (target or {}).items():
            if name.startswith(("explore.", "exploit.")):
                parameter = slow[f"target_{name}"]
                parameter.copy_(_tensor(value, parameter))


def _tensor(value: np.ndarray, like: Tensor) -> Tensor:
    if value.shape != tuple(like.shape):
        raise ValueError(f"shape {value.shape} where PyTorch has {tuple(like.shape)}")
    return torch.from_numpy(np.array(value))


def _dense(tree: Tree) -> Named:
    bias = {"bias": np.asarray(tree["bias"])} if "bias" in tree else {}
    return {"weight": np.asarray(tree["kernel"]).T, **bias}


def _dueling(tree: Tree) -> Named:
    value, advantage = _dense(tree["Dense_0"]), _dense(tree["Dense_1"])
    return {name: np.concatenate([value[name], advantage[name]]) for name in ("weight", "bias")}


def _embedding(tree: Tree) -> Named:
    if "table" in tree:
        return {"table": np.asarray(tree["table"])}
    tables = sorted((n for n in tree if n.startswith("Index")), key=lambda n: int(n.split("_")[1]))
    named = {"table": np.concatenate([np.asarray(tree[n]["table"]) for n in tables])}
    for name, layer in (("hidden", "Dense_0"), ("output", "Dense_1")):
        named |= {f"{name}.{k}": v for k, v in _dense(tree[layer]).items()}
    return named


def _memory(tree: Tree) -> Named:
    if "recurrent" in tree:
        inputs = _dense(tree["inputs"])
        return {
            "lstm.weight_ih_l0": inputs["weight"],
            "lstm.bias_ih_l0": inputs["bias"],
            "lstm.weight_hh_l0": np.asarray(tree["recurrent"]).T,
        }
    (prefix,) = tree  # "inputs" or "layer"
    return {f"{prefix}.{k}": v for k, v in _dense(tree[prefix]).items()}
