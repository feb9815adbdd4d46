#include "npy_header.h"
#include <stdio.h>
#include <string.h>

struct cursor {
    const char *at, *end;
};

static void skip_spaces(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\t' || *c->at == '\r'))
        ++c->at;
}

static bool take(struct cursor *c, char symbol)
{
    skip_spaces(c);
    if (c->at == c->end || *c->at != symbol)
        return false;
    ++c->at;
    return true;
}

static bool take_word(struct cursor *c, const char *word)
{
    skip_spaces(c);
    size_t length = strlen(word);
    if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length))
        return false;
    c->at += length;
    return true;
}

static bool take_string(struct cursor *c, char *text, size_t capacity)
{
    skip_spaces(c);
    if (c->at == c->end || (*c->at != '\'' && *c->at != '"'))
        return false;
    char quote = *c->at++;
    size_t length = 0;
    for (; c->at < c->end && *c->at != quote; ++c->at) {
        if (length + 1 == capacity)
            return false;
        text[length++] = *c->at;
    }
    text[length] = 0;
    return take(c, quote);
}

static bool take_integer(struct cursor *c, int64_t *value)
{
    skip_spaces(c);
    const char *start = c->at;
    uint64_t v = 0;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; ++c->at) {
        uint64_t digit = (uint64_t)(*c->at - '0');
        if (v > (INT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *value = (int64_t)v;
    if (c->at == start)
        return false;
    take_word(c, "L"); // Python 2 wrote long integers so
    return true;
}

static const char *take_shape(struct cursor *c, struct npy_header *header)
{
    if (!take(c, '('))
        return "its shape is not a tuple";
    header->rank = 0;
    while (!take(c, ')')) {
        if (header->rank == NPY_MAX_RANK)
            return "its shape has more than 32 dimensions";
        if (!take_integer(c, &header->shape[header->rank++]))
            return "its shape has an entry that is no 63-bit number";
        if (!take(c, ',')) {
            // (3) is a number in Python, not a tuple.
            if (header->rank == 1 || !take(c, ')'))
                return "its shape is not a tuple";
            break;
        }
    }
    return NULL;
}

static const char *take_dictionary(struct cursor *c, struct npy_header *header)
{
    unsigned seen = 0;
    if (!take(c, '{'))
        return "its header is not a dictionary";
    while (!take(c, '}')) {
        char key[16];
        if (!take_string(c, key, sizeof key) || !take(c, ':'))
            return "its header is not a dictionary of descr, fortran_order and shape";
        if (!strcmp(key, "descr")) {
            if (!take_string(c, header->descr, sizeof header->descr))
                return "its type is not a plain number";
            seen |= 1;
        } else if (!strcmp(key, "fortran_order")) {
            header->fortran_order = take_word(c, "True");
            if (!header->fortran_order && !take_word(c, "False"))
                return "its fortran_order is neither True nor False";
            seen |= 2;
        } else if (!strcmp(key, "shape")) {
            const char *wrong = take_shape(c, header);
            if (wrong)
                return wrong;
            seen |= 4;
        } else {
            return "its header has a key other than descr, fortran_order and shape";
        }
        if (!take(c, ',')) {
            if (!take(c, '}'))
                return "its header is not a dictionary";
            break;
        }
    }
    skip_spaces(c);
    if (c->at != c->end)
        return "its header goes on behind the dictionary";
    return seen == 7 ? NULL : "its header lacks descr, fortran_order or shape";
}

const char *npy_header_parse(const unsigned char *file, uint64_t size, struct npy_header *header)
{
    memset(header, 0, sizeof *header);
    if (size < 10 || memcmp(file, "\x93NUMPY", 6))
        return "it is no .npy file (it does not begin with \\x93NUMPY)";
    uint64_t start, length;
    if (file[6] == 1) {
        start = 10;
        length = file[8] | (uint64_t)file[9] << 8;
    } else if (file[6] == 2 || file[6] == 3) {
        if (size < 12)
            return "it is cut short within its header";
        start = 12;
        length = file[8] | (uint64_t)file[9] << 8 | (uint64_t)file[10] << 16 | (uint64_t)file[11] << 24;
    } else {
        return "its format version is not 1, 2 or 3";
    }
    if (length > size - start)
        return "it is cut short within its header";
    header->data = start + length;
    struct cursor c = {(const char *)file + start, (const char *)file + header->data};
    return take_dictionary(&c, header);
}

bool npy_header_bytes(const struct npy_header *header, uint64_t element, uint64_t *bytes)
{
    *bytes = 0;
    for (int32_t i = 0; i < header->rank; ++i) {
        if (header->shape[i] == 0)
            return true;
    }
    uint64_t total = element;
    for (int32_t i = 0; i < header->rank; ++i) {
        if (total > INT64_MAX / (uint64_t)header->shape[i])
            return false;
        total *= (uint64_t)header->shape[i];
    }
    *bytes = total;
    return true;
}

size_t npy_header_format(const char *descr, int32_t rank, const int64_t *shape, char *text)
{
    char list[256] = "";
    size_t used = 0;
    for (int32_t i = 0; i < rank; ++i)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%lld%s", i ? " " : "", (long long)shape[i],
                                 rank == 1 || i + 1 < rank ? "," : "");
    size_t length =
        (size_t)snprintf(text + 10, 400, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, list);
    size_t total = (10 + length + 1 + 63) / 64 * 64;
    memset(text + 10 + length, ' ', total - 10 - length - 1);
    text[total - 1] = '\n';
    memcpy(text, "\x93NUMPY\x01\x00", 8);
    text[8] = (char)((total - 10) & 255);
    text[9] = (char)((total - 10) >> 8);
    return total;
}
