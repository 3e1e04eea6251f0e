"""Sequences from a model that predicts one token at a time: greedy, sampled, by beam search.

A model takes part as a function `step`:

    logits, cache = step(ids, cache)

    ids     (B, t) integers: what came since the last call, the prompt at first, then t = 1
    cache   whatever the model wants to find again: None at first; keys and values of attention,
            the state of a recurrent network, an encoder's memory beside them
    logits  (B, V) scores of the next token, normalised or not
"""

from scratch.generation.beam import Beams as Beams
from scratch.generation.beam import beam_search as beam_search
from scratch.generation.beam import select as select
from scratch.generation.beam import wu_penalty as wu_penalty
from scratch.generation.filters import temper as temper
from scratch.generation.filters import top_k as top_k
from scratch.generation.filters import top_p as top_p
from scratch.generation.sampling import Step as Step
from scratch.generation.sampling import generate as generate
from scratch.generation.sampling import greedy as greedy
from scratch.generation.sampling import multinomial as multinomial
from scratch.generation.sampling import sample as sample
from scratch.generation.sampling import without_cache as without_cache
