"""What calibration.bench.mjs measures, done with transformers on one CUDA GPU: the same files, the same token ids (bench-input-ids.i32).

usage: python calibration_reference.py FOLDER [--samples 64] [--seq-len 512] [--batch 16] [--repeat 3]

Loads the text tower to the GPU in BF16, runs it with an eager loop over experts and hooks that keep the largest magnitude of the input of
every linear and of every expert, and prints one JSON object. The first repetition contains the start of the CUDA libraries.
"""
import argparse
import json
import os
import time

import numpy
import torch
import transformers
from safetensors import safe_open
from torch.nn import functional
from transformers.models.qwen3_5_moe import configuration_qwen3_5_moe as configuration
from transformers.models.qwen3_5_moe import modeling_qwen3_5_moe as modeling

PREFIXES = ("model.language_model.", "model.")


def text_config(folder):
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        raw = json.load(file)
    config = configuration.Qwen3_5MoeTextConfig(**raw.get("text_config", raw))
    config._attn_implementation = "sdpa"
    config._experts_implementation = "eager"
    return config


def load(folder, config):
    with torch.device("meta"):
        model = modeling.Qwen3_5MoeTextModel(config)
    state = {}
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".safetensors"):
            continue
        with safe_open(os.path.join(folder, name), framework="pt", device="cuda") as file:
            for key in file.keys():
                prefix = next((prefix for prefix in PREFIXES if key.startswith(prefix)), None)
                if prefix is not None:
                    state[key[len(prefix):]] = file.get_tensor(key).to(torch.bfloat16)
    missing, unexpected = model.load_state_dict(state, strict=False, assign=True)
    if missing:
        raise SystemExit(f"weights are missing: {missing[:5]}, not used: {unexpected[:5]}")
    # Its buffers are computed, not stored, and are still on the meta device.
    model.rotary_emb = modeling.Qwen3_5MoeTextRotaryEmbedding(config, device="cuda")
    return model.eval()


class Maxima:
    """Largest magnitudes by name, kept on the GPU until the end."""

    def __init__(self):
        self.values = {}

    def see(self, name, tensor):
        amax = tensor.detach().abs().amax().float()
        present = self.values.get(name)
        self.values[name] = amax if present is None else torch.maximum(present, amax)


def watch(model, maxima, counts):
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_pre_hook(lambda _, inputs, name=name: maxima.see(name, inputs[0]))
        elif hasattr(module, "gate_up_proj") and getattr(module.gate_up_proj, "ndim", 0) == 3:
            module.forward = experts_forward(module, name, maxima, counts)


def experts_forward(module, name, maxima, counts):
    """The eager loop: one expert after the other on the tokens that chose it."""

    def forward(hidden_states, top_k_index, top_k_weights):
        shape = hidden_states.shape
        tokens = hidden_states.reshape(-1, shape[-1])
        result = torch.zeros_like(tokens)
        expert_count = module.gate_up_proj.shape[0]
        hits = functional.one_hot(top_k_index, expert_count).permute(2, 1, 0)
        counts[name] = counts.get(name, 0) + hits.sum(dim=(1, 2))
        for expert in hits.sum(dim=(1, 2)).nonzero().flatten().tolist():
            position, row = torch.where(hits[expert])
            inputs = tokens[row]
            maxima.see(f"{name}.{expert}.gate_up_proj", inputs)
            gate, up = functional.linear(inputs, module.gate_up_proj[expert]).chunk(2, dim=-1)
            activated = functional.silu(gate) * up
            maxima.see(f"{name}.{expert}.down_proj", activated)
            outputs = functional.linear(activated, module.down_proj[expert])
            result.index_add_(0, row, (outputs * top_k_weights[row, position, None]).to(result.dtype))
        return result.reshape(shape)

    return forward


def calibrate(folder, config, ids, batch):
    torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    model = load(folder, config)
    torch.cuda.synchronize()
    loaded = time.perf_counter()
    maxima, counts = Maxima(), {}
    watch(model, maxima, counts)
    with torch.inference_mode():
        for first in range(0, len(ids), batch):
            model(input_ids=ids[first : first + batch], use_cache=False)
    amax = {name: float(value) for name, value in maxima.values.items()}
    tokens = {name: value.tolist() for name, value in counts.items()}
    finished = time.perf_counter()
    return {
        "seconds": finished - started,
        "loadSeconds": loaded - started,
        "forwardSeconds": finished - loaded,
        "gpuPeakBytes": torch.cuda.max_memory_allocated(),
        "sites": len(amax),
        "routedTokens": sum(sum(values) for values in tokens.values()),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--seq-len", type=int, default=512)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    flat = numpy.fromfile(os.path.join(arguments.folder, "bench-input-ids.i32"), dtype=numpy.int32)
    ids = torch.from_numpy(flat.astype(numpy.int64)).reshape(arguments.samples, arguments.seq_len).cuda()
    config = text_config(arguments.folder)
    results = [calibrate(arguments.folder, config, ids, arguments.batch) for _ in range(arguments.repeat)]
    versions = {"transformers": transformers.__version__, "torch": torch.__version__}
    print(json.dumps({"bench": "calibration_reference", "gpu": torch.cuda.get_device_name(), **versions, "results": results}, indent=2))


if __name__ == "__main__":
    main()
