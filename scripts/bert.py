"""A BERT encoder in NumPy, one sequence at a time, that hands out what goes into each linear layer.

Weights are a dictionary of float32 arrays under the names of a `BertModel` checkpoint.
"""

import re

import numpy as np
from scipy.special import erf

LAYER = "encoder.layer.{}."
EPSILON = 1e-12  # layer_norm_eps of every published BERT


def count_layers(weights):
    """Layers 0 to n - 1; a KeyError later names what one of them lacks."""
    numbers = [int(m[1]) for m in (re.match(r"encoder\.layer\.(\d+)\.", name) for name in weights) if m]
    return max(numbers, default=-1) + 1


def normalise(weights, name, x):
    x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt((x * x).mean(-1, keepdims=True) + EPSILON)
    return x * weights[name + ".weight"] + weights[name + ".bias"]


def gelu(x):
    return 0.5 * x * (1 + erf(x / np.sqrt(np.float32(2))))


class Encoder:
    def __init__(self, weights, heads):
        self.weights, self.heads, self.layers = weights, heads, count_layers(weights)
        if not self.layers:
            raise KeyError("encoder.layer.0: the checkpoint has no layers of a BertModel")

    def linear(self, name, x, seen):
        seen(name + ".weight", x)
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def attention(self, prefix, x, seen):
        def heads_of(part):
            y = self.linear(f"{prefix}attention.self.{part}", x, seen)
            return y.reshape(len(x), self.heads, -1).transpose(1, 0, 2)

        q, k, v = map(heads_of, ("query", "key", "value"))
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(np.float32(q.shape[-1]))
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ v
        mixed = mixed.transpose(1, 0, 2).reshape(len(x), -1)
        y = self.linear(prefix + "attention.output.dense", mixed, seen)
        return normalise(self.weights, prefix + "attention.output.LayerNorm", x + y)

    def run(self, ids, seen=lambda name, x: None):
        """The last hidden states [t, hidden] of token ids [t], [CLS] and [SEP] included. Calls
        seen(name of a weight, its input [t, k]) for each linear layer; x must be copied to be kept."""
        w = self.weights
        x = (w["embeddings.word_embeddings.weight"][ids]
             + w["embeddings.position_embeddings.weight"][:len(ids)]
             + w["embeddings.token_type_embeddings.weight"][0])
        x = normalise(w, "embeddings.LayerNorm", x)
        for layer in range(self.layers):
            prefix = LAYER.format(layer)
            x = self.attention(prefix, x, seen)
            y = gelu(self.linear(prefix + "intermediate.dense", x, seen))
            y = self.linear(prefix + "output.dense", y, seen)
            x = normalise(w, prefix + "output.LayerNorm", x + y)
        return x

    def embed(self, ids):
        """The sentence's embedding: the mean over its tokens, of length 1."""
        mean = self.run(ids).mean(0)
        return mean / np.linalg.norm(mean)
