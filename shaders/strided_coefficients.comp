// What a group's gradient loses to its statistics, dt = rstd * ((g - c0) - xhat * c1) - sign(t) * c2, from the sums of g
// and of g * xhat; an invocation a group.
#version 450
#include "strided.glsl"

// projection / (norm / (norm + eps)), or of a deviation: 1 / rstd, norm + eps, may overflow, and so may rstd =
// cell.z * cell.w. Where eps is much larger than the norm few digits of the part are left, and the term counts as little.
// Equal elements: the term, 0/0, is taken to be 0.
float beside_eps(const float projection, const float eps, const vec4 cell)
{
    precise float part = 1.0 - (eps * cell.w) * cell.z;
    precise float grown = part > 0.0 ? projection / part : 0.0;
    return grown;
}

// Of normalize: c1 and c2, the latter without rstd where it is apart.
vec2 of_norm(const float projection, const vec4 cell, const bool apart)
{
    float eps = table_float(ST_EPS);
    bool absolutes = statistic == ABSOLUTES;
    uint scale = table[ST_SCALE];
    precise float rstd = cell.z * cell.w;
    precise float absolute = (apart ? 1.0 : rstd) * projection;
    float squares = scale == SCALE_ADD ? beside_eps(projection, eps, cell) : projection;
    // SCALE_MAX where eps is the larger: a constant, without gradient. A saved one may be a few units in the last place
    // off.
    precise float limit = (1.0 / (eps * cell.w)) * (1.0 - 2.384185791015625e-07); // 2^-22
    bool held = scale == SCALE_MAX && cell.z >= limit;
    return held ? vec2(0.0) : absolutes ? vec2(0.0, absolute) : vec2(squares, 0.0);
}

void main()
{
    if (unit_index() >= table[ST_GROUPS])
        return;
    uint group = table[ST_GROUP0] + unit_index();
    statistic = table[ST_STATISTIC];
    vec4 sums = workspace[table[ST_IN] + group];
    vec4 cell = workspace[table[ST_CELLS] + group];
    bool norm = table[ST_SCALE] != SCALE_VARIANCE && table[ST_SCALE] != SCALE_DEVIATION;
    precise float rstd = cell.z * cell.w;
    precise float absolute = rstd * sums.y;
    bool apart = statistic != GIVEN && (sums.z != 0.0 || sums.w != 0.0 || (norm && is_lost(absolute, rstd, sums.y)));
    // Both at the larger one's exponent; the sum of g counts about a mean alone.
    wide first = wide_scaled(statistic == MOMENTS ? sums.x : 0.0, int(sums.z)), second = wide_second(sums);
    int e = clamp(max(first.e, second.e), -2000, 2000);
    vec2 taken = vec2(wide_float(wide(first.m, first.e - e)), wide_float(wide(second.m, second.e - e)));
    sums.xy = apart ? taken : sums.xy;
    precise vec2 means = sums.xy / float(table[ST_N]);
    vec3 result = vec3(0.0);
    precise float of_deviation = beside_eps(sums.y, table_float(ST_EPS), cell) / float(table[ST_N]);
    if (table[ST_SCALE] == SCALE_DEVIATION)
        result.xy = vec2(means.x, of_deviation);
    else if (norm)
        result.yz = of_norm(sums.y, cell, apart);
    else if (statistic != GIVEN)
        result.xy = vec2(statistic == MOMENTS ? means.x : 0.0, means.y);
    workspace[table[ST_COEFFICIENTS] + group] = vec4(result, apart ? float(e + WIDE_COEFFICIENTS) : 0.0);
}
