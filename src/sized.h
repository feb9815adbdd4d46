// Structs of the interface that begin with their size: a caller's may be of another version of the header, whose struct
// has members fewer or more at its end.
#ifndef NORMA_SRC_SIZED_H
#define NORMA_SRC_SIZED_H

#include <norma/status.h>
#include <stddef.h>

// *to becomes *from, and its size `size`. Members that the caller's version did not have are 0, as they are where he
// has them and does not use them; members that this version does not have must be 0. NORMA_ERROR_INVALID_ARGUMENT, with
// the type's name, where they are not, and where the caller's size is none of a struct.
// member: "", or "name: " where the struct is what a member of that name points to.
norma_status norma_sized_read(void *to, size_t size, const void *from, const char *member, const char *name);
// *to, of the caller's, becomes *from as far as it has room, and keeps its own size; what it has beyond becomes 0.
// Checks the size alone where from is NULL, so that a call can fail before it does anything.
norma_status norma_sized_write(void *to, const void *from, size_t size, const char *name);

#define NORMA_READ(to, from, type) norma_sized_read((to), sizeof(type), (from), "", #type)
#define NORMA_READ_MEMBER(to, from, member, type) norma_sized_read((to), sizeof(type), (from), member ": ", #type)
#define NORMA_WRITE(to, from, type) norma_sized_write((to), (from), sizeof(type), #type)

#endif
