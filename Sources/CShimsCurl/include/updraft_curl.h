#ifndef UPDRAFT_CURL_H
#define UPDRAFT_CURL_H
// curl_easy_setopt, curl_easy_getinfo and curl_multi_setopt are variadic and so invisible to Swift.
// One typed wrapper per kind of argument. Handles are void *, as in curl.h. Return values are CURLcode / CURLMcode.
#include <stddef.h>

// A chunk of the body, or one header line: data, 1, length, context. Returns how much was taken.
typedef size_t (*updraft_curl_receiver)(char *data, size_t size, size_t count, void *context);

// Options that take a string (copied by curl; NULL sets the option back to nothing).
int updraft_curl_set_text(void *easy, unsigned option, const char *value);
// Options that take a long.
int updraft_curl_set_number(void *easy, unsigned option, long value);
// Options that take a curl_off_t.
int updraft_curl_set_large(void *easy, unsigned option, long long value);
// Options that take a struct curl_blob; the bytes are copied.
int updraft_curl_set_blob(void *easy, unsigned option, const void *data, size_t size);
// Options that take a struct curl_slist * (borrowed until the transfer is over).
int updraft_curl_set_list(void *easy, unsigned option, void *list);
// The request body; copied.
int updraft_curl_set_body(void *easy, const void *data, size_t size);
// Where the text of an error goes: at least 256 bytes (CURL_ERROR_SIZE), borrowed.
int updraft_curl_set_error_buffer(void *easy, char *buffer);
// Callbacks for body and header lines, with the same context.
int updraft_curl_set_receivers(void *easy, updraft_curl_receiver body, updraft_curl_receiver header, void *context);
// Sockets are closed on exec: a credential plug-in that is started meanwhile must not inherit connections.
int updraft_curl_set_private_sockets(void *easy);
// Options of a multi handle that take a long.
int updraft_curl_multi_set_number(void *multi, unsigned option, long value);
// Information that is a long or a curl_off_t; -1 if there is none.
long long updraft_curl_get_number(void *easy, unsigned info);
long long updraft_curl_get_large(void *easy, unsigned info);
#endif
