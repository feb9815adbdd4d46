// num_batches_tracked, 64 bits in two words.
layout(std430, set = 0, binding = ST_NUM_BATCHES_TRACKED) buffer Batches { uint batches_words[]; };

// Its low and its high word, plus some.
uvec2 batches_and(const uint more)
{
    uint at = bases[ST_NUM_BATCHES_TRACKED], low = batches_words[at] + more;
    return uvec2(low, batches_words[at + 1u] + (low < more ? 1u : 0u));
}
