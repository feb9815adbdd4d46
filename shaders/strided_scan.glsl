// What a group's elements have that no order of theirs changes: how many of x are not finite, how large y is. Counts and
// the bits of floats have a cell's first word.
layout(std430, set = 0, binding = ST_WORKSPACE) buffer Words { uvec4 words[]; };

// As integers the bits of magnitudes are in their order, with infinity and then NaN at the end.
uint joined(const uint a, const uint b)
{
    return table[ST_OUTPUT] == ST_SCAN_NONFINITE ? a + b : max(a, b);
}
