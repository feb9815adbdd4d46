// Where a quad goes; behind quads.glsl.

OUTPUT(to, ST_TO)
layout(std430, set = 0, binding = ST_TO) buffer Quads_to { vec4 to_quads[]; };

// Elements at .. at + 3. 16-bit elements share words with neighbours: whole words where they are all ours.
void store4_to(const uint at, const vec4 v)
{
    if (TYPES == 0u) {
        to_quads[at >> 2u] = v;
    } else if (type_of(ST_TO) == 0u) {
        uvec4 w = floatBitsToUint(v);
        to_words[at] = w.x;
        to_words[at + 1u] = w.y;
        to_words[at + 2u] = w.z;
        to_words[at + 3u] = w.w;
    } else if ((at & 1u) == 0u) {
        uint type = types[ST_TO];
        to_words[at >> 1u] = encode(v.x, type) & 0xffffu | encode(v.y, type) << 16u;
        to_words[(at >> 1u) + 1u] = encode(v.z, type) & 0xffffu | encode(v.w, type) << 16u;
    } else {
        store_to(at, v.x);
        store_to(at + 1u, v.y);
        store_to(at + 2u, v.z);
        store_to(at + 3u, v.w);
    }
}
