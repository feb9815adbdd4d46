// Adds up to 64 of what the groups of a sample or of a channel send, see sent.glsl; an invocation an addition.
#version 450
#include "strided.glsl"
#include "sent.glsl"

uint list_begin, list_step;
uint moved; // of groups' own sums, which lie as their cells do, to the cells, which have the rstd; else 0

// Input i of the list: a group's own sums, or what has been added already.
sent input_of(const uint i)
{
    vec4 sums = workspace[list_begin + i * list_step], cell = workspace[list_begin + moved + i * list_step];
    sent own = sent(wide_first(sums), wide_second(sums), wide_mul(wide_of(cell.z), wide_of(cell.w))), added = sent_of(sums);
    if (moved == 0u)
        own = added;
    return own;
}

// Whether a > b, of no negative ones.
bool is_larger(const wide a, const wide b)
{
    return infinite(a.m) || (!infinite(b.m) && (a.e > b.e || (a.e == b.e && a.m > b.m)));
}

void terms_of(const uint i, const wide most, out wide p, out wide q)
{
    sent one = input_of(i);
    wide f = wide_div(one.s, most);
    p = wide_mul(one.p, f);
    q = wide_mul(wide_mul(one.q, f), f);
}

// Both terms of input i in units of powers of two.
vec2 terms_in(const uint i, const wide most, const ivec2 e)
{
    wide p, q;
    terms_of(i, most, p, q);
    return vec2(wide_float(wide(p.m, p.e - e.x)), wide_float(wide(q.m, q.e - e.y)));
}

void main()
{
    uint unit = unit_index(), groups = table[ST_GROUPS], outputs = table[ST_OUTPUTS], inputs = table[ST_INPUTS];
    if (unit >= groups * outputs)
        return;
    uint group = table[ST_GROUP0] + unit % groups, number = unit / groups;
    list_step = table[ST_STEP];
    list_begin = table[ST_IN] + group * table[ST_GROUP_STEP] + number * FAN * list_step;
    moved = table[ST_LEVEL] == 1u ? table[ST_CELLS] - table[ST_SUMS] : 0u;
    uint count = min(inputs - number * FAN, FAN);
    wide most = input_of(0u).s;
    for (uint i = 1u; i < count; ++i) {
        wide s = input_of(i).s;
        if (is_larger(s, most))
            most = s;
    }
    ivec2 e = ivec2(WIDE_ZERO);
    for (uint i = 0u; i < count; ++i) {
        wide p, q;
        terms_of(i, most, p, q);
        e = max(e, ivec2(p.e, q.e));
    }
    vec2 sums;
    FOLD(sums, count, terms_in(i, most, e))
    workspace[table[ST_OUT] + group * outputs + number] =
        sent_cell(sent(wide_scaled(sums.x, e.x), wide_scaled(sums.y, e.y), most));
}
