// What groups send to the statistics of a sample or a channel that they are mixed from: P a sum of S * (sum of g), Q one of
// S^2 * (sum of g*xhat), in units of S and S^2, S = rstd: the largest among the terms. Behind wide.glsl.
struct sent {
    wide p, q, s;
};

// In a cell: three floats with the low 7 bits of their exponents, and the others' sum, at 8 bits each.
float packed(const wide v, inout float high)
{
    int low = v.m == 0.0 || !finite(v.m) ? 0 : ((v.e + 64) & 127) - 64;
    high = high * 256.0 + float(clamp((v.e - low) / 128 + 128, 0, 255));
    return wide_float(wide(v.m, low));
}

vec4 sent_cell(const sent all)
{
    float high = 0.0;
    float p = packed(all.p, high);
    float q = packed(all.q, high);
    float s = packed(all.s, high);
    return vec4(p, q, s, high);
}

sent sent_of(const vec4 cell)
{
    int high = int(cell.w);
    return sent(wide_scaled(cell.x, ((high >> 16) - 128) * 128), wide_scaled(cell.y, ((high >> 8 & 255) - 128) * 128),
                wide_scaled(cell.z, ((high & 255) - 128) * 128));
}
