#include "cache.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// before what needs it
#include <windows.h>

#include <aclapi.h>

enum { PATH_SIZE = 640 };

// Room for a token's answer: a struct that points to a SID behind it.
union token_sid {
    TOKEN_USER user;
    TOKEN_OWNER owner;
    unsigned char room[sizeof(TOKEN_USER) + SECURITY_MAX_SID_SIZE];
};

// Those who may write: the user, who owns what the process makes (the administrators, where it runs as one), and who
// can change anything anyway.
struct trusted {
    union token_sid user, owner;
};

static bool find_trusted(struct trusted *t)
{
    HANDLE token;
    DWORD length;
    if (!OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token))
        return false;
    const bool ok = GetTokenInformation(token, TokenUser, &t->user, sizeof t->user, &length) &&
                    GetTokenInformation(token, TokenOwner, &t->owner, sizeof t->owner, &length);
    CloseHandle(token);
    return ok;
}

static bool is_own(const struct trusted *t, PSID sid)
{
    return EqualSid(sid, t->user.user.User.Sid) || EqualSid(sid, t->owner.owner.Owner);
}

static bool may_write(const struct trusted *t, PSID sid)
{
    return is_own(t, sid) || IsWellKnownSid(sid, WinLocalSystemSid) || IsWellKnownSid(sid, WinBuiltinAdministratorsSid);
}

// Entries that only forbid, or that are for what a directory's children inherit, give nobody anything here.
static bool list_is_closed(const struct trusted *t, PACL list)
{
    const DWORD writing = FILE_WRITE_DATA | FILE_APPEND_DATA | FILE_DELETE_CHILD | DELETE | WRITE_DAC | WRITE_OWNER |
                          GENERIC_WRITE | GENERIC_ALL;
    for (DWORD i = 0; i < list->AceCount; i++) {
        void *entry;
        if (!GetAce(list, i, &entry))
            return false;
        const ACE_HEADER *header = entry;
        if (header->AceType == ACCESS_DENIED_ACE_TYPE || header->AceFlags & INHERIT_ONLY_ACE)
            continue;
        if (header->AceType != ACCESS_ALLOWED_ACE_TYPE)
            return false;
        ACCESS_ALLOWED_ACE *allowed = entry;
        if (allowed->Mask & writing && !may_write(t, &allowed->SidStart))
            return false;
    }
    return true;
}

static bool trustworthy(HANDLE file, bool directory)
{
    BY_HANDLE_FILE_INFORMATION info;
    PSECURITY_DESCRIPTOR descriptor = NULL;
    PSID owner = NULL;
    PACL list = NULL;
    struct trusted t;
    if (!GetFileInformationByHandle(file, &info) || info.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT ||
        directory != ((info.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0) || !find_trusted(&t))
        return false;
    if (GetSecurityInfo(file, SE_FILE_OBJECT, OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION, &owner, NULL,
                        &list, NULL, &descriptor) != ERROR_SUCCESS)
        return false;
    const bool ok = owner && list && is_own(&t, owner) && list_is_closed(&t, list);
    LocalFree(descriptor);
    return ok;
}

// While it is open with data access and without FILE_SHARE_DELETE, nobody puts another directory in its place.
static HANDLE open_dir(const char *dir, const char **reason)
{
    const HANDLE handle = CreateFileA(dir, FILE_LIST_DIRECTORY | READ_CONTROL, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL,
                                      OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT, NULL);
    if (handle == INVALID_HANDLE_VALUE) {
        *reason = "it cannot be opened";
        return handle;
    }
    if (trustworthy(handle, true))
        return handle;
    CloseHandle(handle);
    *reason = "it is no directory, it belongs to someone else, or others may write to it";
    return INVALID_HANDLE_VALUE;
}

static void make_dirs(const char *dir)
{
    char path[PATH_SIZE];
    const size_t length = strlen(dir);
    if (length >= sizeof(path))
        return;
    memcpy(path, dir, length + 1);
    for (char *at = path + 1; *at; at++) {
        const char separator = *at;
        if (separator != '/' && separator != '\\')
            continue;
        *at = '\0';
        CreateDirectoryA(path, NULL);
        *at = separator;
    }
    CreateDirectoryA(path, NULL); // failures show when it is opened
}

static bool file_path(char path[PATH_SIZE], const char *dir, const char *name, const char *end)
{
    const int length = snprintf(path, PATH_SIZE, "%s\\%s%s", dir, name, end);
    return length > 0 && length < PATH_SIZE;
}

// The user's own folder, which the system keeps closed to others.
int norma_cache_default(char *dir, size_t size)
{
    const char *local = getenv("LOCALAPPDATA");
    return snprintf(dir, size, "%s%s", local ? local : "", local && *local ? "\\norma\\cache" : "");
}

static bool read_all(HANDLE file, char *text, size_t size)
{
    size_t used = 0;
    DWORD got = 1;
    while (used < size - 1 && got > 0) {
        if (!ReadFile(file, text + used, (DWORD)(size - 1 - used), &got, NULL))
            return false;
        used += got;
    }
    text[used] = '\0';
    return true;
}

bool norma_cache_read(const char *dir, const char *name, char *text, size_t size)
{
    char path[PATH_SIZE];
    const char *reason;
    const HANDLE handle = file_path(path, dir, name, "") ? open_dir(dir, &reason) : INVALID_HANDLE_VALUE;
    if (handle == INVALID_HANDLE_VALUE)
        return false;
    const HANDLE file = CreateFileA(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE, NULL, OPEN_EXISTING,
                                    FILE_FLAG_OPEN_REPARSE_POINT, NULL);
    CloseHandle(handle);
    if (file == INVALID_HANDLE_VALUE)
        return false;
    const bool ok = trustworthy(file, false) && read_all(file, text, size);
    CloseHandle(file);
    return ok;
}

static bool write_new(const char *path, const char *text)
{
    const HANDLE file = CreateFileA(path, GENERIC_WRITE, 0, NULL, CREATE_NEW, FILE_ATTRIBUTE_NORMAL, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return false;
    const DWORD length = (DWORD)strlen(text);
    DWORD put = 0;
    const bool ok = WriteFile(file, text, length, &put, NULL) && put == length && FlushFileBuffers(file);
    return CloseHandle(file) && ok;
}

bool norma_cache_write(const char *dir, const char *name, const char *text, const char **reason)
{
    char path[PATH_SIZE], temporary[PATH_SIZE], end[40];
    snprintf(end, sizeof end, ".%ld.tmp", (long)getpid());
    make_dirs(dir);
    *reason = "the path is too long";
    if (!file_path(path, dir, name, "") || !file_path(temporary, dir, name, end))
        return false;
    const HANDLE handle = open_dir(dir, reason);
    if (handle == INVALID_HANDLE_VALUE)
        return false;
    DeleteFileA(temporary);
    const bool ok =
        write_new(temporary, text) && MoveFileExA(temporary, path, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH);
    if (!ok) {
        *reason = "the file cannot be written";
        DeleteFileA(temporary);
    }
    CloseHandle(handle);
    return ok;
}
