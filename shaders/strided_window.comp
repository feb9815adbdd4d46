// Local response norm: x / (k + alpha/size * the sum of squares over a window of channels)^beta, and what comes behind; an
// invocation an element.
#version 450
#include "strided.glsl"
#include "power.glsl"

OUTPUT(to, ST_TO)
#include "quantise.glsl"

const float LARGE = 2.81474976710656e14;    // 2^48: squares, whose sum may overflow, are taken of x * SMALL instead
const float SMALL = 2.117582368135751e-22;  // 2^-72: the sum of 65,536 of them does not overflow
const int EXPONENT = 144;                   // what a sum of such squares is to be multiplied by, as a power of two

// Of x's packed channels: the block of channel c is c >> x_shift, and adds the block's number times x_jump.
uint x_shift = 0u, x_jump = 0u;

void take_blocks_of_x()
{
    for (uint d = rank; d < all_strides; ++d) {
        uint jump = table_stride(ST_X, d);
        x_shift = jump != 0u ? extent_of(d) : x_shift;
        x_jump = jump != 0u ? jump : x_jump;
    }
}

// Channels are a group's only dimension. No loop: there are few of those to a window, see append_window().
float x_of(const uint channel, const uint stride)
{
    places[ST_X] = bases[ST_X] + channel * stride + (channel >> x_shift) * x_jump;
    return load_x();
}

void main()
{
    uint unit = unit_index(), groups = table[ST_GROUPS], elements = table[ST_ELEMENTS];
    if (unit >= groups * elements)
        return;
    bool groups_fast = table[ST_GROUPS_FAST] != 0u;
    uint slow = unit / (groups_fast ? groups : elements);
    uint fast = unit - slow * (groups_fast ? groups : elements);
    uint channel = table[ST_ELEMENT0] + (groups_fast ? slow : fast);
    take_table();
    take_group(table[ST_GROUP0] + (groups_fast ? fast : slow));
    uint first = channel - min(channel, table[ST_BEFORE]);
    uint end = min(channel + table[ST_AFTER] + 1u, table[ST_N]);
    uint stride = table_stride(ST_X, group_rank);
    take_blocks_of_x();
    float largest = 0.0;
    for (uint i = first; i < end; ++i)
        largest = max(largest, abs(x_of(i, stride)));
    float a = largest > LARGE ? SMALL : 1.0;
    precise float squares = 0.0;
    for (uint i = first; i < end; ++i) {
        precise float scaled = x_of(i, stride) * a;
        squares = squares + scaled * scaled;
    }
    float k = table_float(ST_K), alpha = table_float(ST_ALPHA);
    precise float part = alpha * squares, lifted_part = ((alpha * (1.0 / SMALL)) * squares) * (1.0 / SMALL);
    // Where little is left of large squares k counts, whose digits 2^-144 takes: alpha * 2^72 is finite there, and the
    // sum below 2^124 needs no scale. 0 * infinity stays NaN.
    bool scaled = a != 1.0 && !(abs(part) < 9.5367431640625e-7);
    precise float scaled_inside = (k * a) * a + part, plain_inside = k + (a == 1.0 ? part : lifted_part);
    float inside = scaled ? scaled_inside : plain_inside;
    // The root of the power twice: the power itself may be a denormal where y is none;
    // and so may be x times the root alone.
    precise float half_beta = 0.5 * table_float(ST_BETA);
    float root = inverse_power(inside, scaled ? EXPONENT : 0, half_beta);
    take_elements(channel);
    float own = load_x();
    bool tiny = abs(own) < 8.673617379884035e-19; // 2^-60
    precise float lifted = own * (tiny ? 1.0 / SMALL : 1.0);
    precise float y = (lifted * root) * root;
    y = y * (tiny ? SMALL : 1.0);
    store_y(activate(activation, behind_norm(y, activated_z().x), slope).x);
}
